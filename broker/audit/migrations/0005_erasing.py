"""Details and tokens leave with an event that says so; the log knows the cluster whose transactions it orders."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0005_erasing.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_outside")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
