-- What was signed and what goes with the file never change; a release becomes ready with its signature or not at all.
CREATE FUNCTION release_signature_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.sha256 <> '' AND (NEW.signature, NEW.signed_with_id, NEW.enclosed)
       IS DISTINCT FROM (OLD.signature, OLD.signed_with_id, OLD.enclosed) THEN
        RAISE EXCEPTION 'release %: its signature and what goes with it never change', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status = 'ready' AND OLD.status <> 'ready'
       AND (length(NEW.signature) <> 64 OR NEW.signed_with_id IS NULL) THEN
        RAISE EXCEPTION 'release %: not ready without the signature of its manifest', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER release_signature_guard BEFORE UPDATE ON releases_release
    FOR EACH ROW EXECUTE FUNCTION release_signature_guard();
