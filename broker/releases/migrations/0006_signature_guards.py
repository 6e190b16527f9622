"""What PostgreSQL refuses: a ready release without its signature, a signature that changes."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0006_signature_guards.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("releases", "0005_signatures")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
