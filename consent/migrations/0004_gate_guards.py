"""PostgreSQL keeps decisions, quota units and oppositions as they were written."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0004_gate_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("consent", "0003_paper_guards"), ("audit", "0001_log")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
