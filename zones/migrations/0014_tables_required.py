from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("zones", "0013_one_table_each")]

    operations = [
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
        migrations.RemoveField(model_name="datasetversion", name="file_name"),
        migrations.RemoveField(model_name="datasetversion", name="proposed"),
        migrations.RemoveField(model_name="datasetversion", name="reading"),
        migrations.RemoveField(model_name="datasetversion", name="stored_as"),
        migrations.RemoveConstraint(model_name="column", name="column_name_once"),
        migrations.AlterModelOptions(name="column", options={"ordering": ["table__position", "position"]}),
        migrations.AlterField(
            model_name="column", name="path", field=models.CharField(max_length=241, verbose_name="colonne")
        ),
        migrations.AlterField(
            model_name="column",
            name="table",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="columns", to="zones.table"
            ),
        ),
        migrations.AddConstraint(
            model_name="column",
            constraint=models.UniqueConstraint(fields=("table", "name"), name="column_name_once"),
        ),
        migrations.AddConstraint(
            model_name="column",
            constraint=models.UniqueConstraint(fields=("dataset", "path"), name="column_path_once"),
        ),
        migrations.AddConstraint(
            model_name="column",
            constraint=models.UniqueConstraint(
                condition=models.Q(("role", "subject_key")), fields=("table",), name="column_one_subject_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="datasetversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("status", "draft"), models.Q(("sha256", ""), _negated=True), _connector="OR"),
                name="version_received_has_bytes",
            ),
        ),
        migrations.AddConstraint(
            model_name="datasetversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "draft")), fields=("dataset",), name="version_one_draft"
            ),
        ),
    ]
