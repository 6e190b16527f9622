"""The registry of authorised experimenters: entries, accreditations, the companies directory."""

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import Organisation


class DirectoryCompany(models.Model):
    """A line of the companies directory (Sirene); no page ever writes it."""

    siren = models.CharField(max_length=9, primary_key=True)
    siret = models.CharField(max_length=14, unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    representative = models.CharField(max_length=150)

    def __str__(self):
        return self.name


class RegistryEntry(models.Model):
    """One request, then one line of the public list, for one legal person."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("brouillon")
        SUBMITTED = "submitted", _("déposée")
        INCOMPLETE = "incomplete", _("incomplète")
        UNDER_REVIEW = "under_review", _("en instruction")
        ACCREDITED = "accredited", _("agréé")
        SUSPENDED = "suspended", _("suspendu")
        REFUSED = "refused", _("refusé")
        ABANDONED = "abandoned", _("abandonnée")
        WITHDRAWN = "withdrawn", _("retiré")
        EXPIRED = "expired", _("expiré")

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="registry_entries")
    status = models.CharField("état", max_length=14, choices=Status.choices, default=Status.DRAFT)
    domains = ArrayField(models.CharField(max_length=30), verbose_name="domaines de données", default=list)
    zone_kinds = ArrayField(models.CharField(max_length=20), verbose_name="natures de zone", default=list)
    evidence = models.JSONField("pièces", default=dict)
    checks = models.JSONField("contrôles automatiques", default=list)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(null=True, blank=True)
    due_on = models.DateField("décision attendue le", null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reasons = models.TextField("motifs", blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["-created_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation"],
                condition=Q(status__in=["draft", "submitted", "incomplete", "under_review", "accredited", "suspended"]),
                name="registry_one_live_entry",
            )
        ]

    def __str__(self):
        return f"{self.organisation} · {self.get_status_display()}"


class Accreditation(models.Model):
    """A period during which an entry is valid, both days included; two periods of one organisation never overlap."""

    entry = models.ForeignKey(RegistryEntry, models.PROTECT, related_name="accreditations")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="accreditations")
    period = DateRangeField("validité")
    domains = ArrayField(models.CharField(max_length=30), default=list)
    zone_kinds = ArrayField(models.CharField(max_length=20), default=list)
    decided_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="accreditation_periods_apart",
                expressions=[("organisation", RangeOperators.EQUAL), ("period", RangeOperators.OVERLAPS)],
            )
        ]
