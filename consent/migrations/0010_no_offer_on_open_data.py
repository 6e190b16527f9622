from django.db import migrations


class Migration(migrations.Migration):
    """Data that are already open elsewhere need no convention: they have a link, never an offer."""

    dependencies = [("consent", "0009_life_guards"), ("zones", "0007_open_elsewhere")]

    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER offer_not_of_open_data BEFORE INSERT OR UPDATE OF dataset_id ON consent_offer "
            "FOR EACH ROW EXECUTE FUNCTION zones_nothing_of_open_data()",
            "DROP TRIGGER offer_not_of_open_data ON consent_offer",
        )
    ]
