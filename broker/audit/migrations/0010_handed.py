"""Cosignatures that a pulling witness hands back: the site puts them here, the sequencer's process beside the checkpoint.

The site's role still writes no checkpoint. A witness and a checkpoint have one row at most.
"""

from django.db import migrations

SQL = """
CREATE TABLE audit_handed (
    size bigint NOT NULL REFERENCES audit_checkpoint (size),
    witness text NOT NULL,
    line text NOT NULL CHECK (octet_length(line) <= 1024),
    handed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (size, witness)
);
REVOKE ALL ON audit_handed FROM terrain_app;
GRANT SELECT, INSERT ON audit_handed TO terrain_app;
GRANT SELECT, DELETE ON audit_handed TO terrain_seq;
GRANT SELECT ON audit_handed TO terrain_auditor;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_amended_at")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
