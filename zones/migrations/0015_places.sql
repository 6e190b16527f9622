-- A file where the operator keeps it bears the mark it had when it was read, for good.
CREATE FUNCTION zones_version_file_mark_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a file keeps the mark it had (version_file_mark_kept)' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER version_file_mark_kept BEFORE UPDATE ON zones_versionfile FOR EACH ROW
    WHEN (NEW.place_mark IS DISTINCT FROM OLD.place_mark) EXECUTE FUNCTION zones_version_file_mark_kept();

-- What a person chose to have read is told once: a version, or why not; then it stays.
CREATE FUNCTION zones_source_order_told_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.version_id IS NOT NULL OR OLD.problem <> ''
       OR (NEW.dataset_id, NEW.place, NEW.ref, NEW.size, NEW.mark, NEW.reading, NEW.asked_by_id, NEW.asked_at)
          IS DISTINCT FROM
          (OLD.dataset_id, OLD.place, OLD.ref, OLD.size, OLD.mark, OLD.reading, OLD.asked_by_id, OLD.asked_at)
       OR NEW.version_id IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM zones_datasetversion v WHERE v.id = NEW.version_id AND v.dataset_id = NEW.dataset_id
       ) THEN
        RAISE EXCEPTION 'a choice of file is answered once (source_order_told_once)' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER source_order_told_once BEFORE UPDATE ON zones_sourceorder
    FOR EACH ROW EXECUTE FUNCTION zones_source_order_told_once();
