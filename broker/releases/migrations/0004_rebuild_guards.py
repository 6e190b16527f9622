"""What PostgreSQL refuses: a rebuild of something else, an order that changes after it was given."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0004_rebuild_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("releases", "0003_rebuild")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
