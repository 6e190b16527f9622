-- Who belongs to the organisation a decision is about decides nothing about it, and a decision taken never changes.
-- Sources: invariant 6; legal-gate, section 2 (separation of duties).
CREATE FUNCTION countersign_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    demo_now timestamptz := clock_timestamp() + (SELECT coalesce(sum(seconds), 0) FROM clock_step) * interval '1 second';
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a countersigned decision is never removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'UPDATE' AND (
        OLD.second_by_id IS NOT NULL
        OR (NEW.id, NEW.act, NEW.object_ref, NEW.first_by_id, NEW.first_at, NEW.first_reason)
           IS DISTINCT FROM (OLD.id, OLD.act, OLD.object_ref, OLD.first_by_id, OLD.first_at, OLD.first_reason)
        OR NEW.concerned_id IS DISTINCT FROM OLD.concerned_id
    ) THEN
        RAISE EXCEPTION 'a countersigned decision is never changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (
        SELECT 1 FROM accounts_membership
        WHERE organisation_id = NEW.concerned_id AND user_id IN (NEW.first_by_id, NEW.second_by_id)
          AND (TG_OP = 'INSERT' OR user_id = NEW.second_by_id)
          AND (left_on IS NULL OR left_on >= (
              least(coalesce(NEW.second_at, NEW.first_at), demo_now) AT TIME ZONE 'Europe/Paris')::date)
    ) THEN
        RAISE EXCEPTION 'nobody decides on their own organisation' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER countersign_guard BEFORE INSERT OR UPDATE OR DELETE ON accounts_countersign
    FOR EACH ROW EXECUTE FUNCTION countersign_guard();
CREATE TRIGGER countersign_guard_truncate BEFORE TRUNCATE ON accounts_countersign
    FOR EACH STATEMENT EXECUTE FUNCTION countersign_guard();

-- An order serves once: what it says never changes, and once used it stays used.
CREATE FUNCTION order_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a machine order is never removed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.used_at IS NOT NULL
        OR (NEW.id, NEW.environment_id, NEW.person_id, NEW.second_factor_at, NEW.action, NEW.object_ref, NEW.given_at,
            NEW.expires_at)
           IS DISTINCT FROM
           (OLD.id, OLD.environment_id, OLD.person_id, OLD.second_factor_at, OLD.action, OLD.object_ref, OLD.given_at,
            OLD.expires_at)
    THEN
        RAISE EXCEPTION 'a machine order is used once and never changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.used_at >= OLD.expires_at THEN
        RAISE EXCEPTION 'a machine order has expired' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.used_by_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM accounts_machinecredential
        WHERE id = NEW.used_by_id AND environment_id = NEW.environment_id AND revoked_at IS NULL
    ) THEN
        RAISE EXCEPTION 'a machine order is for its own environment' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER order_guard BEFORE UPDATE OR DELETE ON accounts_machineorder
    FOR EACH ROW EXECUTE FUNCTION order_guard();
CREATE TRIGGER order_guard_truncate BEFORE TRUNCATE ON accounts_machineorder
    FOR EACH STATEMENT EXECUTE FUNCTION order_guard();

-- A credential is revoked for good, and its secret is never swapped under it.
CREATE FUNCTION credential_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL
        OR (NEW.id, NEW.environment_id, NEW.secret_sha256, NEW.created_by_id, NEW.created_at)
           IS DISTINCT FROM (OLD.id, OLD.environment_id, OLD.secret_sha256, OLD.created_by_id, OLD.created_at)
    THEN
        RAISE EXCEPTION 'a machine credential is revoked once and never changed'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER credential_guard BEFORE UPDATE ON accounts_machinecredential
    FOR EACH ROW EXECUTE FUNCTION credential_guard();
