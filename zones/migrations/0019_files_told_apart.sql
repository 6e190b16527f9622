-- Which table a file is may be said while its version is in preparation: its name need not be last year's.
CREATE OR REPLACE FUNCTION zones_version_file_as_received() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_version zones_datasetversion;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'a file of a version stays (version_file_as_received)' USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT 1 FROM zones_datasetversion v WHERE v.id = OLD.version_id AND v.status <> 'draft') THEN
            RAISE EXCEPTION 'a file of a version stays (version_file_as_received)' USING ERRCODE = 'check_violation';
        END IF;
        RETURN OLD;
    END IF;
    SELECT * INTO of_version FROM zones_datasetversion v WHERE v.id = NEW.version_id FOR SHARE;
    IF TG_OP = 'INSERT' AND of_version.status <> 'draft' THEN
        RAISE EXCEPTION 'a file enters a draft (version_file_as_received)' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM zones_table t WHERE t.id = NEW.table_id AND t.dataset_id = of_version.dataset_id) THEN
        RAISE EXCEPTION 'a file is of a table of its dataset (version_file_of_its_dataset)'
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND (
           (NEW.version_id, NEW.file_name, NEW.sha256, NEW.size, NEW.stored_as, NEW.format, NEW.place, NEW.place_ref)
           IS DISTINCT FROM
           (OLD.version_id, OLD.file_name, OLD.sha256, OLD.size, OLD.stored_as, OLD.format, OLD.place, OLD.place_ref)
           OR of_version.status <> 'draft' AND NEW.table_id <> OLD.table_id
           OR of_version.status = 'profiled' AND (NEW.reading, NEW.rows) IS DISTINCT FROM (OLD.reading, OLD.rows)
       ) THEN
        RAISE EXCEPTION 'a file keeps what it was when it arrived (version_file_as_received)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
