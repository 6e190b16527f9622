"""A constant instead of a look-up at every event.

A log restored into a new cluster begins a generation: its owner raises audit_sequencer.generation and this default.
"""

from django.db import migrations

SQL = """
ALTER TABLE audit_event ALTER COLUMN generation SET DEFAULT 1;
DROP FUNCTION audit_generation();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_tree")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
