from django.db import migrations

# Every dataset that has a column or a version has one table, named like it; its file moves to the table.
FILL = """
INSERT INTO zones_table (dataset_id, name, position, description)
SELECT d.id, d.slug, 0, '' FROM zones_dataset d
WHERE EXISTS (SELECT 1 FROM zones_column c WHERE c.dataset_id = d.id)
   OR EXISTS (SELECT 1 FROM zones_datasetversion v WHERE v.dataset_id = d.id);

INSERT INTO zones_versionfile (version_id, table_id, file_name, sha256, size, stored_as, format, reading, proposed,
                               rows, place, place_ref)
SELECT v.id, t.id, v.file_name, v.sha256, v.size, v.stored_as, coalesce(v.reading ->> 'format', 'csv'), v.reading,
       v.proposed, v.rows, 'upload', ''
FROM zones_datasetversion v JOIN zones_table t ON t.dataset_id = v.dataset_id;

UPDATE zones_column c SET table_id = t.id, path = c.name FROM zones_table t WHERE t.dataset_id = c.dataset_id;
"""


class Migration(migrations.Migration):
    dependencies = [("zones", "0012_tables")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
