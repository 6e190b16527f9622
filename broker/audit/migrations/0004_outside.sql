-- What becomes of signed checkpoints outside this house: time stamps, witnesses, bundles. One line a duty, written by
-- the sequencer's process, read by the public page and the health page.
CREATE TABLE audit_outside (
    name text PRIMARY KEY,
    size bigint CHECK (size > 0),                        -- of the last checkpoint it was done for
    done_at timestamptz,
    failing_since timestamptz,
    problem text NOT NULL DEFAULT '',
    CHECK ((size IS NULL) = (done_at IS NULL)),
    CHECK ((failing_since IS NULL) = (problem = ''))
);
REVOKE ALL ON audit_outside FROM terrain_app;
GRANT SELECT ON audit_outside TO terrain_app, terrain_seq, terrain_auditor;
GRANT INSERT, UPDATE ON audit_outside TO terrain_seq;

-- The last checkpoint of a day is looked up by its time; what came to it later (token, cosignatures) by when it came.
CREATE INDEX audit_checkpoint_published ON audit_checkpoint (published_at);
ALTER TABLE audit_checkpoint ADD COLUMN amended_at timestamptz;
CREATE INDEX audit_checkpoint_amended ON audit_checkpoint (amended_at) WHERE amended_at IS NOT NULL;
CREATE FUNCTION audit_checkpoint_amended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.amended_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER audit_checkpoint_when_amended BEFORE UPDATE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_amended();
