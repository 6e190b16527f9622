"""Objections of data subjects. The platform holds a keyed token, never a name or a local identifier."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from zones.models import Zone


class Opposition(models.Model):
    """A person of one zone refuses reuse. `token` = HMAC-SHA-256(zone key, local identifier), 32 bytes."""

    class Scope(models.TextChoices):
        EVERYTHING = "everything", _("toute réutilisation")
        DATASET = "dataset", _("un jeu de données")

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="oppositions")
    token = models.BinaryField(max_length=32)
    scope = models.CharField(max_length=12, choices=Scope.choices, default=Scope.EVERYTHING)
    dataset = models.ForeignKey("zones.Dataset", models.PROTECT, null=True, blank=True, related_name="+")
    receipt = models.CharField("numéro de récépissé", max_length=26, unique=True)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)
    effective_at = models.DateTimeField("en vigueur le")
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["zone", "token", "scope", "dataset"],
                condition=Q(withdrawn_at=None),
                nulls_distinct=False,
                name="opposition_once",
            )
        ]


class SealedRequest(models.Model):
    """What a person says, on its way to the zone's worker, sealed to the zone's key; the worker deletes the row.

    Sealed is a local identifier or, for an import, a whole file of them; `facts` holds what is not secret.
    """

    class Kind(models.TextChoices):
        OPPOSITION = "opposition", _("opposition")
        CONSENT = "consent", _("consentement")
        WITHDRAWAL = "withdrawal", _("retrait de consentement")
        IMPORT = "import", _("import de consentements")

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.OPPOSITION)
    receipt = models.CharField(max_length=26, unique=True)
    sealed = models.BinaryField()
    facts = models.JSONField(default=dict)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now)


class ObjectionRequest(models.Model):
    """A "no" said on the public page, without an account: sealed at once, in force once the operator knows who spoke.

    The operator sees the receipt and the reference the person gave, never the identifier. What was sealed and the
    reference are erased with the decision."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("identité à vérifier")
        CONFIRMED = "confirmed", _("confirmée")
        DISMISSED = "dismissed", _("écartée")

    class Speaks(models.TextChoices):
        SELF = "self", _("pour moi")
        PARENT = "parent", _("pour mon enfant, ou une personne que je représente")
        CARER = "carer", _("pour un proche que j'accompagne")

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="objection_requests")
    receipt = models.CharField("numéro de récépissé", max_length=26, unique=True)
    sealed = models.BinaryField(default=bytes)
    dataset = models.ForeignKey("zones.Dataset", models.PROTECT, null=True, blank=True, related_name="+")
    speaks = models.CharField(max_length=8, choices=Speaks.choices, default=Speaks.SELF)
    contact = models.CharField(max_length=80, blank=True)
    status = models.CharField("état", max_length=10, choices=Status.choices, default=Status.WAITING)
    received_at = models.DateTimeField(default=clock.now)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField("motif", max_length=300, blank=True)

    class Meta:
        ordering = ["received_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="waiting", decided_at=None, decided_by=None)
                | (
                    ~Q(status="waiting") & Q(sealed=b"", contact="", decided_at__isnull=False, decided_by__isnull=False)
                ),
                name="objection_decided_forgets",
            ),
            models.CheckConstraint(
                condition=~Q(status="dismissed") | ~Q(reason=""), name="objection_dismissed_says_why"
            ),
        ]
