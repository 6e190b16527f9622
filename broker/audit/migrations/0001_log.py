"""The log's tables, in SQL: Django never flushes them, and PostgreSQL refuses to change them."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0001_log.sql").read_text()


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
