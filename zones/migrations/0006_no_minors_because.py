from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("zones", "0005_guards")]

    operations = [
        migrations.AddField(
            model_name="dataset",
            name="no_minors_because",
            field=models.CharField(
                blank=True,
                default="",
                max_length=200,
                verbose_name="pourquoi aucune ligne n'est celle d'un mineur",
            ),
            preserve_default=False,
        ),
    ]
