"""PostgreSQL keeps trainings and undertakings as they were written."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0007_training_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("consent", "0006_training"), ("audit", "0001_log")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
