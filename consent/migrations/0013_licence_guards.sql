-- What was filed is what is answered: from submission on, the request's own words no longer change; the answer, once.
CREATE FUNCTION consent_licence_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before consent_commerciallicence := OLD;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'draft' THEN
            RAISE EXCEPTION 'a licence request that was filed is kept' USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.status = 'draft' THEN
        RETURN NEW;
    END IF;
    IF OLD.status <> 'submitted' THEN
        RAISE EXCEPTION 'a licence request that was answered or withdrawn never changes'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    before.status := NEW.status;
    before.answer := NEW.answer;
    before.answered_at := NEW.answered_at;
    before.answered_by_id := NEW.answered_by_id;
    IF NEW IS DISTINCT FROM before OR NEW.status NOT IN ('submitted', 'accepted', 'declined', 'withdrawn') THEN
        RAISE EXCEPTION 'what a licence request says is fixed once it is filed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER licence_is_kept BEFORE UPDATE OR DELETE ON consent_commerciallicence
    FOR EACH ROW EXECUTE FUNCTION consent_licence_is_kept();
CREATE TRIGGER licence_never_truncated BEFORE TRUNCATE ON consent_commerciallicence
    FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only();
REVOKE TRUNCATE ON consent_commerciallicence FROM terrain_app;
