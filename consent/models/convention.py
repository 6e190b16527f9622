"""Conventions: the bytes that are signed, the signatures that name them, the persons who may act."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Organisation, Role, SecureEnvironment
from zones.models import Zone

from .application import Application, PurposeKind
from .offer import Offer, StandingMandate


class ConventionQuerySet(models.QuerySet):
    def for_user(self, user):
        """Conventions `user` may know of: their organisation's, their zones', those they are named in; all, for an
        auditor, whose reading is logged elsewhere."""
        if not user.is_authenticated:
            return self.none()
        if user.holds(Role.AUDITOR):
            return self.all()
        zones = {pk for role in grants.ZONE_ROLES for pk in grants.held(user, f"zones.{role}")}
        bodies = user.organisation_ids
        named = NamedPerson.objects.filter(user=user).values("convention")
        return self.filter(
            Q(organisation__in=bodies)
            | Q(zone__in=zones)
            | Q(zone__operator__in=bodies)
            | Q(offer__dataset__holder__in=bodies)
            | Q(pk__in=named)
        )


class Convention(models.Model):
    """A signed, time-limited agreement to experiment. Dates are days of Europe/Paris, the last included."""

    class Status(models.TextChoices):
        SIGNING = "signing", _("en signature")
        ACTIVE = "active", pgettext_lazy("convention", "active")  # Django itself says « actif », of a user
        SUSPENDED = "suspended", _("suspendue")
        EXPIRED = "expired", _("arrivée à terme")
        TERMINATED = "terminated", _("résiliée")
        CLOSED = "closed", _("close")
        WITHDRAWN = "withdrawn", _("abandonnée")

    ref = models.CharField("référence", max_length=20, unique=True)
    application = models.OneToOneField(Application, models.PROTECT, related_name="convention")
    offer = models.ForeignKey(Offer, models.PROTECT, related_name="conventions")
    zone = models.ForeignKey(Zone, models.PROTECT, related_name="conventions")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="conventions")
    environment = models.ForeignKey(SecureEnvironment, models.PROTECT, related_name="conventions")
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.SIGNING)
    purpose_kind = models.CharField(max_length=16, choices=PurposeKind.choices, default=PurposeKind.EXPERIMENTATION)
    purpose_code = models.CharField("finalité", max_length=60)
    required_level = models.CharField("niveau de signature exigé", max_length=14, default="strengthened")
    starts_on = models.DateField("premier jour")
    ends_on = models.DateField("dernier jour, inclus")
    terminates_on = models.DateField("dernier jour, après préavis", null=True, blank=True)
    minors_covered = models.BooleanField("couvre les mineurs", default=False)
    notice_published_at = models.DateTimeField("notice en ligne depuis", null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    objects = ConventionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "pk"]
        indexes = [
            models.Index(fields=["-activated_at"], condition=Q(status="active"), name="convention_under_way"),
            models.Index(fields=["-created_at", "id"], name="convention_latest_first"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="convention_dates_in_order"),
            models.CheckConstraint(condition=Q(purpose_kind="experimentation"), name="convention_is_experimentation"),
            models.CheckConstraint(
                condition=~Q(status="active") | Q(activated_at__isnull=False),
                name="convention_active_is_dated",
            ),
        ]

    def __str__(self):
        return self.ref

    @property
    def audit_id(self) -> str:
        return self.ref

    @property
    def last_day(self):
        """The last day of access, included: the term, or the end of a notice given before it."""
        return min(self.ends_on, self.terminates_on or self.ends_on)

    @property
    def reference(self) -> str:
        """How the log names this convention."""
        return f"cv:{self.ref}@{self.version}"


class ConventionDocument(models.Model):
    """The exact bytes of a convention's PDF. PostgreSQL checks their SHA-256 and refuses any change."""

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="documents")
    number = models.PositiveIntegerField(default=1)
    pdf = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    template_version = models.CharField(max_length=20)
    parameters = models.JSONField(default=dict)
    rendered_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["convention", "number"], name="document_number_once"),
            models.UniqueConstraint(fields=["convention", "sha256"], name="document_hash_of_convention"),
        ]


class SealedDocument(models.Model):
    """The signed bytes followed by the platform's seal (PAdES), with the evidence of every signature attached.

    It begins with the exact bytes that were signed; PostgreSQL checks that and its SHA-256, and refuses any change.
    """

    document = models.OneToOneField(ConventionDocument, models.PROTECT, related_name="sealed")
    pdf = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    certificate_sha256 = models.CharField("empreinte du certificat du cachet", max_length=64)
    has_time_stamp = models.BooleanField("horodaté par une autorité")
    sealed_at = models.DateTimeField(default=clock.now)


class SignatureLevel(models.TextChoices):
    SIMPLE = "simple", _("simple")
    STRENGTHENED = "strengthened", _("renforcée (niveau propre à Terrain)")
    ADVANCED = "advanced", _("avancée")
    QUALIFIED = "qualified", _("qualifiée")


class Signature(models.Model):
    """One party's signature: the SHA-256 of the bytes, the signer, their mandate and the time. Never changed."""

    class Party(models.TextChoices):
        OPERATOR = "operator", _("opérateur")
        EXPERIMENTER = "experimenter", _("expérimentateur")
        HOLDER = "holder", _("détenteur des données")

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="signatures")
    party = models.CharField(max_length=14, choices=Party.choices)
    document_sha256 = models.CharField(max_length=64)
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    mandate = models.CharField("mandat", max_length=300)
    mandate_until = models.DateField(null=True, blank=True)
    level = models.CharField(max_length=14, choices=SignatureLevel.choices)
    standing_mandate = models.ForeignKey(StandingMandate, models.PROTECT, null=True, blank=True, related_name="+")
    evidence = models.JSONField(default=dict)
    signed_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["signed_at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["convention", "party", "document_sha256"], name="signature_once_a_party"),
            models.CheckConstraint(condition=~Q(mandate=""), name="signature_names_the_mandate"),
        ]


class NamedPerson(models.Model):
    """An individual allowed to act under one convention, from one day to another, both included."""

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="named_persons")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="named_in")
    role = models.CharField("rôle", max_length=20, default="analyst")
    from_day = models.DateField("du", default=clock.today)
    until_day = models.DateField("au", null=True, blank=True)
    named_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["convention", "user"], name="named_person_once"),
            models.CheckConstraint(
                condition=Q(confirmed_at=None, confirmed_by=None)
                | Q(confirmed_at__isnull=False, confirmed_by__isnull=False),
                name="named_person_confirmed_at_with_by",
            ),
        ]
