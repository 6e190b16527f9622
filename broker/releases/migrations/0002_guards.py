"""What PostgreSQL refuses: a release under another's key or not treated, bytes that leave without their permit."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0002_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [
        ("releases", "0001_first"),
        ("audit", "0001_log"),
        ("accounts", "0001_first"),
        ("consent", "0001_first"),
        ("keys", "0001_first"),
    ]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
