from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("zones", "0008_dataset_basis")]

    operations = [
        migrations.AddField(
            model_name="datasetversion",
            name="proposed",
            field=models.JSONField(default=dict, verbose_name="corrections proposées"),
        ),
    ]
