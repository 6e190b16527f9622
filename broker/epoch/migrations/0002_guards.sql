-- Epochs only grow: a stream compares sums, and a value that fell could hide a cut.
CREATE FUNCTION epoch_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a policy epoch is never removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (NEW.id, NEW.kind, NEW.ref) IS DISTINCT FROM (OLD.id, OLD.kind, OLD.ref) OR NEW.value <= OLD.value THEN
        RAISE EXCEPTION 'a policy epoch only grows' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER epoch_only_grows BEFORE UPDATE OR DELETE ON epoch_policyepoch
    FOR EACH ROW EXECUTE FUNCTION epoch_only_grows();
CREATE TRIGGER epoch_only_grows_truncate BEFORE TRUNCATE ON epoch_policyepoch
    FOR EACH STATEMENT EXECUTE FUNCTION epoch_only_grows();
ALTER TABLE epoch_policyepoch ADD CONSTRAINT epoch_is_positive CHECK (value >= 0);

-- A switch is lifted once; what it said stays.
CREATE FUNCTION switch_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a kill switch is lifted, never removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.lifted_at IS NOT NULL
        OR (NEW.id, NEW.kind, NEW.ref, NEW.reason, NEW.set_by_id, NEW.set_at)
           IS DISTINCT FROM (OLD.id, OLD.kind, OLD.ref, OLD.reason, OLD.set_by_id, OLD.set_at)
    THEN
        RAISE EXCEPTION 'a kill switch is lifted once and never changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER switch_guard BEFORE UPDATE OR DELETE ON epoch_killswitch
    FOR EACH ROW EXECUTE FUNCTION switch_guard();
CREATE TRIGGER switch_guard_truncate BEFORE TRUNCATE ON epoch_killswitch
    FOR EACH STATEMENT EXECUTE FUNCTION switch_guard();
