"""PostgreSQL refuses an epoch that falls and a switch that is rewritten."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0002_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("epoch", "0001_first")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
