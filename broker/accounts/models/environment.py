"""Declared places of processing, the machine credentials that act in them, and the orders they execute."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.audit.actor import Actor

from .organisation import Organisation


class SecureEnvironmentQuerySet(models.QuerySet):
    def for_user(self, user):
        """Those of the organisations that `user` belongs to today."""
        return self.filter(organisation__in=user.memberships.current().values("organisation"))


class SecureEnvironment(models.Model):
    """Where an experimenter processes data: its host, country, networks, and the age key files are sealed to."""

    class Klass(models.TextChoices):
        WORKSTATION = "workstation", _("poste déclaré")
        SECURE = "secure", _("environnement sécurisé")

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="environments")
    name = models.CharField("nom", max_length=120)
    klass = models.CharField("classe", max_length=20, choices=Klass.choices)
    host = models.CharField("hébergeur", max_length=200)
    country = models.CharField("pays", max_length=2, default="FR")
    access_countries = ArrayField(
        models.CharField(max_length=2), verbose_name="pays d'où l'on s'y connecte", default=list
    )
    host_contract = models.CharField("contrat de sous-traitance avec l'hébergeur", max_length=200, blank=True)
    networks = ArrayField(models.CharField(max_length=43), verbose_name="réseaux", default=list)
    age_recipient = models.CharField("clé publique age", max_length=80)
    hds_certificate_until = models.DateField("certificat HDS valable jusqu'au", null=True, blank=True)
    attestation = models.TextField("attestation", blank=True)
    attested_on = models.DateField("attesté le", null=True, blank=True)
    attested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="environments_attested"
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = SecureEnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "name"], name="environment_name_once"),
            models.CheckConstraint(
                condition=models.Q(attested_on=None, attested_by=None)
                | models.Q(attested_on__isnull=False, attested_by__isnull=False),
                name="environment_attested_on_with_by",
            ),
        ]

    def __str__(self):
        return self.name


class MachineCredential(models.Model):
    """A secret that one environment holds. Only its SHA-256 is kept; it does nothing without an order."""

    environment = models.ForeignKey(SecureEnvironment, models.CASCADE, related_name="credentials")
    name = models.CharField("nom", max_length=120)
    secret_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "pk"]

    def __str__(self):
        return self.name

    def audit_actor(self) -> Actor:
        return Actor(f"credential:{self.pk}", "service", "credential", self.environment.organisation.reference)


class MachineOrder(models.Model):
    """A one-use order: a named person tells an environment's machine to do one thing once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    environment = models.ForeignKey(SecureEnvironment, models.PROTECT, related_name="orders")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders")
    second_factor_at = models.DateTimeField("second facteur de la personne")
    action = models.CharField(max_length=30)
    object_ref = models.CharField(max_length=80)
    given_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey(MachineCredential, models.PROTECT, null=True, blank=True, related_name="orders")

    class Meta:
        ordering = ["-given_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(used_at=None, used_by=None) | models.Q(used_at__isnull=False, used_by__isnull=False),
                name="order_used_at_with_by",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    expires_at__gt=models.F("given_at"), expires_at__lte=models.F("given_at") + timedelta(hours=24)
                ),
                name="order_lives_a_day",
            ),
        ]
