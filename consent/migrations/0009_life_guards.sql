-- Invariant 6: giving access back, ending a convention, refusing or withdrawing an accreditation take two persons.
-- A notice of thirty days is one party's own act: the convention then ends by the day that `terminates_on` says.
CREATE FUNCTION consent_convention_needs_two_persons() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wanted text;
BEGIN
    IF OLD.terminates_on IS NOT NULL AND NEW.terminates_on IS DISTINCT FROM OLD.terminates_on THEN
        RAISE EXCEPTION 'the notice given for convention % stands', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    IF OLD.status = 'suspended' AND NEW.status = 'active' THEN
        wanted := 'convention.resume';
    ELSIF NEW.status = 'terminated' AND OLD.terminates_on IS NULL THEN
        wanted := 'convention.terminate';
    ELSIF NEW.status = 'closed' THEN
        IF NOT EXISTS (SELECT 1 FROM consent_deletionattestation WHERE convention_id = OLD.id AND is_verified) THEN
            RAISE EXCEPTION 'convention % is closed on a verified attestation only', OLD.id
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    ELSE
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM accounts_countersign c
        WHERE c.act = wanted AND c.object_ref = format('convention:%s@%s', OLD.id, OLD.version)
          AND c.second_by_id IS NOT NULL AND c.second_by_id <> c.first_by_id
    ) THEN
        RAISE EXCEPTION 'convention %: % takes two different persons', OLD.id, wanted USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER convention_needs_two_persons BEFORE UPDATE ON consent_convention
    FOR EACH ROW EXECUTE FUNCTION consent_convention_needs_two_persons();

CREATE FUNCTION consent_entry_ends_by_two_persons() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = OLD.status OR NEW.status NOT IN ('refused', 'withdrawn') THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM accounts_countersign c
        WHERE c.act = CASE NEW.status WHEN 'refused' THEN 'registry.refuse' ELSE 'registry.withdraw' END
          AND c.object_ref = format('registry:%s@%s', OLD.id, OLD.version)
          AND c.concerned_id = OLD.organisation_id AND c.second_by_id IS NOT NULL AND c.second_by_id <> c.first_by_id
    ) THEN
        RAISE EXCEPTION 'entry % becomes % by two different persons only', OLD.id, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'withdrawn' AND NOT EXISTS (
        SELECT 1 FROM consent_adversarialstep s
        WHERE s.entry_id = OLD.id AND s.closed_at IS NULL
          AND (s.observed_at IS NOT NULL OR s.answer_by < (NEW.decided_at AT TIME ZONE 'Europe/Paris')::date)
    ) THEN
        RAISE EXCEPTION 'entry % is withdrawn after its adversarial step only', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER entry_ends_by_two_persons BEFORE UPDATE ON consent_registryentry
    FOR EACH ROW EXECUTE FUNCTION consent_entry_ends_by_two_persons();

-- What happened stays; an attestation, an adversarial step are answered once.
CREATE TRIGGER convention_act_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_conventionact
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE FUNCTION consent_attestation_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before consent_deletionattestation := OLD;
BEGIN
    before.answered_by_id := NEW.answered_by_id;
    before.answered_at := NEW.answered_at;
    before.is_verified := NEW.is_verified;
    before.answer := NEW.answer;
    IF OLD.answered_at IS NOT NULL OR NEW.answered_at IS NULL OR NEW IS DISTINCT FROM before THEN
        RAISE EXCEPTION 'an attestation is only ever answered, once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER attestation_is_kept BEFORE UPDATE ON consent_deletionattestation
    FOR EACH ROW EXECUTE FUNCTION consent_attestation_is_kept();
CREATE TRIGGER attestation_append_only BEFORE DELETE OR TRUNCATE ON consent_deletionattestation
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
CREATE FUNCTION consent_adversarial_step_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.closed_at IS NOT NULL
        OR (NEW.id, NEW.entry_id, NEW.grounds, NEW.opened_by_id, NEW.opened_at, NEW.answer_by)
           IS DISTINCT FROM (OLD.id, OLD.entry_id, OLD.grounds, OLD.opened_by_id, OLD.opened_at, OLD.answer_by)
        OR (OLD.observed_at IS NOT NULL AND (NEW.observations, NEW.observed_by_id, NEW.observed_at)
           IS DISTINCT FROM (OLD.observations, OLD.observed_by_id, OLD.observed_at)) THEN
        RAISE EXCEPTION 'an adversarial step is answered once, closed once' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER adversarial_step_is_kept BEFORE UPDATE ON consent_adversarialstep
    FOR EACH ROW EXECUTE FUNCTION consent_adversarial_step_is_kept();
CREATE TRIGGER adversarial_step_append_only BEFORE DELETE OR TRUNCATE ON consent_adversarialstep
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON consent_conventionact FROM terrain_app;
REVOKE DELETE, TRUNCATE ON consent_deletionattestation, consent_adversarialstep FROM terrain_app;
