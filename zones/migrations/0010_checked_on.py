from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("zones", "0009_proposed")]

    operations = [
        migrations.AddField(
            model_name="zone",
            name="checked_on",
            field=models.DateField(blank=True, null=True, verbose_name="conditions vérifiées le"),
        ),
        migrations.RunSQL(
            "UPDATE zones_zone SET checked_on = (opened_at AT TIME ZONE 'Europe/Paris')::date "
            "WHERE opened_at IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
