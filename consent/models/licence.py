"""Commercial licences: a separate track for market use, with its own tables (legal-gate, section 9).

Nothing here points at a convention, a release, a recipe or a key: an experimental file never opens a market."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Organisation, Role
from zones.models import Dataset


class CommercialLicenceQuerySet(models.QuerySet):
    def for_user(self, user):
        """Requests `user` may know of: their organisation's; once filed, those to their zones or bodies; for an
        auditor, all that were filed."""
        if not user.is_authenticated:
            return self.none()
        filed = ~Q(status=CommercialLicence.Status.DRAFT)
        bodies = user.organisation_ids
        own = Q(organisation__in=bodies)
        if user.holds(Role.AUDITOR):
            return self.filter(own | filed)
        zones = {pk for role in grants.ZONE_ROLES for pk in grants.held(user, f"zones.{role}")}
        asked_of = Q(dataset__zone__in=zones) | Q(dataset__zone__operator__in=bodies) | Q(dataset__holder__in=bodies)
        return self.filter(own | (filed & asked_of))


class CommercialLicence(models.Model):
    """A request to serve customers with what a dataset teaches: drafted, filed, answered within 30 working days."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("brouillon")
        SUBMITTED = "submitted", _("déposée")
        ACCEPTED = "accepted", _("à discuter")
        DECLINED = "declined", _("déclinée")
        WITHDRAWN = "withdrawn", _("retirée")

    ref = models.CharField("référence", max_length=20, unique=True)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="licences")
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="licences")
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.DRAFT)
    product = models.CharField("produit", max_length=200, blank=True)
    market = models.CharField("marché visé", max_length=300, blank=True)
    intended_on = models.DateField("mise sur le marché prévue le", null=True, blank=True)
    price_expectation = models.CharField("prix envisagé", max_length=200, blank=True)
    contact_name = models.CharField("à qui parler", max_length=120, blank=True)
    contact_email = models.EmailField("son adresse", blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    submitted_at = models.DateTimeField(null=True, blank=True)
    due_on = models.DateField("réponse attendue le", null=True, blank=True)
    answer = models.TextField("réponse", blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)

    objects = CommercialLicenceQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status__in=["submitted", "accepted", "declined"])
                | (
                    Q(submitted_at__isnull=False, submitted_by__isnull=False, due_on__isnull=False)
                    & Q(intended_on__isnull=False)
                    & ~Q(product="") & ~Q(market="") & ~Q(contact_email="")
                ),
                name="licence_filed_is_whole",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["accepted", "declined"])
                | (Q(answered_at__isnull=False, answered_by__isnull=False) & ~Q(answer="")),
                name="licence_answered_is_reasoned",
            ),
        ]  # fmt: skip

    def __str__(self):
        return self.ref

    @property
    def audit_id(self) -> str:
        return self.ref
