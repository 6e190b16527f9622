"""Datasets, their versions and columns."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Concat, Lower
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import Organisation

from .zone import Plain, Service, Zone, operators_of, zones_of


class Domain(models.TextChoices):
    """Legal and technical families of data (legal-gate, section 3.2)."""

    CLINICAL = "clinical", _("données cliniques")
    IMAGING = "imaging", _("imagerie")
    COMMUNITY_CARE = "community_care", _("soins de ville")
    BIOLOGICAL = "biological", _("biologie")
    GENETIC = "genetic", _("génétique")
    MEDICO_ECONOMIC = "medico_economic", _("médico-économique")
    EQUIPMENT_STATUS = "equipment_status", _("état des équipements")
    ENERGY_METERING = "energy_metering", _("comptage d'énergie")
    ENERGY_GRID = "energy_grid", _("réseau d'énergie")
    EV_CHARGING = "ev_charging", _("recharge de véhicules")
    MOBILITY_TRACE = "mobility_trace", _("traces de mobilité")
    VIDEO_SCENE = "video_scene", _("scènes vidéo")
    ROAD_INFRASTRUCTURE = "road_infrastructure", _("infrastructure routière")
    HD_MAP = "hd_map", _("carte de précision")
    MAINTENANCE = "maintenance", _("maintenance")
    ENVIRONMENT = "environment", _("environnement")


class DatasetQuerySet(models.QuerySet):
    def public(self):
        """The published datasets of zones that are not closed: what the catalogue shows to anybody."""
        return self.filter(status=Dataset.Status.PUBLISHED, zone__status__in=[Zone.Status.OPEN, Zone.Status.SUSPENDED])

    def for_user(self, user):
        """The datasets `user` may know of: the public ones, and those of the zones of their house."""
        public = Q(status=Dataset.Status.PUBLISHED, zone__status__in=[Zone.Status.OPEN, Zone.Status.SUSPENDED])
        if not user.is_authenticated:
            return self.filter(public)
        return self.filter(public | Q(zone__in=zones_of(user)) | Q(zone__operator__in=operators_of(user)))


class Dataset(models.Model):
    """Catalogued data with a holder, domains and column roles. Its rows never enter the web's processes."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("brouillon")
        PUBLISHED = "published", _("publié")
        WITHDRAWN = "withdrawn", _("retiré")

    class TimeStep(models.TextChoices):
        FINE = "fine", _("plus fin qu'un jour")
        DAILY = "daily", _("un jour ou plus")

    zone = models.ForeignKey(Zone, models.PROTECT, related_name="datasets")
    service = models.ForeignKey(Service, models.PROTECT, null=True, blank=True, related_name="datasets")
    holder = models.ForeignKey(Organisation, models.PROTECT, related_name="datasets_held")
    slug = models.SlugField(unique=True)
    title = models.CharField("titre", max_length=200)
    summary = models.TextField("en quelques mots")
    domains = ArrayField(models.CharField(max_length=30, choices=Domain.choices), verbose_name="domaines")
    is_personal = models.BooleanField("données personnelles")
    holder_agreement = models.CharField("accord écrit du détenteur", max_length=300, blank=True)
    consent_required = models.BooleanField("repose sur le consentement de chaque personne", default=False)
    time_step = models.CharField("pas de temps", max_length=6, choices=TimeStep.choices, blank=True)
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.DRAFT)
    origin = models.CharField("origine", max_length=300, blank=True)
    licence = models.CharField("licence de la source", max_length=200, blank=True)
    period = models.CharField("période couverte", max_length=100, blank=True)
    # Why no row is a minor's, where no column tells an age (G28): contract holders, drivers, events without a person.
    no_minors_because = models.CharField("pourquoi aucune ligne n'est celle d'un mineur", max_length=200, blank=True)
    open_url = models.URLField("adresse où elles sont déjà ouvertes", max_length=500, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    search_text = models.GeneratedField(
        expression=Plain(Concat("title", Value(" "), "summary", output_field=models.TextField())),
        output_field=models.TextField(),
        db_persist=True,
    )

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["title", "pk"]
        indexes = [
            GinIndex(fields=["search_text"], opclasses=["gin_trgm_ops"], name="dataset_search"),
            models.Index(fields=["-published_at", "-id"], condition=Q(status="published"), name="dataset_latest_first"),
            # Rows are wide: what a zone's page, a desk and a convention's readers ask is answered by these alone.
            models.Index(fields=["zone", "title", "id"], include=["status"], name="dataset_of_zone"),
            models.Index(fields=["id"], include=["zone", "holder"], name="dataset_whose"),
            # The catalogue's counts read this and nothing else.
            models.Index(
                fields=["zone", "is_personal", "open_url", "domains"],
                include=["id"],
                condition=Q(status="published"),
                name="dataset_counted",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(open_url="") | (Q(open_url__startswith="https://") & ~Q(origin="") & ~Q(licence="")),
                name="dataset_open_has_link_origin_licence",
            ),
            # Code de l'énergie art. L.341-4, legal-gate 3.2: a load curve finer than a day needs each user's consent.
            models.CheckConstraint(
                condition=Q(is_personal=False)
                | Q(consent_required=True)
                | Q(time_step="daily")
                | ~Q(open_url="")
                | ~Q(domains__contains=["energy_metering"]),
                name="dataset_fine_metering_rests_on_consent",
            ),
            models.CheckConstraint(
                condition=Q(consent_required=False) | Q(is_personal=True), name="dataset_consent_is_of_persons"
            ),
        ]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("dataset-detail", args=[self.slug])

    @property
    def is_open_elsewhere(self) -> bool:
        """Listed with a link alone: no version, no offer, no convention (guards of 0007)."""
        return bool(self.open_url)

    @property
    def open_host(self) -> str:
        """The site that a link leads to, for whoever wants to know before following it."""
        return urlsplit(self.open_url).hostname or ""

    @property
    def domain_labels(self) -> list[str]:
        return [str(Domain(domain).label) for domain in self.domains]


class Table(models.Model):
    """One of the tables of a dataset, as its file or resource is called. Dropped only with what was never confirmed."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="tables")
    name = models.CharField("table", max_length=120)
    position = models.PositiveIntegerField()
    description = models.CharField("en mots", max_length=300, blank=True)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint("dataset", Lower("name"), name="table_name_once")]

    def __str__(self):
        return self.name


class DatasetVersion(models.Model):
    """The files of a dataset at one time, a table each; `sha256` and `size` are those of the original bytes.

    Of one file, `sha256` is its own; of several, that of the RFC 8785 text of [[table, sha256], ...] in the order of
    the tables, and `size` and `rows` are sums. A draft gathers its files; once it is received nothing of it changes.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("en préparation")
        RECEIVED = "received", _("reçu")
        PROFILING = "profiling", _("en cours d'examen")
        PROFILED = "profiled", _("examiné")
        REFUSED = "refused", _("refusé")

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField("version")
    status = models.CharField("état", max_length=12, choices=Status.choices, default=Status.RECEIVED)
    sha256 = models.CharField("SHA-256 des octets d'origine", max_length=64, blank=True)
    size = models.BigIntegerField("taille (octets)", default=0)
    progress = models.JSONField(default=dict)
    problem = models.TextField("motif de refus", blank=True)
    rows = models.BigIntegerField("lignes", null=True, blank=True)
    received_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    received_at = models.DateTimeField(default=clock.now, editable=False)
    profiled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once"),
            models.CheckConstraint(
                condition=~Q(status="profiled") | Q(rows__isnull=False, profiled_at__isnull=False),
                name="version_profiled_is_counted",
            ),
            models.CheckConstraint(condition=Q(status="draft") | ~Q(sha256=""), name="version_received_has_bytes"),
            models.UniqueConstraint(fields=["dataset"], condition=Q(status="draft"), name="version_one_draft"),
        ]

    def __str__(self):
        return f"{self.dataset} v{self.number}"

    def get_absolute_url(self):
        return reverse("version-detail", args=[self.dataset.slug, self.number])

    @property
    def version(self) -> int:
        return self.number

    @cached_property
    def only_file(self) -> "VersionFile":
        """The file of a version of one table. Raises ValueError for any other: its files are asked one by one."""
        files = list(self.files.all())
        if len(files) != 1:
            raise ValueError(f"version {self.pk} has {len(files)} files, not one")
        return files[0]

    @property
    def file_name(self) -> str:
        """The name of the file, or the names of all."""
        return ", ".join(file.file_name for file in self.files.all())

    @property
    def stored_as(self) -> str:
        return self.only_file.stored_as

    @property
    def reading(self) -> dict:
        return self.only_file.reading

    @property
    def proposed(self) -> dict:
        return self.only_file.proposed


