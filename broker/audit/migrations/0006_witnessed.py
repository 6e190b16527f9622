"""The last cosigned and the last stamped checkpoint, found without walking through all the others."""

from django.db import migrations

SQL = """
CREATE INDEX audit_checkpoint_cosigned ON audit_checkpoint (size) WHERE cosignatures <> '';
CREATE INDEX audit_checkpoint_stamped ON audit_checkpoint (size) WHERE tsr IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_erasing")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
