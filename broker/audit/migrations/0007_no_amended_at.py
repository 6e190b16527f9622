"""Nothing reads when a checkpoint's token or cosignature came."""

from django.db import migrations

SQL = """
DROP TRIGGER audit_checkpoint_when_amended ON audit_checkpoint;
DROP FUNCTION audit_checkpoint_amended();
ALTER TABLE audit_checkpoint DROP COLUMN amended_at;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_witnessed")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
