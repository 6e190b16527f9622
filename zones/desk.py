"""What waits for a person in the rooms of a zone: to open it, to bring data, to confirm columns, to publish."""

from datetime import timedelta

from django.db.models import Count, Max, Q
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from broker import clock
from broker.accounts.desk import Task
from broker.accounts.grants import held
from broker.accounts.models import Countersign
from zones import facts, rules
from zones.actions import CLOSE_ACT
from zones.models import Dataset, DatasetVersion, Service, Zone

SECOND_PERSON = _l("une autre personne de l'opérateur")
SOON = timedelta(days=60)  # before a service stops hosting tests
LIMIT = 50  # tasks of one kind; a desk says what waits, the lists say everything


def waiting_for(user) -> list[Task]:
    operated, stewarded = set(held(user, "zones.operate")), set(held(user, "zones.steward"))
    found = []
    if operated:
        found += [*_zones_to_open(user, operated), *_zones_to_close(user, operated), *_zones_to_mend(operated)]
    if zones := operated | stewarded:
        found += [*_services_to_prolong(zones), *_datasets_to_finish(zones)]
    return found


def _zones_to_open(user, operated: set[int]) -> list[Task]:
    zones = list(
        Zone.objects.filter(pk__in=operated, status=Zone.Status.DRAFT)
        .prefetch_related("services")
        .order_by("created_at")[:LIMIT]
    )
    refs = {facts.opening_ref(zone): zone for zone in zones}
    if not refs:
        return []
    proposed = {c.object_ref: c for c in Countersign.objects.filter(object_ref__in=refs, second_by=None)}
    tasks = []
    for ref, zone in refs.items():
        signed, link = proposed.get(ref), reverse("zone-detail", args=[zone.slug])
        if signed is None:
            tasks.append(Task(_("Ouvrir la zone « %s »") % zone.name, zone.created_at, link))
        elif signed.first_by_id == user.pk:
            tasks.append(
                Task(
                    str(_("Ouverture de « %s », proposée par vous")) % zone.name,
                    signed.first_at,
                    link,
                    str(SECOND_PERSON),
                )
            )
        else:
            tasks.append(Task(_("Contresigner l'ouverture de « %s »") % zone.name, signed.first_at, link))
    return tasks


def _zones_to_close(user, operated: set[int]) -> list[Task]:
    """A closing that one person proposed."""
    zones = {
        zone.reference: zone for zone in Zone.objects.filter(pk__in=operated).exclude(status=Zone.Status.CLOSED)[:LIMIT]
    }
    waiting = Countersign.objects.filter(act=CLOSE_ACT, object_ref__in=zones, second_by=None).order_by("first_at")
    tasks = []
    for signed in waiting:
        zone = zones[signed.object_ref]
        link = reverse("zone-close", args=[zone.slug])
        if signed.first_by_id == user.pk:
            words, turn = str(_("Fermeture de « %s », proposée par vous")), str(SECOND_PERSON)
        else:
            words, turn = str(_("Contresigner la fermeture de « %s »")), ""
        tasks.append(Task(words % zone.name, signed.first_at, link, turn))
    return tasks


def _zones_to_mend(operated: set[int]) -> list[Task]:
    """Open zones that would fail their yearly check, and suspended ones."""
    zones = (
        Zone.objects.filter(pk__in=operated, status__in=[Zone.Status.OPEN, Zone.Status.SUSPENDED])
        .prefetch_related("services")
        .order_by("checked_on", "pk")[:LIMIT]
    )
    tasks = []
    for zone in zones:
        link = reverse("zone-detail", args=[zone.slug])
        if zone.status == Zone.Status.SUSPENDED:
            tasks.append(Task(_("« %s » est suspendue : la rouvrir à deux, ou la fermer") % zone.name, None, link))
        elif zone.checked_on and facts.refusals(zone):
            day = date_format(rules.check_due(zone.checked_on), "j F Y")
            words = _("« %(zone)s » ne remplit plus ses conditions : elle sera suspendue au contrôle du %(day)s")
            tasks.append(Task(words % {"zone": zone.name, "day": day}, None, link))
    return tasks


def _services_to_prolong(zones: set[int]) -> list[Task]:
    """Services that stop hosting tests soon: what they host stops with them."""
    today = clock.today()
    ending = (
        Service.objects.filter(zone__in=zones, zone__status=Zone.Status.OPEN, participation_until__gte=today)
        .filter(participation_until__lte=today + SOON)
        .select_related("zone")
        .order_by("participation_until", "pk")[:LIMIT]
    )
    return [
        Task(
            _("« %(service)s » n'accueille plus d'essais après le %(day)s : prolonger ou laisser finir")
            % {"service": service.name, "day": date_format(service.participation_until, "j F Y")},
            None,
            reverse("service-edit", args=[service.zone.slug, service.pk]),
        )
        for service in ending
    ]


def _datasets_to_finish(zones: set[int]) -> list[Task]:
    drafts = (
        Dataset.objects.filter(zone__in=zones, status=Dataset.Status.DRAFT)
        .annotate(
            files=Count("versions", distinct=True),
            good=Count("versions", filter=Q(versions__status=DatasetVersion.Status.PROFILED), distinct=True),
            refused=Count("versions", filter=Q(versions__status=DatasetVersion.Status.REFUSED), distinct=True),
            unsure=Count("columns", filter=Q(columns__role=""), distinct=True),
            last_file=Max("versions__received_at"),
            last_profile=Max("versions__profiled_at"),
        )
        .order_by("created_at")[:LIMIT]
    )
    return [_task_of(dataset) for dataset in drafts]


def _task_of(dataset) -> Task:
    detail = reverse("dataset-detail", args=[dataset.slug])
    if not dataset.files:
        return Task(
            _("Déposer le premier fichier de « %s »") % dataset.title,
            dataset.created_at,
            reverse("version-upload", args=[dataset.slug]),
        )
    if not dataset.good and dataset.refused:
        return Task(
            _("Remplacer le fichier refusé de « %s »") % dataset.title,
            dataset.last_file,
            reverse("version-upload", args=[dataset.slug]),
        )
    if not dataset.good:
        return Task(
            _("« %s » : le fichier est à l'examen") % dataset.title, dataset.last_file, detail, turn=_("Terrain")
        )
    if dataset.unsure:
        return Task(
            _("Confirmer le rôle des colonnes de « %s »") % dataset.title,
            dataset.last_profile,
            reverse("column-roles", args=[dataset.slug]),
        )
    return Task(_("Publier « %s » au catalogue") % dataset.title, dataset.last_profile, detail)
