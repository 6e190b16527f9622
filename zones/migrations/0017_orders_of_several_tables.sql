-- What a person chose to have read is told once: a file of a version, or why not; then it stays.
CREATE FUNCTION zones_source_order_told_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.file_id IS NOT NULL OR OLD.problem <> ''
       OR (NEW.dataset_id, NEW.place, NEW.ref, NEW.size, NEW.mark, NEW.reading, NEW.asked_by_id, NEW.asked_at,
           NEW.into_id)
          IS DISTINCT FROM
          (OLD.dataset_id, OLD.place, OLD.ref, OLD.size, OLD.mark, OLD.reading, OLD.asked_by_id, OLD.asked_at,
           OLD.into_id)
       OR NEW.file_id IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM zones_versionfile f JOIN zones_datasetversion v ON v.id = f.version_id
           WHERE f.id = NEW.file_id AND v.dataset_id = NEW.dataset_id AND v.id = coalesce(NEW.into_id, v.id)
             AND f.place = NEW.place AND f.place_ref = NEW.ref
       ) THEN
        RAISE EXCEPTION 'a choice of file is answered once (source_order_told_once)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER source_order_told_once BEFORE UPDATE ON zones_sourceorder
    FOR EACH ROW EXECUTE FUNCTION zones_source_order_told_once();

-- It joins a version of its own dataset that still gathers its files.
CREATE FUNCTION zones_source_order_joins_a_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.into_id IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM zones_datasetversion v
           WHERE v.id = NEW.into_id AND v.dataset_id = NEW.dataset_id AND v.status = 'draft'
       ) THEN
        RAISE EXCEPTION 'a file joins a version in preparation (source_order_joins_a_draft)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER source_order_joins_a_draft BEFORE INSERT ON zones_sourceorder
    FOR EACH ROW EXECUTE FUNCTION zones_source_order_joins_a_draft();

-- A version is not received while a file that was chosen for it is still to be read.
CREATE FUNCTION zones_version_has_its_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM zones_sourceorder o WHERE o.into_id = NEW.id AND o.file_id IS NULL AND o.problem = '') THEN
        RAISE EXCEPTION 'a file of this version is still to be read (version_has_its_orders)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_has_its_orders BEFORE UPDATE ON zones_datasetversion
    FOR EACH ROW WHEN (OLD.status = 'draft' AND NEW.status <> 'draft')
    EXECUTE FUNCTION zones_version_has_its_orders();
