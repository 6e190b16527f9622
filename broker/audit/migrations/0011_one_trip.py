"""An event, its tokens and its detail are written in one trip to the server."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0011_one_trip.sql").read_text()
UNDONE = """
DROP FUNCTION audit_write(text, date, text, bytea, text, text[]);
DROP FUNCTION audit_pseudonym(text, text, bytea);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0010_handed")]
    operations = [migrations.RunSQL(SQL, reverse_sql=UNDONE)]
