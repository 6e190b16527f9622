from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

# The file of each version that a choice became: of those made so far, its only one.
FILES = """
UPDATE zones_sourceorder o SET file_id = f.id FROM zones_versionfile f WHERE f.version_id = o.version_id;
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [("zones", "0016_dataset_counted")]

    operations = [
        migrations.RunSQL(
            "DROP TRIGGER source_order_told_once ON zones_sourceorder; DROP FUNCTION zones_source_order_told_once();",
            migrations.RunSQL.noop,
        ),
        migrations.AddField(
            "sourceorder",
            "into",
            models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name="orders",
                to="zones.datasetversion",
            ),
        ),
        migrations.AddField(
            "sourceorder",
            "file",
            models.OneToOneField(
                blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name="order",
                to="zones.versionfile",
            ),
        ),
        migrations.RunSQL(FILES, migrations.RunSQL.noop),
        migrations.RemoveConstraint("sourceorder", "source_order_one_end"),
        migrations.RemoveField("sourceorder", "version"),
        migrations.AddConstraint(
            "sourceorder",
            models.CheckConstraint(
                condition=models.Q(("file", None), ("problem", ""), _connector="OR"), name="source_order_one_end"
            ),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]  # fmt: skip
