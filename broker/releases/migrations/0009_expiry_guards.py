"""What PostgreSQL lets an expired release become."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0009_expiry_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("releases", "0008_expiry")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
