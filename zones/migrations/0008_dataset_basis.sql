-- What published data rest on is not loosened afterwards, and their holder stays: offers and signatures name them.
CREATE FUNCTION zones_dataset_basis_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'draft' THEN
        RETURN NEW;
    END IF;
    IF OLD.consent_required AND NOT NEW.consent_required THEN
        RAISE EXCEPTION 'a published dataset goes on resting on consent (dataset_basis_is_kept)'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.holder_id <> OLD.holder_id OR NEW.is_personal <> OLD.is_personal THEN
        RAISE EXCEPTION 'a published dataset keeps its holder and its nature (dataset_basis_is_kept)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dataset_basis_is_kept BEFORE UPDATE ON zones_dataset
    FOR EACH ROW EXECUTE FUNCTION zones_dataset_basis_is_kept();
