"""What a release would be, in figures, before it is asked for."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from consent.models import Convention, Offer
from zones.models import DatasetVersion


class PreviewQuerySet(models.QuerySet):
    def for_user(self, user):
        """One's own, as long as one may still know of its convention, or of its offer."""
        mine = self.filter(asked_by=user) if user.is_authenticated else self.none()
        return mine.filter(
            Q(convention__in=Convention.objects.for_user(user)) | Q(offer__in=Offer.objects.for_user(user))
        )


class Preview(models.Model):
    """The plan of one recipe carried out on the data, without a file: aggregates that the zone's worker computed."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("en attente")
        READY = "ready", _("prêt")
        FAILED = "failed", _("sans réponse")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    convention = models.ForeignKey(Convention, models.PROTECT, null=True, blank=True, related_name="previews")
    offer = models.ForeignKey(Offer, models.PROTECT, null=True, blank=True, related_name="previews")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="previews")
    recipe = models.JSONField()
    recipe_sha256 = models.CharField(max_length=64, db_index=True)
    status = models.CharField("état", max_length=10, choices=Status.choices, default=Status.WAITING)
    progress = models.JSONField(default=dict)
    found = models.JSONField(default=dict)
    problem = models.TextField(blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=clock.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    objects = PreviewQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(convention=None, offer__isnull=False) | Q(convention__isnull=False, offer=None),
                name="preview_of_one_thing",
            )
        ]

    @property
    def zone(self):
        return self.dataset_version.dataset.zone
