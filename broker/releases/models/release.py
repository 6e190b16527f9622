"""Releases, the receipts of their treatments, their deliveries, and the index that tells who is in them."""

import uuid
from datetime import date, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import MachineOrder
from broker.keys.models import DataKey
from consent.models import Convention, GateDecision
from zones.models import DatasetVersion

KEPT = timedelta(days=90)


class ReleaseQuerySet(models.QuerySet):
    def for_user(self, user):
        """Releases `user` may know of: those of the conventions they may know of."""
        return self.filter(convention__in=Convention.objects.for_user(user))


class Release(models.Model):
    """A minimised, pseudonymised extract for one convention, one rule set, one recipe and one key."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("en attente")
        BUILDING = "building", _("en préparation")
        READY = "ready", _("prête")
        FAILED = "failed", _("refusée ou échouée")
        WITHDRAWN = "withdrawn", _("retirée")
        EXPIRED = "expired", _("expirée")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=14, default="experimental")
    convention = models.ForeignKey(Convention, models.PROTECT, related_name="releases")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="releases")
    decision = models.ForeignKey(GateDecision, models.PROTECT, related_name="releases")
    # The release that this one was rebuilt from, without the persons who have said no since (legal-gate, section 8).
    replaces = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="rebuilds")
    ruleset_version = models.CharField(max_length=20)
    recipe = models.JSONField()
    recipe_sha256 = models.CharField(max_length=64)
    key = models.ForeignKey(DataKey, models.PROTECT, null=True, blank=True, related_name="releases")
    delivery_mode = models.CharField(max_length=20)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(default=clock.now, editable=False)
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    progress = models.JSONField(default=dict)
    problem = models.TextField(blank=True)
    opposition_snapshot_at = models.DateTimeField(null=True, blank=True)
    rows_in = models.BigIntegerField(null=True, blank=True)
    rows_out = models.BigIntegerField(null=True, blank=True)
    subjects_out = models.BigIntegerField(null=True, blank=True)
    dropped = models.JSONField("lignes écartées, par motif", default=dict)
    k_min = models.BigIntegerField(null=True, blank=True)
    clear_sha256 = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField("SHA-256 du fichier remis", max_length=64, blank=True)
    size = models.BigIntegerField("taille (octets)", null=True, blank=True)
    file_name = models.CharField(max_length=120, blank=True)
    stored_as = models.CharField(max_length=160, blank=True)
    manifest = models.JSONField(default=dict)
    # Over the canonical bytes of the manifest (`signing`), and what goes with the file: name -> text (`enclosing`).
    signature = models.BinaryField(max_length=64, default=bytes)
    signed_with = models.ForeignKey(DataKey, models.PROTECT, null=True, blank=True, related_name="signed_releases")
    enclosed = models.JSONField(default=dict)
    built_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.CheckConstraint(condition=Q(kind="experimental"), name="release_is_experimental"),
            models.CheckConstraint(
                condition=~Q(status="ready")
                | (Q(built_at__isnull=False, size__isnull=False) & ~Q(sha256="") & ~Q(stored_as="")),
                name="release_ready_is_complete",
            ),
            models.UniqueConstraint(
                fields=["decision"], condition=Q(replaces=None), name="release_once_for_its_decision"
            ),
            models.UniqueConstraint(
                fields=["replaces"], condition=~Q(status="failed"), name="release_is_replaced_once"
            ),
        ]

    def __str__(self):
        return f"{self.dataset_version.dataset} · {self.convention.ref}"

    @property
    def kept_until(self) -> date | None:
        """The last day its file is kept: ninety days, and never after the convention (legal-gate, section 11)."""
        if self.built_at is None:
            return None
        return min(self.built_at.astimezone(clock.PARIS).date() + KEPT, self.convention.ends_on)

    @property
    def tone(self) -> str:
        """The tone of its state on pages."""
        return {"queued": "wait", "building": "wait", "ready": "ok", "failed": "no"}.get(self.status, "quiet")


class WithdrawalOrder(models.Model):
    """What a recipient must remove from its copies: pseudonyms of its own convention, nothing that another holds.

    The worker writes it; which opposition it comes from is stored nowhere: a row that tied a token to a pseudonym
    would let two conventions be joined (invariant 7)."""

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="withdrawal_orders")
    releases = models.ManyToManyField(Release, related_name="withdrawal_orders")
    pseudonyms = models.JSONField(default=list)
    issued_at = models.DateTimeField(default=clock.now)
    due_on = models.DateField("à exécuter au plus tard le")
    attested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    attested_at = models.DateTimeField(null=True, blank=True)
    attestation = models.TextField("attestation", blank=True)

    class Meta:
        ordering = ["-issued_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(attested_at=None, attested_by=None, attestation="")
                | (Q(attested_at__isnull=False, attested_by__isnull=False) & ~Q(attestation="")),
                name="withdrawal_attested_whole",
            )
        ]

    @property
    def is_overdue(self) -> bool:
        return self.attested_at is None and self.due_on < clock.today()


class WithdrawalCheck(models.Model):
    """Up to which state of the register a convention's recipients were told what to remove."""

    convention = models.OneToOneField(Convention, models.PROTECT, related_name="withdrawal_check")
    register_sha256 = models.CharField(max_length=64)
    checked_at = models.DateTimeField(default=clock.now)


class Inquiry(models.Model):
    """A question on who is where, answered by the zone's worker alone: where a person's data went, or from which
    convention a leaked line comes. What was asked is sealed to the zone's key and erased once answered."""

    class Kind(models.TextChoices):
        SUBJECT = "subject", _("où sont allées les données d'une personne")
        LEAK = "leak", _("d'où viennent des lignes trouvées dehors")

    class Status(models.TextChoices):
        WAITING = "waiting", _("en attente")
        ANSWERED = "answered", _("répondu")
        FAILED = "failed", _("sans réponse")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    zone = models.ForeignKey("zones.Zone", models.PROTECT, related_name="inquiries")
    sealed = models.BinaryField(default=bytes)
    status = models.CharField("état", max_length=10, choices=Status.choices, default=Status.WAITING)
    found = models.JSONField(default=dict)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(default=clock.now)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.CheckConstraint(condition=Q(status="waiting") | Q(sealed=b""), name="inquiry_forgets_what_was_asked")
        ]


class Receipt(models.Model):
    """The proof that one obligation of the decision was carried out by the build."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="receipts")
    obligation = models.CharField(max_length=40)
    what = models.CharField(max_length=300)
    count = models.BigIntegerField("lignes ou colonnes")
    digest = models.CharField(max_length=64)
    figures = models.JSONField(default=dict)
    is_done = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "obligation"], name="receipt_once")]


class TraceEntry(models.Model):
    """A zone token that is in a release. Never a pseudonym: the two cannot be tied here."""

    release = models.ForeignKey(Release, models.CASCADE, related_name="trace")
    token = models.BinaryField(max_length=32)

    class Meta:
        indexes = [models.Index(fields=["token"], name="trace_by_token")]


class Delivery(models.Model):
    """Bytes that left, under one permit decision recorded before the first of them."""

    release = models.ForeignKey(Release, models.PROTECT, related_name="deliveries")
    decision = models.OneToOneField(GateDecision, models.PROTECT, related_name="delivery")
    decision_effect = models.CharField(max_length=24)
    order = models.ForeignKey(MachineOrder, models.PROTECT, null=True, blank=True, related_name="deliveries")
    first_byte = models.BigIntegerField(default=0)
    bytes_sent = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decision_effect__in=["permit", "permit_with_obligations"]),
                name="delivery_needs_a_permit",
            )
        ]
