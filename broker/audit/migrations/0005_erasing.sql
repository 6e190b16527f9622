-- Details and tokens are written once. They leave only in a transaction whose own event says so: whoever erases, the
-- owner included, leaves a leaf (unless triggers are disabled, which the health page shows).
CREATE FUNCTION audit_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is written once: erase and record, never rewrite', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION audit_erasure_is_told() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM audit_event e
        WHERE e.generation = (SELECT generation FROM audit_sequencer) AND e.xid = pg_current_xact_id()
          AND position('"act":"log.erase"' IN e.payload) > 0
    ) THEN
        RAISE EXCEPTION 'a row of % is erased in the transaction of a log.erase event, never alone', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_detail_written_once BEFORE UPDATE OR TRUNCATE ON audit_detail
    FOR EACH STATEMENT EXECUTE FUNCTION audit_written_once();
CREATE TRIGGER audit_subject_key_written_once BEFORE UPDATE OR TRUNCATE ON audit_subject_key
    FOR EACH STATEMENT EXECUTE FUNCTION audit_written_once();
-- Deferred: the verb deletes first, its event is written at its end.
CREATE CONSTRAINT TRIGGER audit_detail_erasure_is_told AFTER DELETE ON audit_detail
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_erasure_is_told();
CREATE CONSTRAINT TRIGGER audit_subject_key_erasure_is_told AFTER DELETE ON audit_subject_key
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_erasure_is_told();
REVOKE UPDATE ON audit_detail, audit_subject_key FROM terrain_app;
GRANT DELETE ON audit_detail, audit_subject_key TO terrain_app;

-- The sequencer writes its own acts (partitions made) as any other actor does.
GRANT SELECT, INSERT ON audit_subject_key, audit_detail TO terrain_seq;

-- Which cluster gives the transaction numbers. A log copied into another one starts again from small numbers, which
-- would stand before the watermark: a new generation begins there (`manage.py audit_restore`).
ALTER TABLE audit_sequencer ADD COLUMN cluster text;
CREATE OR REPLACE FUNCTION audit_only_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size OR NEW.generation < OLD.generation
       OR (NEW.last_generation, NEW.last_xid, NEW.last_id) < (OLD.last_generation, OLD.last_xid, OLD.last_id)
       OR (OLD.cluster IS NOT NULL AND NEW.generation = OLD.generation AND NEW.cluster IS DISTINCT FROM OLD.cluster)
    THEN
        RAISE EXCEPTION 'the log only grows' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
