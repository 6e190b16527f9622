"""What is done with signed checkpoints outside this house, and since when it is not."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0004_outside.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_generation")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
