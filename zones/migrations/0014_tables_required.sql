-- One subject key a table, where it was one a dataset (a constraint of the model now).
DROP INDEX column_one_subject_key;

-- A version gathers its files as a draft. Once received, what it is never changes, and it stays.
CREATE OR REPLACE FUNCTION zones_version_as_received() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'a version stays (version_as_received)' USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'draft' THEN
            RAISE EXCEPTION 'a version stays (version_as_received)' USING ERRCODE = 'check_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'draft' THEN
            RAISE EXCEPTION 'a version begins as a draft (version_as_received)' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.dataset_id, NEW.number) IS DISTINCT FROM (OLD.dataset_id, OLD.number)
       OR OLD.status <> 'draft' AND (
           NEW.status = 'draft'
           OR (NEW.sha256, NEW.size, NEW.received_by_id, NEW.received_at)
              IS DISTINCT FROM (OLD.sha256, OLD.size, OLD.received_by_id, OLD.received_at)
       )
    THEN
        RAISE EXCEPTION 'a version keeps what it was when it arrived (version_as_received)'
            USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status = 'draft' AND NEW.status <> 'draft' AND NOT EXISTS (
           SELECT 1 FROM zones_versionfile f WHERE f.version_id = NEW.id
           HAVING count(*) > 0 AND sum(f.size) = NEW.size AND (count(*) > 1 OR min(f.sha256) = NEW.sha256)
       ) THEN
        RAISE EXCEPTION 'a version is received with its files (version_is_its_files)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_begins_as_draft BEFORE INSERT ON zones_datasetversion
    FOR EACH ROW EXECUTE FUNCTION zones_version_as_received();

-- A file enters a draft, for a table of the version's dataset; it goes with the draft or stays as it arrived.
-- What its reading counts is written until the version is examined.
CREATE FUNCTION zones_version_file_as_received() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF TG_OP = 'INSERT' THEN
        IF of_version.status <> 'draft' THEN
            RAISE EXCEPTION 'a file enters a draft (version_file_as_received)' USING ERRCODE = 'check_violation';
        END IF;
        IF NOT EXISTS (SELECT 1 FROM zones_table t WHERE t.id = NEW.table_id AND t.dataset_id = of_version.dataset_id)
        THEN
            RAISE EXCEPTION 'a file is of a table of its dataset (version_file_of_its_dataset)'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.version_id, NEW.table_id, NEW.file_name, NEW.sha256, NEW.size, NEW.stored_as, NEW.format, NEW.place,
        NEW.place_ref)
       IS DISTINCT FROM
       (OLD.version_id, OLD.table_id, OLD.file_name, OLD.sha256, OLD.size, OLD.stored_as, OLD.format, OLD.place,
        OLD.place_ref)
       OR of_version.status = 'profiled' AND (NEW.reading, NEW.rows) IS DISTINCT FROM (OLD.reading, OLD.rows)
    THEN
        RAISE EXCEPTION 'a file keeps what it was when it arrived (version_file_as_received)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_file_as_received BEFORE INSERT OR UPDATE OR DELETE ON zones_versionfile
    FOR EACH ROW EXECUTE FUNCTION zones_version_file_as_received();
CREATE TRIGGER version_file_as_received_truncate BEFORE TRUNCATE ON zones_versionfile
    FOR EACH STATEMENT EXECUTE FUNCTION zones_version_file_as_received();

-- A table stays in its dataset; once a version that was received has a file of it, it keeps its name too.
CREATE FUNCTION zones_table_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.dataset_id <> OLD.dataset_id THEN
        RAISE EXCEPTION 'a table stays in its dataset (table_is_kept)' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.name <> OLD.name AND EXISTS (
           SELECT 1 FROM zones_versionfile f JOIN zones_datasetversion v ON v.id = f.version_id
           WHERE f.table_id = OLD.id AND v.status <> 'draft'
       ) THEN
        RAISE EXCEPTION 'a table that was received keeps its name (table_is_kept)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER table_is_kept BEFORE UPDATE ON zones_table
    FOR EACH ROW EXECUTE FUNCTION zones_table_is_kept();
CREATE TRIGGER table_not_of_open_data BEFORE INSERT OR UPDATE OF dataset_id ON zones_table
    FOR EACH ROW EXECUTE FUNCTION zones_nothing_of_open_data();

-- A column is of a table of its dataset; a key points to a column of another table of the same dataset.
CREATE FUNCTION zones_column_of_its_table() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    its_table zones_table;
BEGIN
    SELECT * INTO its_table FROM zones_table t WHERE t.id = NEW.table_id;
    IF its_table.dataset_id <> NEW.dataset_id
       OR TG_OP = 'UPDATE' AND (NEW.dataset_id, NEW.table_id) IS DISTINCT FROM (OLD.dataset_id, OLD.table_id) THEN
        RAISE EXCEPTION 'a column is of a table of its dataset, and stays in it (column_of_its_table)'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.path NOT IN (NEW.name, its_table.name || '.' || NEW.name) THEN
        RAISE EXCEPTION 'a column is called by its name or after its table (column_path)'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.references_id IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM zones_column k
           WHERE k.id = NEW.references_id AND k.dataset_id = NEW.dataset_id AND k.table_id <> NEW.table_id
       ) THEN
        RAISE EXCEPTION 'a key is of another table of the same dataset (column_reference)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER column_of_its_table BEFORE INSERT OR UPDATE ON zones_column
    FOR EACH ROW EXECUTE FUNCTION zones_column_of_its_table();
