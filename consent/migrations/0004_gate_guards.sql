-- Invariant 1: a decision is written before any effect and never changed; its case alone may be erased.
CREATE FUNCTION consent_decision_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before consent_gatedecision := OLD;
BEGIN
    before."case" := NULL;
    IF NEW."case" IS NOT NULL OR NEW IS DISTINCT FROM before THEN
        RAISE EXCEPTION 'a decision is never changed: only its case may be erased'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER decision_is_kept BEFORE UPDATE ON consent_gatedecision
    FOR EACH ROW EXECUTE FUNCTION consent_decision_is_kept();
CREATE TRIGGER decision_append_only BEFORE DELETE OR TRUNCATE ON consent_gatedecision
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

-- A unit of quota is reserved by a permit, and given back at most once.
CREATE FUNCTION consent_quota_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before consent_quotause;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (
            SELECT 1 FROM consent_gatedecision
            WHERE id = NEW.decision_id AND effect <> 'deny' AND convention_id = NEW.convention_id
        ) THEN
            RAISE EXCEPTION 'a unit of quota is reserved by a permit of its own convention'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    before := OLD;
    before.given_back_at := NEW.given_back_at;
    IF OLD.given_back_at IS NOT NULL OR NEW.given_back_at IS NULL OR NEW IS DISTINCT FROM before THEN
        RAISE EXCEPTION 'a unit of quota is only ever given back, once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER quota_is_kept BEFORE INSERT OR UPDATE ON consent_quotause
    FOR EACH ROW EXECUTE FUNCTION consent_quota_is_kept();
CREATE TRIGGER quota_append_only BEFORE DELETE OR TRUNCATE ON consent_quotause
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

-- Invariant 8: an opposition holds a keyed token of 32 bytes; a local identifier travels sealed, never in clear.
ALTER TABLE consent_opposition ADD CONSTRAINT opposition_token_is_keyed CHECK (octet_length(token) = 32);
ALTER TABLE consent_opposition ADD CONSTRAINT opposition_scope_fits_dataset
    CHECK ((scope = 'dataset') = (dataset_id IS NOT NULL));
ALTER TABLE consent_sealedrequest ADD CONSTRAINT sealed_request_is_sealed
    CHECK (substring(sealed FROM 1 FOR 22) = convert_to(E'age-encryption.org/v1\n', 'UTF8'));

-- An opposition is never removed or moved to somebody else: it may only be withdrawn, once.
CREATE FUNCTION consent_opposition_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before consent_opposition := OLD;
BEGIN
    before.withdrawn_at := NEW.withdrawn_at;
    IF OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL OR NEW IS DISTINCT FROM before THEN
        RAISE EXCEPTION 'an opposition is only ever withdrawn, once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER opposition_is_kept BEFORE UPDATE ON consent_opposition
    FOR EACH ROW EXECUTE FUNCTION consent_opposition_is_kept();
CREATE TRIGGER opposition_append_only BEFORE DELETE OR TRUNCATE ON consent_opposition
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();

REVOKE UPDATE, DELETE, TRUNCATE ON consent_gatedecision, consent_quotause, consent_opposition FROM terrain_app;
GRANT UPDATE ("case") ON consent_gatedecision TO terrain_app;
GRANT UPDATE (given_back_at) ON consent_quotause TO terrain_app;
GRANT UPDATE (withdrawn_at) ON consent_opposition TO terrain_app;
