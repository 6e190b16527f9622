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


class SourceOrderQuerySet(models.QuerySet):
    def waiting(self):
        """Those that the worker has not answered."""
        return self.filter(file=None, problem="")


class SourceOrder(models.Model):
    """One file of a place that a person chose: the worker reads it once and makes it a file of a version, or says why
    not. `into` is the version in preparation that it joins as one of several tables; without one it is a version by
    itself. What is taken back or given up takes its order along.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="source_orders")
    place = models.CharField("lieu", max_length=8, choices=VersionFile.Place.choices)
    ref = models.CharField("adresse dans ce lieu", max_length=1000)
    size = models.BigIntegerField("taille (octets)")
    mark = models.CharField("marque du lieu", max_length=300)
    reading = models.JSONField("options de lecture", default=dict)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=clock.now, editable=False)
    into = models.ForeignKey(DatasetVersion, models.CASCADE, null=True, blank=True, related_name="orders")
    file = models.OneToOneField(VersionFile, models.CASCADE, null=True, blank=True, related_name="order")
    problem = models.TextField("motif de refus", blank=True)

    objects = SourceOrderQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(file=None) | Q(problem=""), name="source_order_one_end"),
        ]

    def __str__(self):
        return self.ref

    @property
    def waits(self) -> bool:
        return self.file_id is None and not self.problem

    @property
    def version(self) -> DatasetVersion | None:
        return self.file.version if self.file else None
