import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

ROLES = [
    ("direct_identifier", "identifiant direct"),
    ("subject_key", "clé du sujet"),
    ("quasi_identifier", "quasi-identifiant"),
    ("sensitive", "sensibilité renforcée"),
    ("measure", "mesure"),
    ("timestamp", "date ou heure"),
    ("free_text", "texte libre"),
    ("geo", "lieu"),
    ("staff", "professionnel"),
    ("record_key", "clé de lien"),
    ("birth", "naissance"),
]


class Migration(migrations.Migration):
    """Tables beside what there was; 0013 fills them, 0014 requires them."""

    dependencies = [("zones", "0011_reading_indexes")]

    operations = [
        migrations.CreateModel(
            name="Table",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120, verbose_name="table")),
                ("position", models.PositiveIntegerField()),
                ("description", models.CharField(blank=True, max_length=300, verbose_name="en mots")),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tables", to="zones.dataset"
                    ),
                ),
            ],
            options={"ordering": ["position", "pk"]},
        ),
        migrations.AddConstraint(
            model_name="table",
            constraint=models.UniqueConstraint(
                models.F("dataset"), django.db.models.functions.text.Lower("name"), name="table_name_once"
            ),
        ),
        migrations.CreateModel(
            name="VersionFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file_name", models.CharField(max_length=200, verbose_name="nom du fichier")),
                ("sha256", models.CharField(max_length=64, verbose_name="SHA-256 des octets d'origine")),
                ("size", models.BigIntegerField(verbose_name="taille (octets)")),
                ("stored_as", models.CharField(blank=True, editable=False, max_length=120)),
                (
                    "format",
                    models.CharField(
                        choices=[
                            ("csv", "CSV"),
                            ("ndjson", "JSON par lignes"),
                            ("fhir", "FHIR"),
                            ("parquet", "Parquet"),
                        ],
                        default="csv",
                        max_length=8,
                        verbose_name="format",
                    ),
                ),
                ("reading", models.JSONField(default=dict, verbose_name="options de lecture")),
                ("proposed", models.JSONField(default=dict, verbose_name="corrections proposées")),
                ("rows", models.BigIntegerField(blank=True, null=True, verbose_name="lignes")),
                (
                    "place",
                    models.CharField(
                        choices=[("upload", "envoyé"), ("folder", "dossier de l'opérateur"), ("s3", "stockage S3")],
                        default="upload",
                        max_length=8,
                        verbose_name="lieu",
                    ),
                ),
                (
                    "place_ref",
                    models.CharField(blank=True, max_length=1000, verbose_name="adresse dans ce lieu"),
                ),
                (
                    "table",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="files", to="zones.table"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="files", to="zones.datasetversion"
                    ),
                ),
            ],
            options={"ordering": ["table__position", "pk"]},
        ),
        migrations.AddConstraint(
            model_name="versionfile",
            constraint=models.UniqueConstraint(fields=("version", "table"), name="version_file_one_a_table"),
        ),
        migrations.AddConstraint(
            model_name="versionfile",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("place", "upload"), ("place_ref", ""), models.Q(("stored_as", ""), _negated=True)),
                    models.Q(models.Q(("place", "upload"), _negated=True), models.Q(("place_ref", ""), _negated=True)),
                    _connector="OR",
                ),
                name="version_file_lies_somewhere",
            ),
        ),
        migrations.AlterField(
            model_name="column",
            name="role",
            field=models.CharField(blank=True, choices=ROLES, max_length=20, verbose_name="rôle"),
        ),
        migrations.AlterField(
            model_name="column",
            name="suggested_role",
            field=models.CharField(blank=True, choices=ROLES, max_length=20),
        ),
        migrations.AddField(
            model_name="column",
            name="path",
            field=models.CharField(max_length=241, null=True, verbose_name="colonne"),
        ),
        migrations.AddField(
            model_name="column",
            name="table",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="columns", to="zones.table"
            ),
        ),
        migrations.AddField(
            model_name="column",
            name="references",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="referenced_by",
                to="zones.column",
            ),
        ),
        migrations.AlterField(
            model_name="datasetversion",
            name="sha256",
            field=models.CharField(blank=True, max_length=64, verbose_name="SHA-256 des octets d'origine"),
        ),
        migrations.AlterField(
            model_name="datasetversion",
            name="size",
            field=models.BigIntegerField(default=0, verbose_name="taille (octets)"),
        ),
        migrations.AlterField(
            model_name="datasetversion",
            name="status",
            field=models.CharField(
                choices=[
                    ("draft", "en préparation"),
                    ("received", "reçu"),
                    ("profiling", "en cours d'examen"),
                    ("profiled", "examiné"),
                    ("refused", "refusé"),
                ],
                default="received",
                max_length=12,
                verbose_name="état",
            ),
        ),
    ]
