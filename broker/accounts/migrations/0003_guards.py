"""PostgreSQL refuses a decision on one's own organisation, and any change of a decision, an order or a credential."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0003_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_order_lives_a_day"), ("audit", "0001_log")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
