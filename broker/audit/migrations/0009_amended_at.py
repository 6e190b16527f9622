"""When a checkpoint's token or cosignature came: what is kept of it outside the database is then written again."""

from django.db import migrations

SQL = """
ALTER TABLE audit_checkpoint ADD COLUMN amended_at timestamptz;
CREATE INDEX audit_checkpoint_amended ON audit_checkpoint (amended_at) WHERE amended_at IS NOT NULL;
CREATE FUNCTION audit_checkpoint_amended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.amended_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER audit_checkpoint_when_amended BEFORE UPDATE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_amended();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_paris_days")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
