"""Kill switches and policy epochs, by kind and reference: anything that ends an access raises an epoch."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from broker import clock
from broker.accounts.models import Countersign


class PolicyEpoch(models.Model):
    """A number that only grows, for one object ("zone", "12"). A stream that started under a lower one stops."""

    kind = models.CharField(max_length=20)
    ref = models.CharField(max_length=60)
    value = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "ref"], name="epoch_once")]


class KillSwitch(models.Model):
    """An immediate cut on any object; on while `lifted_at` is empty. `lifted_under` names the two who lifted it."""

    kind = models.CharField(max_length=20)
    ref = models.CharField(max_length=60)
    reason = models.TextField()
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    set_at = models.DateTimeField(default=clock.now)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_under = models.OneToOneField(Countersign, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "ref"], condition=Q(lifted_at=None), name="switch_once"),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_under=None) | Q(lifted_at__isnull=False, lifted_under__isnull=False),
                name="switch_lifted_under_a_decision",
            ),
        ]
