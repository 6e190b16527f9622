"""Zones, the services that host tests, sites and sensors."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Concat
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Organisation

STAFF_ROLES = ("operate", "steward", "advise", "audit")


class Plain(Func):
    """A text without accents or case, as the database searches it (function of migration 0003)."""

    function = "terrain_plain"
    output_field = models.TextField()


def zones_of(user) -> set[int]:
    """The zones on which `user` holds a staff role."""
    return {pk for role in STAFF_ROLES for pk in grants.held(user, f"zones.{role}")}


def operators_of(user) -> list[int]:
    """The operators that `user` belongs to today: their drafts are theirs to see."""
    return user.organisation_ids


class ZoneQuerySet(models.QuerySet):
    def public(self):
        """The zones anybody may know of. A suspended one stays shown, with its state."""
        return self.filter(status__in=[Zone.Status.OPEN, Zone.Status.SUSPENDED])

    def for_user(self, user):
        """The zones `user` may know of: the public ones, those of their organisation, those they hold a role on."""
        if not user.is_authenticated:
            return self.public()
        return self.filter(
            Q(status__in=[Zone.Status.OPEN, Zone.Status.SUSPENDED])
            | Q(operator__in=operators_of(user))
            | Q(pk__in=zones_of(user))
        )


class Zone(models.Model):
    """A place with a legal frame, infrastructure, data and an organisation open to experimenters."""

    class Kind(models.TextChoices):
        HOSPITAL = "hospital", _("établissement de santé")
        CARE_NETWORK = "care_network", _("réseau de soins d'une ville")
        ECO_DISTRICT = "eco_district", _("écoquartier")
        AV_CITY = "av_city", _("véhicule autonome, ville")
        AV_MOTORWAY = "av_motorway", _("véhicule autonome, autoroute")
        AV_MOUNTAIN = "av_mountain", _("véhicule autonome, montagne")
        INDUSTRIAL_SITE = "industrial_site", _("site industriel")

    class Status(models.TextChoices):
        DRAFT = "draft", _("brouillon")
        OPEN = "open", _("ouverte")
        SUSPENDED = "suspended", _("suspendue")
        CLOSED = "closed", _("fermée")

    slug = models.SlugField(unique=True)
    name = models.CharField("nom", max_length=150)
    kind = models.CharField("nature", max_length=20, choices=Kind.choices)
    operator = models.ForeignKey(Organisation, models.PROTECT, related_name="zones")
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.DRAFT)
    communes = ArrayField(models.CharField(max_length=5), verbose_name="communes (codes Insee)", default=list)
    evidence = models.JSONField("pièces d'éligibilité", default=dict)
    description = models.TextField("présentation", blank=True)
    contact_email = models.EmailField("contact")
    dpo_email = models.EmailField("contact du DPO")
    general_information_on = models.DateField("information générale des personnes, publiée le", null=True, blank=True)
    frame_adopted_on = models.DateField("convention type adoptée le", null=True, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    checked_on = models.DateField("conditions vérifiées le", null=True, blank=True)  # at the opening, then every year
    created_at = models.DateTimeField(default=clock.now, editable=False)
    search_text = models.GeneratedField(
        expression=Plain(Concat("name", Value(" "), "description", output_field=models.TextField())),
        output_field=models.TextField(),
        db_persist=True,
    )

    objects = ZoneQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        indexes = [GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="zone_search")]
        permissions = [
            ("operate", "agir pour l'opérateur"),
            ("steward", "répondre des données ou d'un service"),
            ("advise", "donner l'avis du DPO"),
            ("audit", "lire le journal de la zone"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(status="open") | Q(opened_at__isnull=False), name="zone_open_is_dated")
        ]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("zone-detail", args=[self.slug])

    @property
    def reference(self) -> str:
        return f"zone:{self.slug}"


class Service(models.Model):
    """A ward or team that agreed to host tests, from one day to another, both included."""

    zone = models.ForeignKey(Zone, models.CASCADE, related_name="services")
    name = models.CharField("nom", max_length=150)
    head_name = models.CharField("responsable", max_length=150)
    participation_from = models.DateField("accueille du")
    participation_until = models.DateField("au")

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["zone", "name"], name="service_name_once"),
            models.CheckConstraint(
                condition=Q(participation_until__gte=F("participation_from")), name="service_dates_in_order"
            ),
        ]

    def __str__(self):
        return self.name


class Site(models.Model):
    zone = models.ForeignKey(Zone, models.CASCADE, related_name="sites")
    service = models.ForeignKey(Service, models.SET_NULL, null=True, blank=True, related_name="sites")
    name = models.CharField("nom", max_length=150)
    commune = models.CharField("commune (code Insee)", max_length=5)
    latitude = models.FloatField("latitude (degrés)", null=True, blank=True)
    longitude = models.FloatField("longitude (degrés)", null=True, blank=True)
    is_open = models.BooleanField("ouvert", default=True)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["zone", "name"], name="site_name_once")]

    def __str__(self):
        return self.name


class Sensor(models.Model):
    site = models.ForeignKey(Site, models.CASCADE, related_name="sensors")
    name = models.CharField("nom", max_length=150)
    kind = models.CharField("nature", max_length=80)
    measures = models.CharField("grandeurs mesurées et unités", max_length=200)
    installed_on = models.DateField("posé le", null=True, blank=True)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(fields=["site", "name"], name="sensor_name_once")]

    def __str__(self):
        return self.name
