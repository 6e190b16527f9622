from pathlib import Path

from django.db import migrations, models


class Migration(migrations.Migration):
    """Data already open elsewhere are listed by their link; a zone that was open is closed by two persons."""

    dependencies = [("zones", "0006_no_minors_because"), ("accounts", "0001_first")]

    operations = [
        migrations.AddField(
            model_name="dataset",
            name="open_url",
            field=models.URLField(
                blank=True, default="", max_length=500, verbose_name="adresse où elles sont déjà ouvertes"
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="zone", name="closed_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddIndex(
            model_name="dataset",
            index=models.Index(
                condition=models.Q(("status", "published")), fields=["-published_at", "-id"],
                name="dataset_latest_first",
            ),
        ),
        migrations.AddConstraint(
            model_name="dataset",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("open_url", ""),
                    models.Q(
                        ("open_url__startswith", "https://"),
                        models.Q(("origin", ""), _negated=True),
                        models.Q(("licence", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="dataset_open_has_link_origin_licence",
            ),
        ),
        migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop),
    ]  # fmt: skip
