-- Invariant 8: a consent holds a keyed token of 32 bytes, never an identifier.
ALTER TABLE consent_consent ADD CONSTRAINT consent_token_is_keyed CHECK (octet_length(token) = 32);
ALTER TABLE consent_consentwithdrawal ADD CONSTRAINT consent_withdrawal_token_is_keyed CHECK (octet_length(token) = 32);

-- A consent is never removed, moved to somebody else or widened: it may only be withdrawn, once and for good.
CREATE FUNCTION consent_consent_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before consent_consent := OLD;
BEGIN
    before.withdrawn_at := NEW.withdrawn_at;
    before.withdrawal_id := NEW.withdrawal_id;
    IF OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL OR NEW IS DISTINCT FROM before THEN
        RAISE EXCEPTION 'a consent is only ever withdrawn, once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER consent_is_kept BEFORE UPDATE ON consent_consent
    FOR EACH ROW EXECUTE FUNCTION consent_consent_is_kept();
CREATE TRIGGER consent_append_only BEFORE DELETE OR TRUNCATE ON consent_consent
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE TRIGGER consent_withdrawal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_consentwithdrawal
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

-- A consent is of a dataset that rests on consent, in the zone that it names.
CREATE FUNCTION consent_consent_has_its_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM zones_dataset d WHERE d.id = NEW.dataset_id AND d.zone_id = NEW.zone_id AND d.consent_required
    ) THEN
        RAISE EXCEPTION 'a consent is of a dataset of its zone that rests on consent (consent_has_its_place)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER consent_has_its_place BEFORE INSERT ON consent_consent
    FOR EACH ROW EXECUTE FUNCTION consent_consent_has_its_place();

-- What an import did stays told: it moves from received to done or refused, from done to undone, and is never removed.
CREATE FUNCTION consent_import_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.dataset_id, NEW.receipt, NEW.received_by_id, NEW.received_at)
       IS DISTINCT FROM (OLD.dataset_id, OLD.receipt, OLD.received_by_id, OLD.received_at)
       OR OLD.status IN ('refused', 'undone')
       OR (OLD.status = 'done' AND (NEW.status NOT IN ('done', 'undone') OR NEW.recorded <> OLD.recorded)) THEN
        RAISE EXCEPTION 'an import of consents stays as it was told (consent_import_is_kept)'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER consent_import_is_kept BEFORE UPDATE ON consent_consentimport
    FOR EACH ROW EXECUTE FUNCTION consent_import_is_kept();
CREATE TRIGGER consent_import_append_only BEFORE DELETE OR TRUNCATE ON consent_consentimport
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

REVOKE UPDATE, DELETE, TRUNCATE ON consent_consent, consent_consentwithdrawal FROM terrain_app;
REVOKE DELETE, TRUNCATE ON consent_consentimport FROM terrain_app;
GRANT UPDATE (withdrawn_at, withdrawal_id) ON consent_consent TO terrain_app;
