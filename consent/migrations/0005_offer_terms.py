"""What was submitted to decision never changes: a change is a new version of the offer."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0005_offer_terms.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("consent", "0004_gate_guards")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
