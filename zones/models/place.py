"""What the worker saw in the operator's own places, and the files that a person asked it to read there."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from broker import clock

from .dataset import Dataset, DatasetVersion, VersionFile
from .zone import Zone


class PlaceListing(models.Model):
    """The files of one place of a zone, names and sizes, when the worker last looked: the web opens no place."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="listings")
    place = models.CharField("lieu", max_length=8, choices=VersionFile.Place.choices)
    files = models.JSONField("fichiers", default=list)  # of {"ref", "size", "mark"}
    problem = models.TextField("motif", blank=True)
    listed_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["place"]
        constraints = [models.UniqueConstraint(fields=["zone", "place"], name="place_listing_once")]

    def __str__(self):
        return f"{self.zone} {self.place}"


class SourceOrder(models.Model):
    """One file of a place that a person chose: the worker reads it once, and makes it a version or says why not."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="source_orders")
    place = models.CharField("lieu", max_length=8, choices=VersionFile.Place.choices)
    ref = models.CharField("adresse dans ce lieu", max_length=1000)
    size = models.BigIntegerField("taille (octets)")
    mark = models.CharField("marque du lieu", max_length=300)
    reading = models.JSONField("options de lecture", default=dict)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=clock.now, editable=False)
    version = models.OneToOneField(DatasetVersion, models.PROTECT, null=True, blank=True, related_name="order")
    problem = models.TextField("motif de refus", blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(version=None) | Q(problem=""), name="source_order_one_end"),
        ]

    def __str__(self):
        return self.ref

    @property
    def waits(self) -> bool:
        return self.version_id is None and not self.problem
