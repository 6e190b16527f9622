"""The online request of a convention: an offer taken up by an experimenter."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import Organisation, SecureEnvironment

from .offer import Offer


class PurposeKind(models.TextChoices):
    EXPERIMENTATION = "experimentation", _("mettre au point et essayer")
    COMMERCIAL = "commercial", _("servir des clients")


class Application(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", _("brouillon")
        SUBMITTED = "submitted", _("déposée")
        APPROVED = "approved", _("approuvée")
        REFUSED = "refused", _("refusée")
        WITHDRAWN = "withdrawn", _("retirée")

    class Mode(models.TextChoices):
        OBSERVE = "observe", _("observation (données seules)")
        SHADOW = "shadow", _("à blanc, sans effet")

    offer = models.ForeignKey(Offer, models.PROTECT, related_name="applications")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="applications")
    environment = models.ForeignKey(SecureEnvironment, models.PROTECT, related_name="applications")
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.DRAFT)
    solution = models.CharField("solution à éprouver", max_length=200)
    purpose_kind = models.CharField("ce que vous voulez faire", max_length=16, choices=PurposeKind.choices)
    purpose_code = models.CharField("finalité", max_length=60)
    basis_article_6 = models.CharField("base légale (art. 6)", max_length=30, blank=True)
    basis_article_9 = models.CharField("condition (art. 9)", max_length=30, blank=True)
    mode = models.CharField("mode", max_length=12, choices=Mode.choices, default=Mode.OBSERVE)
    linkage = models.CharField("autres fichiers de personnes à rapprocher", max_length=300, blank=True)
    starts_on = models.DateField("premier jour")
    ends_on = models.DateField("dernier jour, inclus")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    submitted_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="application_dates_in_order")
        ]
