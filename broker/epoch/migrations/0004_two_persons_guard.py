"""PostgreSQL refuses that one person alone lifts a kill switch."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0004_two_persons_guard.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("epoch", "0003_two_persons_lift")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
