from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("consent", "0015_objection_request"), ("zones", "0010_checked_on")]

    operations = [
        migrations.AddIndex(
            model_name="convention",
            index=models.Index(fields=["-activated_at"], condition=Q(status="active"), name="convention_under_way"),
        ),
        migrations.AddIndex(
            model_name="convention",
            index=models.Index(fields=["-created_at", "id"], name="convention_latest_first"),
        ),
        migrations.AddIndex(
            model_name="offer",
            index=models.Index(
                fields=["dataset"],
                include=("ends_on", "starts_on", "notice_published_at"),
                condition=Q(status="published"),
                name="offer_to_take_up",
            ),
        ),
        migrations.AddIndex(
            model_name="offer",
            index=models.Index(
                fields=["created_at", "id"], condition=Q(status__in=["draft", "under_review"]), name="offer_to_finish"
            ),
        ),
    ]
