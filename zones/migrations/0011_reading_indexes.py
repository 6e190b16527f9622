from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("zones", "0010_checked_on")]

    operations = [
        migrations.AddIndex(
            model_name="dataset",
            index=models.Index(fields=["zone", "title", "id"], include=("status",), name="dataset_of_zone"),
        ),
        migrations.AddIndex(
            model_name="dataset",
            index=models.Index(fields=["id"], include=("zone", "holder"), name="dataset_whose"),
        ),
    ]
