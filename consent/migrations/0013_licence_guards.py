"""PostgreSQL keeps a licence request as it was filed and answered."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0013_licence_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("consent", "0012_licence"), ("audit", "0001_log")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