class VersionFile(models.Model):
    """One file of a version, sealed to the zone's key as it arrived, or where the operator keeps it (`place`)."""

    class Place(models.TextChoices):
        UPLOAD = "upload", _("envoyé")
        FOLDER = "folder", _("dossier de l'opérateur")
        S3 = "s3", _("stockage S3")

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        NDJSON = "ndjson", _("JSON par lignes")
        FHIR = "fhir", "FHIR"
        PARQUET = "parquet", "Parquet"

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="files")
    table = models.ForeignKey(Table, models.PROTECT, related_name="files")
    file_name = models.CharField("nom du fichier", max_length=200)
    sha256 = models.CharField("SHA-256 des octets d'origine", max_length=64)
    size = models.BigIntegerField("taille (octets)")
    stored_as = models.CharField(max_length=120, blank=True, editable=False)
    format = models.CharField("format", max_length=8, choices=Format.choices, default=Format.CSV)
    reading = models.JSONField("options de lecture", default=dict)
    # Options of reading that would mend what the examination met, with how many: a person accepts them or not.
    proposed = models.JSONField("corrections proposées", default=dict)
    rows = models.BigIntegerField("lignes", null=True, blank=True)
    place = models.CharField("lieu", max_length=8, choices=Place.choices, default=Place.UPLOAD)
    place_ref = models.CharField("adresse dans ce lieu", max_length=1000, blank=True)
    place_mark = models.CharField("marque du lieu", max_length=300, blank=True)  # changes when the file does

    class Meta:
        ordering = ["table__position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["version", "table"], name="version_file_one_a_table"),
            models.CheckConstraint(
                condition=Q(place="upload", place_ref="") & ~Q(stored_as="") | ~Q(place="upload") & ~Q(place_ref=""),
                name="version_file_lies_somewhere",
            ),
        ]

    def __str__(self):
        return self.file_name


