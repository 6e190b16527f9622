"""The two different persons of one decision marked `x2` (legal-gate, section 2)."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from broker import clock

from .organisation import Organisation


class Countersign(models.Model):
    """One act on one object, wanted by a first person, agreed by a second who must be somebody else.

    `concerned` is the organisation the decision is about: neither person may belong to it (a trigger refuses).
    """

    act = models.CharField(max_length=60)
    object_ref = models.CharField(max_length=80)
    concerned = models.ForeignKey(Organisation, models.PROTECT, null=True, blank=True, related_name="+")
    first_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    first_at = models.DateTimeField(default=clock.now)
    first_reason = models.TextField(blank=True)
    second_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    second_at = models.DateTimeField(null=True, blank=True)
    second_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(second_by=None) | ~Q(second_by=F("first_by")), name="countersign_two_persons"
            ),
            models.CheckConstraint(
                condition=Q(second_by=None, second_at=None) | Q(second_by__isnull=False, second_at__isnull=False),
                name="countersign_second_at_with_by",
            ),
            models.UniqueConstraint(
                fields=["act", "object_ref"], condition=Q(second_by=None), name="countersign_one_open"
            ),
        ]

    @property
    def is_complete(self) -> bool:
        return self.second_by_id is not None
