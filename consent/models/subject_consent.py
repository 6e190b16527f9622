"""Consents of data subjects, their withdrawals and their bulk imports. Keyed tokens, never a clear identifier."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from zones.models import Dataset, Zone


class Recipients(models.TextChoices):
    """To whom a person lets the data go."""

    ANY = "any_accredited", _("tout expérimentateur agréé")
    PUBLIC = "public_body", _("un organisme public seulement")


class ConsentImport(models.Model):
    """A file of consents, opened by the zone's worker alone. Lines that are refused are known by their number."""

    class Status(models.TextChoices):
        RECEIVED = "received", _("reçu")
        DONE = "done", _("enregistré")
        REFUSED = "refused", _("refusé")
        UNDONE = "undone", _("annulé")

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="consent_imports")
    receipt = models.CharField("numéro de récépissé", max_length=26, unique=True)
    file_name = models.CharField("nom du fichier", max_length=200)
    status = models.CharField("état", max_length=10, choices=Status.choices, default=Status.RECEIVED)
    progress = models.JSONField(default=dict)
    problem = models.TextField("motif de refus", blank=True)
    lines = models.PositiveIntegerField("lignes lues", default=0)
    recorded = models.PositiveIntegerField("consentements enregistrés", default=0)
    already = models.PositiveIntegerField("déjà enregistrés", default=0)
    refused = models.JSONField("lignes refusées : numéro et motif", default=list)
    received_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    received_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-received_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(undone_at=None, undone_by=None) | Q(undone_at__isnull=False, undone_by__isnull=False),
                name="consent_import_undone_at_with_by",
            ),
        ]

    def __str__(self):
        return self.receipt


class ConsentWithdrawal(models.Model):
    """A person takes back what they agreed to; of one dataset, or of everything in the zone. Acts as an opposition."""

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="consent_withdrawals")
    dataset = models.ForeignKey(Dataset, models.PROTECT, null=True, blank=True, related_name="+")
    token = models.BinaryField(max_length=32)
    receipt = models.CharField("numéro de récépissé", max_length=26, unique=True)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)
    effective_at = models.DateTimeField("en vigueur le")


class Consent(models.Model):
    """A person of a zone agrees that their rows of one dataset serve some purposes, for some recipients, with proof."""

    class Channel(models.TextChoices):
        PAPER = "paper", _("sur papier")
        ONLINE = "online", _("en ligne, chez l'opérateur ou le détenteur")
        PHONE = "phone", _("par téléphone")
        CARER = "carer", _("par une personne qui la représente")
        IMPORT = "import", _("par import")

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="consents")
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="consents")
    token = models.BinaryField(max_length=32)
    purposes = ArrayField(models.CharField(max_length=60), verbose_name="finalités couvertes")
    recipients = models.CharField("destinataires", max_length=16, choices=Recipients.choices)
    given_on = models.DateField("donné le")
    channel = models.CharField("recueilli", max_length=8, choices=Channel.choices)
    proof = models.CharField("référence de la preuve", max_length=200)
    proof_sha256 = models.CharField("empreinte de la preuve", max_length=64, blank=True)
    receipt = models.CharField("numéro de récépissé", max_length=26)
    imported = models.ForeignKey(ConsentImport, models.PROTECT, null=True, blank=True, related_name="consents")
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=clock.now)
    withdrawn_at = models.DateTimeField("retiré le", null=True, blank=True)
    withdrawal = models.ForeignKey(ConsentWithdrawal, models.PROTECT, null=True, blank=True, related_name="consents")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "token", "purposes", "recipients"],
                condition=Q(withdrawn_at=None),
                name="consent_once",
            ),
            models.CheckConstraint(condition=~Q(proof="") & ~Q(purposes=[]), name="consent_is_proven"),
            models.CheckConstraint(
                condition=Q(withdrawal=None) | Q(withdrawn_at__isnull=False), name="consent_withdrawal_is_dated"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at=None) | Q(withdrawn_at__gte=F("recorded_at")), name="consent_dates_in_order"
            ),
        ]
        indexes = [models.Index(fields=["dataset", "withdrawn_at"], name="consent_in_force")]
