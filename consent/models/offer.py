"""What an operator has decided once to supply (legal-gate, section 5.0)."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts import grants
from zones.models import Column, Dataset


class ModelsFate(models.TextChoices):
    KEPT = "kept_with_attestation", _("conservés, avec attestation")
    DESTROYED = "destroyed", _("détruits")


class DeliveryMode(models.TextChoices):
    ENVIRONMENT = "environment", _("remise dans l'environnement déclaré")
    FILE_DOWNLOAD = "file_download", _("téléchargement d'un fichier")


class OfferQuerySet(models.QuerySet):
    def for_user(self, user):
        """Offers `user` may know of: those that were published; the others, for the operator's and holder's people."""
        published = Q(published_at__isnull=False)
        if not user.is_authenticated:
            return self.filter(published)
        zones = {pk for role in grants.ZONE_ROLES for pk in grants.held(user, f"zones.{role}")}
        bodies = user.organisation_ids
        inside = Q(dataset__zone__in=zones) | Q(dataset__zone__operator__in=bodies) | Q(dataset__holder__in=bodies)
        return self.filter(published | inside)


class Offer(models.Model):
    """One version of an offer. A change makes a new version; what was published never changes."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("brouillon")
        UNDER_REVIEW = "under_review", _("en décision")
        PUBLISHED = "published", _("publiée")
        SUSPENDED = "suspended", _("suspendue")
        ENDED = "ended", _("terminée")

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="offers")
    version = models.PositiveIntegerField(default=1)
    status = models.CharField("état", max_length=14, choices=Status.choices, default=Status.DRAFT)
    title = models.CharField("titre", max_length=200)
    purposes = ArrayField(models.CharField(max_length=60), verbose_name="finalités acceptées")
    models_fate = models.CharField("sort des modèles", max_length=30, choices=ModelsFate.choices)
    results_owner = models.CharField("titulaire des résultats", max_length=200)
    delivery_mode = models.CharField("mode de remise", max_length=20, choices=DeliveryMode.choices)
    environment_klass = models.CharField("classe d'environnement", max_length=20, default="secure")
    price = models.CharField("prix", max_length=120, default="gratuit")
    expert_hours = models.PositiveIntegerField("heures d'expert par mois", default=8)
    dpia_reference = models.CharField("référence de l'AIPD", max_length=120, blank=True)
    dpia_validated_on = models.DateField("AIPD validée le", null=True, blank=True)
    holder_basis = models.JSONField("bases du détenteur", default=dict)
    mr_reference = models.CharField("méthodologie de référence", max_length=120, blank=True)
    record_reference = models.CharField("registre des traitements", max_length=120, blank=True)
    notice = models.JSONField("notice publique permanente", default=dict)
    notice_published_at = models.DateTimeField("notice en ligne depuis", null=True, blank=True)
    releases_per_month = models.PositiveIntegerField("remises par mois", default=10)
    downloads_per_release = models.PositiveIntegerField("téléchargements par remise", default=5)
    starts_on = models.DateField("premier jour")
    ends_on = models.DateField("dernier jour, inclus")
    replaces = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="replaced_by")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    published_at = models.DateTimeField(null=True, blank=True)

    objects = OfferQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "pk"]
        indexes = [
            models.Index(
                fields=["dataset"],
                include=["ends_on", "starts_on", "notice_published_at"],
                condition=Q(status="published"),
                name="offer_to_take_up",
            ),
            models.Index(
                fields=["created_at", "id"], condition=Q(status__in=["draft", "under_review"]), name="offer_to_finish"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="offer_dates_in_order"),
            models.CheckConstraint(
                condition=~Q(status="published") | Q(published_at__isnull=False),
                name="offer_published_is_dated",
            ),
        ]

    def __str__(self):
        return self.title


class OfferColumn(models.Model):
    """A column the offer supplies, why it is needed, and its treatment (see `broker.releases.plan`)."""

    offer = models.ForeignKey(Offer, models.CASCADE, related_name="columns")
    column = models.ForeignKey(Column, models.PROTECT, related_name="+")
    justification = models.CharField("justification", max_length=300)
    treatment = models.JSONField("traitement", default=dict)
    approves_sensitive = models.BooleanField("approbation distincte (G24)", default=False)

    class Meta:
        ordering = ["column__position"]
        constraints = [
            models.UniqueConstraint(fields=["offer", "column"], name="offer_column_once"),
            models.CheckConstraint(condition=~Q(justification=""), name="offer_column_is_justified"),
        ]


class Opinion(models.Model):
    """What the DPO or the head of service thinks of an offer, before the operator decides."""

    class Kind(models.TextChoices):
        DPO = "dpo", _("avis du DPO")
        HEAD_OF_SERVICE = "head_of_service", _("avis du responsable de service")

    offer = models.ForeignKey(Offer, models.CASCADE, related_name="opinions")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    is_favourable = models.BooleanField("favorable")
    text = models.TextField("avis")
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    given_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["offer", "kind"], name="opinion_one_of_each_kind")]


class StandingMandate(models.Model):
    """A party's signature given beforehand with an offer: it names the offer's terms by their SHA-256."""

    offer = models.ForeignKey(Offer, models.PROTECT, related_name="mandates")
    party = models.CharField(max_length=20, choices=[("operator", "opérateur"), ("holder", "détenteur")])
    terms_sha256 = models.CharField("empreinte des termes", max_length=64)
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    mandate = models.CharField("mandat du signataire", max_length=300)
    level = models.CharField("niveau", max_length=14)
    evidence = models.JSONField(default=dict)
    signed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["offer", "party"], name="mandate_one_of_each_party")]
