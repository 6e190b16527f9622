"""What waits for a person in the rooms of a zone: to open it, to bring data, to confirm columns, to publish."""

from django.db.models import Count, Max, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from broker.accounts.desk import Task
from broker.accounts.grants import held
from zones.models import Dataset, DatasetVersion, Zone

LIMIT = 50  # tasks of one kind; a desk says what waits, the lists say everything


def waiting_for(user) -> list[Task]:
    operated, stewarded = set(held(user, "zones.operate")), set(held(user, "zones.steward"))
    return [*_zones_to_open(operated), *_datasets_to_finish(operated | stewarded)]


def _zones_to_open(operated: set[int]) -> list[Task]:
    return [
        Task(
            title=_("Ouvrir la zone « %s »") % zone.name,
            since=zone.created_at,
            link=reverse("zone-detail", args=[zone.slug]),
        )
        for zone in Zone.objects.filter(pk__in=operated, status=Zone.Status.DRAFT).order_by("created_at")[:LIMIT]
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
