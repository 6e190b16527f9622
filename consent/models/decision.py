"""Decisions of the gate: written before any effect, never changed; the case alone may be erased."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import Organisation

from .convention import Convention


class Effect(models.TextChoices):
    PERMIT = "permit", _("permis")
    PERMIT_WITH_OBLIGATIONS = "permit_with_obligations", _("permis sous obligations")
    DENY = "deny", _("refusé")


class GateDecision(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(max_length=24)
    actor_ref = models.CharField(max_length=60)
    organisation = models.ForeignKey(Organisation, models.PROTECT, null=True, related_name="+")
    convention = models.ForeignKey(Convention, models.PROTECT, null=True, related_name="decisions")
    object_ref = models.CharField(max_length=80)
    columns = models.JSONField(default=list)
    effect = models.CharField(max_length=24, choices=Effect.choices)
    reasons = models.JSONField(default=list)
    obligations = models.JSONField(default=list)
    ruleset_version = models.CharField(max_length=20)
    ruleset_sha256 = models.CharField(max_length=64)
    policy_epoch = models.BigIntegerField()
    case = models.JSONField(null=True)
    case_sha256 = models.CharField(max_length=64)
    event_id = models.CharField("événement du journal", max_length=26)
    decided_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-decided_at"]
        constraints = [
            models.UniqueConstraint(fields=["id", "effect"], name="decision_id_with_effect"),
            models.CheckConstraint(
                condition=Q(effect="permit", obligations=[])
                | (Q(effect="permit_with_obligations") & ~Q(obligations=[]))
                | (Q(effect="deny") & ~Q(reasons=[])),
                name="decision_effect_fits_its_lists",
            ),
        ]

    @property
    def is_permit(self) -> bool:
        return self.effect != Effect.DENY


class QuotaUse(models.Model):
    """One unit of a convention's quota, reserved with the decision and given back if no byte was sent."""

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="quota_uses")
    kind = models.CharField(max_length=20)
    object_ref = models.CharField(max_length=80, blank=True)
    decision = models.OneToOneField(GateDecision, models.PROTECT, related_name="quota_use")
    reserved_at = models.DateTimeField(default=clock.now)
    given_back_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["convention", "kind", "reserved_at"], name="quota_by_convention")]