class ColumnRole(models.TextChoices):
    """What a column is, for its default treatment (legal-gate, section 7.1)."""

    DIRECT_IDENTIFIER = "direct_identifier", _("identifiant direct")
    SUBJECT_KEY = "subject_key", _("clé du sujet")
    QUASI_IDENTIFIER = "quasi_identifier", _("quasi-identifiant")
    SENSITIVE = "sensitive", _("sensibilité renforcée")
    MEASURE = "measure", _("mesure")
    TIMESTAMP = "timestamp", _("date ou heure")
    FREE_TEXT = "free_text", _("texte libre")
    GEO = "geo", _("lieu")
    STAFF = "staff", _("professionnel")
    RECORD_KEY = "record_key", _("clé de lien")
    BIRTH = "birth", _("naissance")


class SensitiveClass(models.TextChoices):
    """Classes of reinforced sensitivity (rule G24)."""

    HIV = "hiv", _("VIH")
    PSYCHIATRY = "psychiatry", _("psychiatrie")
    SEXUAL_HEALTH = "sexual_health", _("santé sexuelle et reproductive")
    ADDICTION = "addiction", _("addictions")
    VIOLENCE = "violence", _("violences")
    ORIGIN = "origin", _("origine")
    RELIGION = "religion", _("religion")
    OFFENCE = "offence", _("infractions")
    GENETIC = "genetic", _("génétique")


class Column(models.Model):
    """One column of a table: its place, what the profile saw, the suggested role and the confirmed one.

    `references` is the key of another table whose values this column holds.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="columns")
    table = models.ForeignKey(Table, models.CASCADE, related_name="columns")
    name = models.CharField("colonne", max_length=120)
    # How it is called in its dataset: its name, or "table.name" where the dataset has several tables.
    path = models.CharField("colonne", max_length=241)
    references = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="referenced_by")
    position = models.PositiveIntegerField()
    type = models.CharField("type lu", max_length=20)
    description = models.CharField("en mots", max_length=300, blank=True)
    suggested_role = models.CharField(max_length=20, choices=ColumnRole.choices, blank=True)
    suggested_because = models.CharField("raison de la suggestion", max_length=200, blank=True)
    role = models.CharField("rôle", max_length=20, choices=ColumnRole.choices, blank=True)
    sensitive_class = models.CharField(max_length=20, choices=SensitiveClass.choices, blank=True)
    profile = models.JSONField("profil", default=dict)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["table__position", "position"]
        constraints = [
            models.UniqueConstraint(fields=["table", "name"], name="column_name_once"),
            models.UniqueConstraint(fields=["dataset", "path"], name="column_path_once"),
            models.UniqueConstraint(fields=["table"], condition=Q(role="subject_key"), name="column_one_subject_key"),
            models.CheckConstraint(
                condition=~Q(role="sensitive") | ~Q(sensitive_class=""), name="column_sensitive_has_a_class"
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at=None, confirmed_by=None)
                | Q(confirmed_at__isnull=False, confirmed_by__isnull=False),
                name="column_confirmed_at_with_by",
            ),
            models.CheckConstraint(
                condition=Q(role="") | Q(confirmed_at__isnull=False), name="column_role_is_confirmed"
            ),
        ]

    def __str__(self):
        return self.name
