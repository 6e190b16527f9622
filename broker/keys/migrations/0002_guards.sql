-- A key serves one thing for its whole life; once destroyed it stays destroyed. Source: invariants 2 and 7.
CREATE FUNCTION datakey_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a data key is destroyed in its store, its row stays' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.destroyed_at IS NOT NULL
        OR (NEW.id, NEW.purpose, NEW.ref, NEW.wrapping_key_id, NEW.wrapped, NEW.public, NEW.created_at)
           IS DISTINCT FROM
           (OLD.id, OLD.purpose, OLD.ref, OLD.wrapping_key_id, OLD.wrapped, OLD.public, OLD.created_at)
    THEN
        RAISE EXCEPTION 'a data key never changes' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER datakey_guard BEFORE UPDATE OR DELETE ON keys_datakey
    FOR EACH ROW EXECUTE FUNCTION datakey_guard();
CREATE TRIGGER datakey_guard_truncate BEFORE TRUNCATE ON keys_datakey
    FOR EACH STATEMENT EXECUTE FUNCTION datakey_guard();
