"""The tree over the events: watermark, search index, tiles, checkpoints; who may write which."""

from pathlib import Path

from django.db import migrations

SQL = (Path(__file__).parent / "0002_tree.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_log")]
    operations = [migrations.RunSQL(SQL, reverse_sql=migrations.RunSQL.noop)]
