"""What the desk remembers for its readers. `BinaryField` values are raw hashes of 32 bytes."""

from urllib.parse import urlencode

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from broker import clock


class LogVisit(models.Model):
    """What a reader of the log saw of it on one day: its length and its root when they last looked.

    The next visit must find a log that begins with this one; a browser keeps its own memory of it besides."""

    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="log_visits")
    day = models.DateField()
    size = models.BigIntegerField("inscriptions")
    root = models.BinaryField("racine", max_length=32)
    seen_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-day", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["reader", "day"], name="log_visit_once_a_day"),
            models.CheckConstraint(condition=Q(size__gt=0), name="log_visit_saw_something"),
        ]

    def __str__(self):
        return f"{self.reader_id} {self.day}"


class DailyCheckpoint(models.Model):
    """The last checkpoint of one day, in real time, as it is mailed; its letters are written once."""

    day = models.DateField(unique=True)
    size = models.BigIntegerField("inscriptions")
    written_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-day"]
        constraints = [models.CheckConstraint(condition=models.Q(size__gt=0), name="daily_checkpoint_holds_something")]

    def __str__(self):
        return f"{self.day}: {self.size}"


class CheckpointLetter(models.Model):
    """One reader's letter of one day; it leaves once."""

    daily = models.ForeignKey(DailyCheckpoint, models.CASCADE, related_name="letters")
    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["daily", "reader"], name="checkpoint_letter_once")]

    def __str__(self):
        return f"{self.daily_id}: {self.reader_id}"


class SavedSearchQuerySet(models.QuerySet):
    def for_user(self, user):
        """One's own: what somebody asks of the log is nobody else's."""
        return self.filter(owner=user)


class SavedSearch(models.Model):
    """A search of the log that its owner keeps under a name; `asked` holds the fields of its form as they were sent."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_searches")
    name = models.CharField("nom", max_length=80)
    asked = models.JSONField(default=dict)
    saved_at = models.DateTimeField(default=clock.now)

    objects = SavedSearchQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="saved_search_once"),
            models.CheckConstraint(condition=~Q(name=""), name="saved_search_has_a_name"),
        ]

    def __str__(self):
        return self.name

    @property
    def address(self) -> str:
        """The page of its answer today."""
        return f"{reverse('audit-search')}?{urlencode(self.asked)}"


class LogHold(models.Model):
    """A detail of the log kept beyond its term, until a day included, for a reason that is written."""

    zone = models.ForeignKey("zones.Zone", models.PROTECT, related_name="+")
    event_id = models.BigIntegerField()
    leaf_index = models.BigIntegerField("place")
    reason = models.TextField("motif")
    until = models.DateField("jusqu'au")
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=clock.now)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event_id"], condition=Q(lifted_at=None), name="log_hold_once"),
            models.CheckConstraint(condition=~Q(reason=""), name="log_hold_says_why"),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None) | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="log_hold_lifted_by_somebody",
            ),
        ]

    def __str__(self):
        return f"{self.leaf_index} {self.until}"
