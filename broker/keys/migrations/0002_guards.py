"""PostgreSQL refuses to change, move or remove a data key."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0002_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("keys", "0001_first")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
