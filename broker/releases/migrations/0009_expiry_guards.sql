-- A ready release expires when its file is kept no longer; it is then rebuilt from its recipe, by another that replaces it.
CREATE OR REPLACE FUNCTION release_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided record;
    missing text;
    former record;
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
        IF NEW.replaces_id IS NOT NULL THEN
            SELECT convention_id, dataset_version_id, decision_id, recipe_sha256, status INTO former
                FROM releases_release WHERE id = NEW.replaces_id;
            IF (former.convention_id, former.dataset_version_id, former.decision_id, former.recipe_sha256)
               IS DISTINCT FROM (NEW.convention_id, NEW.dataset_version_id, NEW.decision_id, NEW.recipe_sha256)
               OR former.status NOT IN ('ready', 'expired') THEN
                RAISE EXCEPTION 'release %: it replaces a ready or expired release of the same convention, decision and recipe only',
                    NEW.id USING ERRCODE = 'check_violation';
            END IF;
        END IF;
    ELSE
        IF (NEW.id, NEW.kind, NEW.convention_id, NEW.dataset_version_id, NEW.decision_id, NEW.ruleset_version,
            NEW.recipe, NEW.recipe_sha256, NEW.replaces_id, NEW.delivery_mode, NEW.requested_by_id, NEW.requested_at)
           IS DISTINCT FROM
           (OLD.id, OLD.kind, OLD.convention_id, OLD.dataset_version_id, OLD.decision_id, OLD.ruleset_version,
            OLD.recipe, OLD.recipe_sha256, OLD.replaces_id, OLD.delivery_mode, OLD.requested_by_id, OLD.requested_at) THEN
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
           OR OLD.status = 'ready' AND NEW.status NOT IN ('ready', 'withdrawn', 'expired')
           OR OLD.status = 'expired' AND NEW.status NOT IN ('expired', 'withdrawn') THEN
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

CREATE OR REPLACE FUNCTION release_parts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    state text;
BEGIN
    SELECT status INTO state FROM releases_release
        WHERE id = CASE TG_OP WHEN 'INSERT' THEN NEW.release_id ELSE OLD.release_id END;
    IF state IN ('ready', 'withdrawn', 'expired') THEN
        RAISE EXCEPTION 'the receipts and the index of a % release never change', state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE OR REPLACE FUNCTION trace_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM releases_release WHERE status IN ('ready', 'withdrawn', 'expired')
               AND id IN (SELECT DISTINCT release_id FROM added)) THEN
        RAISE EXCEPTION 'the index of a built release never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
