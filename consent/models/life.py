"""What happens to a convention after its signature, and how it ends: acts kept for its page, attested deletion.

The log remains the proof; these rows are what pages show without asking it.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from broker import clock

from .convention import Convention
from .registry import RegistryEntry


class ConventionAct(models.Model):
    """One act on a convention: who, when, why; `by` is empty when a rule of the house acted. Never changed."""

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="acts")
    act = models.CharField(max_length=20)
    status = models.CharField("état atteint", max_length=12, choices=Convention.Status.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    at = models.DateTimeField(default=clock.now)
    reason = models.TextField("motif", blank=True)
    effect_on = models.DateField("dernier jour d'accès qui en résulte", null=True, blank=True)

    class Meta:
        ordering = ["at", "pk"]


class DeletionAttestation(models.Model):
    """Signed proof that the copies are gone, given once by the experimenter; an officer verifies or returns it."""

    class Fate(models.TextChoices):
        DESTROYED = "destroyed", _("détruits")
        KEPT = "kept_with_attestation", _("conservés : aucune donnée personnelle ne peut en être extraite")
        NONE = "none", _("aucun modèle n'a été fait")

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="attestations")
    copies = models.TextField("copies et dérivés")
    backups = models.TextField("sauvegardes")
    models_fate = models.CharField("sort des modèles", max_length=24, choices=Fate.choices)
    processors = models.TextField("sous-traitants")
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    mandate = models.CharField("mandat", max_length=300)
    evidence = models.JSONField(default=dict)
    signed_at = models.DateTimeField(default=clock.now)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)
    is_verified = models.BooleanField(null=True)
    answer = models.TextField("ce que l'opérateur a vérifié, ou ce qui manque", blank=True)

    class Meta:
        ordering = ["-signed_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(answered_by=None, answered_at=None, is_verified=None)
                | Q(answered_by__isnull=False, answered_at__isnull=False, is_verified__isnull=False),
                name="attestation_answered_whole",
            ),
            models.CheckConstraint(
                condition=Q(answered_by=None) | ~Q(answered_by=F("signer")), name="attestation_verified_by_another"
            ),
            models.UniqueConstraint(
                fields=["convention"], condition=Q(answered_at=None), name="attestation_one_to_verify"
            ),
        ]


class AdversarialStep(models.Model):
    """Before a withdrawal: what the agency reproaches, and the organisation's answer within the time given.

    Source: CRPA art. L.121-1 and L.122-1; fifteen days to answer.
    """

    entry = models.ForeignKey(RegistryEntry, models.PROTECT, related_name="adversarial_steps")
    grounds = models.TextField("condition qui n'est plus remplie")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(default=clock.now)
    answer_by = models.DateField("réponse attendue jusqu'au")
    observations = models.TextField("observations", blank=True)
    observed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    observed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField("close sans retrait", null=True, blank=True)

    class Meta:
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(observed_by=None, observed_at=None)
                | Q(observed_by__isnull=False, observed_at__isnull=False),
                name="observations_dated_with_by",
            ),
            models.UniqueConstraint(fields=["entry"], condition=Q(closed_at=None), name="adversarial_step_one_open"),
        ]

    @property
    def is_held(self) -> bool:
        """Whether the organisation has answered, or let the time to answer pass."""
        return self.observed_at is not None or clock.today() > self.answer_by
