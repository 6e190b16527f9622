"""Triggers and checks of the papers: what was signed never changes, what needs two persons has two."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0003_paper_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("consent", "0002_paper"), ("audit", "0001_log"), ("accounts", "0001_first")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
