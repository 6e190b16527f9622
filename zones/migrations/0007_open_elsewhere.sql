-- Data that are open elsewhere are a link: published without a version, and never given one here.
CREATE OR REPLACE FUNCTION zones_published_when_ready() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.open_url = '') <> (OLD.open_url = '') THEN
        RAISE EXCEPTION 'a dataset stays here or elsewhere (dataset_open_elsewhere)' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.open_url = '' AND NEW.status = 'published' AND (TG_OP = 'INSERT' OR OLD.status <> 'published') THEN
        IF NOT EXISTS (SELECT 1 FROM zones_datasetversion v WHERE v.dataset_id = NEW.id AND v.status = 'profiled')
           OR NOT EXISTS (SELECT 1 FROM zones_column c WHERE c.dataset_id = NEW.id)
           OR EXISTS (SELECT 1 FROM zones_column c WHERE c.dataset_id = NEW.id AND c.role = '') THEN
            RAISE EXCEPTION 'a published dataset has an examined version and confirmed roles (dataset_ready)'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION zones_nothing_of_open_data() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM zones_dataset d WHERE d.id = NEW.dataset_id AND d.open_url <> '') THEN
        RAISE EXCEPTION 'open data stay where they are (dataset_open_elsewhere)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_not_of_open_data BEFORE INSERT OR UPDATE OF dataset_id ON zones_datasetversion
    FOR EACH ROW EXECUTE FUNCTION zones_nothing_of_open_data();
CREATE TRIGGER column_not_of_open_data BEFORE INSERT OR UPDATE OF dataset_id ON zones_column
    FOR EACH ROW EXECUTE FUNCTION zones_nothing_of_open_data();

-- A zone that was open is closed for good by two persons; a draft may be dropped by one.
CREATE FUNCTION zones_closed_by_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'closed' AND OLD.status IN ('open', 'suspended') AND NOT EXISTS (
           SELECT 1 FROM accounts_countersign c
           WHERE c.act = 'zone.close' AND c.second_by_id IS NOT NULL AND c.second_at = NEW.closed_at
             AND c.object_ref = 'zone:' || NEW.slug
       ) THEN
        RAISE EXCEPTION 'an open zone is closed by two persons (zone_closed_by_two)' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at THEN
        RAISE EXCEPTION 'the day of closing stays (zone_closed_by_two)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER zone_closed_by_two BEFORE UPDATE ON zones_zone
    FOR EACH ROW EXECUTE FUNCTION zones_closed_by_two();
