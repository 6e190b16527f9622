-- A column is of a table of its dataset; a key points to another column of the same dataset, of its own table too: the
-- row before, the mother.
CREATE OR REPLACE FUNCTION zones_column_of_its_table() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF NEW.references_id IS NOT NULL AND (NEW.references_id = NEW.id OR NOT EXISTS (
           SELECT 1 FROM zones_column k WHERE k.id = NEW.references_id AND k.dataset_id = NEW.dataset_id
       )) THEN
        RAISE EXCEPTION 'a key is another column of the same dataset (column_reference)'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
