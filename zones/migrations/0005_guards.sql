-- What must never be, refused whoever asks.

-- Two persons open a zone: an open zone bears the time of a complete countersign of its own.
CREATE FUNCTION zones_opened_by_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'open' AND (TG_OP = 'INSERT' OR OLD.status <> 'open' OR NEW.opened_at IS DISTINCT FROM OLD.opened_at)
       AND NOT EXISTS (
           SELECT 1 FROM accounts_countersign c
           WHERE c.act = 'zone.open' AND c.second_by_id IS NOT NULL AND c.second_at = NEW.opened_at
             AND split_part(c.object_ref, '#', 1) = 'zone:' || NEW.slug
       ) THEN
        RAISE EXCEPTION 'a zone is opened by two persons (zone_opened_by_two)' USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.status = 'closed' AND NEW.status <> 'closed' THEN
        RAISE EXCEPTION 'a closed zone stays closed (zone_closed_for_good)' USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.slug, NEW.operator_id, NEW.kind) IS DISTINCT FROM (OLD.slug, OLD.operator_id, OLD.kind)
    THEN
        RAISE EXCEPTION 'a zone keeps its slug, kind and operator (zone_identity)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER zone_opened_by_two BEFORE INSERT OR UPDATE ON zones_zone
    FOR EACH ROW EXECUTE FUNCTION zones_opened_by_two();

-- What a version was when it arrived never changes, and a version stays.
CREATE FUNCTION zones_version_as_received() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RAISE EXCEPTION 'a version stays (version_as_received)' USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.dataset_id, NEW.number, NEW.sha256, NEW.size, NEW.stored_as, NEW.received_by_id, NEW.received_at)
       IS DISTINCT FROM
       (OLD.dataset_id, OLD.number, OLD.sha256, OLD.size, OLD.stored_as, OLD.received_by_id, OLD.received_at)
    THEN
        RAISE EXCEPTION 'a version keeps what it was when it arrived (version_as_received)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_as_received BEFORE UPDATE OR DELETE ON zones_datasetversion
    FOR EACH ROW EXECUTE FUNCTION zones_version_as_received();
CREATE TRIGGER version_as_received_truncate BEFORE TRUNCATE ON zones_datasetversion
    FOR EACH STATEMENT EXECUTE FUNCTION zones_version_as_received();

-- A dataset is published once its roles are confirmed and a version of it was examined; one column names the person.
CREATE FUNCTION zones_published_when_ready() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'published' AND (TG_OP = 'INSERT' OR OLD.status <> 'published') THEN
        IF NOT EXISTS (SELECT 1 FROM zones_datasetversion v WHERE v.dataset_id = NEW.id AND v.status = 'profiled')
           OR NOT EXISTS (SELECT 1 FROM zones_column c WHERE c.dataset_id = NEW.id)
           OR EXISTS (SELECT 1 FROM zones_column c WHERE c.dataset_id = NEW.id AND c.role = '') THEN
            RAISE EXCEPTION 'a published dataset has an examined version and confirmed roles (dataset_ready)'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dataset_ready BEFORE INSERT OR UPDATE ON zones_dataset
    FOR EACH ROW EXECUTE FUNCTION zones_published_when_ready();

CREATE UNIQUE INDEX column_one_subject_key ON zones_column (dataset_id) WHERE role = 'subject_key';

-- A column of a published dataset keeps a confirmed role.
CREATE FUNCTION zones_column_keeps_a_role() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (TG_OP = 'DELETE' OR NEW.role = '')
       AND EXISTS (SELECT 1 FROM zones_dataset d WHERE d.id = OLD.dataset_id AND d.status = 'published') THEN
        RAISE EXCEPTION 'a published column keeps a confirmed role (column_keeps_a_role)'
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER column_keeps_a_role BEFORE UPDATE OR DELETE ON zones_column
    FOR EACH ROW EXECUTE FUNCTION zones_column_keeps_a_role();
