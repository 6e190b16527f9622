"""PostgreSQL keeps the life of conventions and entries: two persons where two are needed, acts that stay."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0009_life_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("consent", "0008_life"), ("audit", "0001_log"), ("accounts", "0001_first")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
