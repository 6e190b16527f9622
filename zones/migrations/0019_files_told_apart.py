from pathlib import Path

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("zones", "0018_own_references")]

    operations = [migrations.RunSQL(Path(__file__).with_suffix(".sql").read_text(), migrations.RunSQL.noop)]
