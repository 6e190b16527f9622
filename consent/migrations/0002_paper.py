"""The versions of an offer, and the sealed form of a signed document."""

import django.db.models.deletion
from django.db import migrations, models

import broker.clock


class Migration(migrations.Migration):
    dependencies = [("consent", "0001_first")]

    operations = [
        migrations.AddField(
            "offer",
            "replaces",
            models.ForeignKey(
                "consent.offer",
                django.db.models.deletion.PROTECT,
                null=True,
                blank=True,
                related_name="replaced_by",
            ),
        ),
        migrations.CreateModel(
            "SealedDocument",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("pdf", models.BinaryField()),
                ("sha256", models.CharField(max_length=64)),
                (
                    "certificate_sha256",
                    models.CharField(max_length=64, verbose_name="empreinte du certificat du cachet"),
                ),
                ("has_time_stamp", models.BooleanField(verbose_name="horodaté par une autorité")),
                ("sealed_at", models.DateTimeField(default=broker.clock.now)),
                (
                    "document",
                    models.OneToOneField(
                        "consent.conventiondocument",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sealed",
                    ),
                ),
            ],
        ),
    ]
