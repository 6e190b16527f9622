-- Invariant 2: the key of a release is its convention's own. The database computes the reference.
ALTER TABLE releases_release
    ADD COLUMN key_ref text GENERATED ALWAYS AS ('convention:' || convention_id::text) STORED;
ALTER TABLE releases_release
    ADD CONSTRAINT release_key_is_of_its_convention FOREIGN KEY (key_id, key_ref) REFERENCES keys_datakey (id, ref);

-- Invariant 1: bytes leave under a decision whose stored effect is a permit; the pair is checked by a foreign key.
ALTER TABLE releases_delivery
    ADD CONSTRAINT delivery_effect_is_the_decisions FOREIGN KEY (decision_id, decision_effect)
    REFERENCES consent_gatedecision (id, effect);

CREATE FUNCTION release_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided record;
    missing text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT action, effect, convention_id, ruleset_version INTO decided
            FROM consent_gatedecision WHERE id = NEW.decision_id;
        IF decided.action IS DISTINCT FROM 'release_create' OR decided.effect IS NOT DISTINCT FROM 'deny'
           OR decided.convention_id IS DISTINCT FROM NEW.convention_id
           OR decided.ruleset_version IS DISTINCT FROM NEW.ruleset_version THEN
            RAISE EXCEPTION 'release %: its decision must permit release_create for this convention, under its rule set',
                NEW.id USING ERRCODE = 'check_violation';
        END IF;
    ELSE
        IF (NEW.id, NEW.kind, NEW.convention_id, NEW.dataset_version_id, NEW.decision_id, NEW.ruleset_version,
            NEW.recipe, NEW.recipe_sha256, NEW.delivery_mode, NEW.requested_by_id, NEW.requested_at)
           IS DISTINCT FROM
           (OLD.id, OLD.kind, OLD.convention_id, OLD.dataset_version_id, OLD.decision_id, OLD.ruleset_version,
            OLD.recipe, OLD.recipe_sha256, OLD.delivery_mode, OLD.requested_by_id, OLD.requested_at) THEN
            RAISE EXCEPTION 'release %: recipe, decision and convention never change', OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
        IF (OLD.key_id IS NOT NULL AND NEW.key_id IS DISTINCT FROM OLD.key_id)
           OR (OLD.sha256 <> '' AND NEW.sha256 <> OLD.sha256)
           OR (OLD.clear_sha256 <> '' AND NEW.clear_sha256 <> OLD.clear_sha256)
           OR (OLD.sha256 <> '' AND NEW.manifest <> OLD.manifest) THEN
            RAISE EXCEPTION 'release %: its key, digests and manifest never change once set', OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
        IF OLD.status IN ('failed', 'withdrawn') AND NEW.status <> OLD.status
           OR OLD.status = 'ready' AND NEW.status NOT IN ('ready', 'withdrawn') THEN
            RAISE EXCEPTION 'release %: a % release cannot become %', OLD.id, OLD.status, NEW.status
                USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    IF NEW.status = 'ready' AND (TG_OP = 'INSERT' OR OLD.status <> 'ready') THEN
        IF NEW.key_id IS NULL THEN
            RAISE EXCEPTION 'release %: not ready without its key', NEW.id USING ERRCODE = 'check_violation';
        END IF;
        SELECT string_agg(owed.name, ', ') INTO missing
        FROM consent_gatedecision decision,
             LATERAL jsonb_array_elements(decision.obligations) AS item,
             LATERAL (SELECT CASE jsonb_typeof(item) WHEN 'object' THEN item ->> 'name' ELSE item #>> '{}' END AS name) owed
        WHERE decision.id = NEW.decision_id
          AND NOT EXISTS (SELECT 1 FROM releases_receipt receipt
                          WHERE receipt.release_id = NEW.id AND receipt.obligation = owed.name AND receipt.is_done);
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'release %: not ready, no done receipt for %', NEW.id, missing
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER release_guard BEFORE INSERT OR UPDATE ON releases_release
    FOR EACH ROW EXECUTE FUNCTION release_guard();

CREATE FUNCTION release_parts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    SELECT status INTO state FROM releases_release
        WHERE id = CASE TG_OP WHEN 'INSERT' THEN NEW.release_id ELSE OLD.release_id END;
    IF state IN ('ready', 'withdrawn') THEN
        RAISE EXCEPTION 'the receipts and the index of a % release never change', state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER receipt_guard BEFORE INSERT OR UPDATE OR DELETE ON releases_receipt
    FOR EACH ROW EXECUTE FUNCTION release_parts_guard();
CREATE TRIGGER trace_guard BEFORE UPDATE OR DELETE ON releases_traceentry
    FOR EACH ROW EXECUTE FUNCTION release_parts_guard();

-- One look a statement: a build copies tens of thousands of tokens at once.
CREATE FUNCTION trace_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM releases_release WHERE status IN ('ready', 'withdrawn')
               AND id IN (SELECT DISTINCT release_id FROM added)) THEN
        RAISE EXCEPTION 'the index of a built release never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER trace_added AFTER INSERT ON releases_traceentry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION trace_added();

CREATE FUNCTION delivery_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided record;
    released record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a delivery is never erased' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.id, NEW.release_id, NEW.decision_id, NEW.decision_effect, NEW.order_id, NEW.first_byte, NEW.started_at)
           IS DISTINCT FROM
           (OLD.id, OLD.release_id, OLD.decision_id, OLD.decision_effect, OLD.order_id, OLD.first_byte, OLD.started_at)
           OR OLD.ended_at IS NOT NULL OR NEW.bytes_sent < OLD.bytes_sent THEN
            RAISE EXCEPTION 'delivery %: only its end may be written, once', OLD.id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END IF;
    SELECT action, convention_id, object_ref INTO decided FROM consent_gatedecision WHERE id = NEW.decision_id;
    SELECT convention_id, status INTO released FROM releases_release WHERE id = NEW.release_id;
    IF decided.action IS DISTINCT FROM 'release_download' OR released.status IS DISTINCT FROM 'ready'
       OR decided.convention_id IS DISTINCT FROM released.convention_id
       OR decided.object_ref IS DISTINCT FROM 'release:' || NEW.release_id::text THEN
        RAISE EXCEPTION 'delivery of release %: needs a decision on release_download of this very release, ready',
            NEW.release_id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.order_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM accounts_machineorder o WHERE o.id = NEW.order_id
        AND o.action = 'release_download' AND o.object_ref = decided.object_ref AND o.used_at IS NOT NULL) THEN
        RAISE EXCEPTION 'delivery of release %: its order is for something else, or was not spent', NEW.release_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER delivery_guard BEFORE INSERT OR UPDATE OR DELETE ON releases_delivery
    FOR EACH ROW EXECUTE FUNCTION delivery_guard();
CREATE FUNCTION delivery_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a delivery is never erased' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER delivery_keep BEFORE TRUNCATE ON releases_delivery FOR EACH STATEMENT EXECUTE FUNCTION delivery_keep();
