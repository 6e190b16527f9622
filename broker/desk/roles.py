"""Which rooms a person has on their desk, after the roles they hold today. Every list is bounded."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Q

from broker import clock
from broker.accounts.desk import Task
from broker.accounts.grants import held
from broker.accounts.models import Countersign, Organisation, Role
from broker.desk import path
from broker.desk.figures import lasting
from broker.desk.journal import keeping
from broker.releases import desk as releases_desk
from broker.releases.models import Release
from consent import desk as consent_desk
from consent.models import Convention, RegistryEntry
from zones import desk as zones_desk
from zones.models import Dataset, Zone

PROVIDERS = (zones_desk.waiting_for, consent_desk.waiting_for, releases_desk.waiting_for, keeping.waiting_for)
LIMIT = 10  # lines of one list on a desk; the full list is one link away
SOON = timedelta(days=3)  # before the day a decision is due
OLD = timedelta(days=5)  # a task that has waited longer is marked
ZONE_ROLES = ("operate", "steward", "advise", "audit")


def waiting_for(user) -> list[Task]:
    """What waits for `user` or is awaited by them in every room, the oldest first."""
    tasks = [task for provider in PROVIDERS for task in provider(user)]
    return sorted(tasks, key=lambda task: task.since or datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Line:
    """A task as a desk shows it: since when, in words, and whether that is long."""

    task: Task
    age: str
    is_old: bool


def lines(tasks: list[Task]) -> list[Line]:
    now = clock.now()
    return [
        Line(task, lasting(now - task.since) if task.since else "", bool(task.since and now - task.since > OLD))
        for task in tasks
    ]


def rooms_of(user) -> dict:
    organisation = user.organisation
    roles = {role: set(held(user, f"zones.{role}")) for role in ZONE_ROLES}
    zones = set().union(*roles.values())
    kind = organisation.kind if organisation else ""
    is_clerk = user.holds(Role.REGISTRY_OFFICER)
    is_auditor = user.holds(Role.AUDITOR) or bool(roles["audit"])
    is_operator = kind == Organisation.Kind.OPERATOR
    experiments = kind == Organisation.Kind.EXPERIMENTER or not (organisation or zones)
    rooms = {
        "organisation": organisation,
        "is_clerk": is_clerk,
        "is_auditor": is_auditor,
        "is_operator": is_operator,
        "experiments": experiments,
    }
    if zones or is_operator:
        rooms["zones"] = _zones(zones, roles)
    if kind == Organisation.Kind.HOLDER:
        rooms["held"] = _held(organisation)
    if is_clerk:
        rooms["queue"] = _queue(user)
    if experiments:
        rooms.update(_experiments(user, organisation))
    return rooms


def _held(organisation: Organisation) -> list[Dataset]:
    """The data that a holder entrusted to zones, each with the number of conventions under way on them."""
    living = Q(offers__conventions__status__in=("signing", "active", "suspended"))
    return list(
        Dataset.objects.filter(holder=organisation, status=Dataset.Status.PUBLISHED)
        .select_related("zone")
        .annotate(conventions=Count("offers__conventions", filter=living, distinct=True))
        .order_by("title", "pk")[:LIMIT]
    )


def _zones(ids: set[int], roles: dict[str, set[int]]) -> list[Zone]:
    """The zones on which a role is held, each with its roles and the numbers of its datasets."""
    zones = list(
        Zone.objects.filter(pk__in=ids)
        .select_related("operator")
        .annotate(
            published=Count("datasets", filter=Q(datasets__status=Dataset.Status.PUBLISHED)),
            drafts=Count("datasets", filter=Q(datasets__status=Dataset.Status.DRAFT)),
        )
        .order_by("name", "pk")[:LIMIT]
    )
    for zone in zones:
        zone.roles = [role for role in ZONE_ROLES if zone.pk in roles[role]]
    return zones


@dataclass(frozen=True, slots=True)
class File:
    """A registry request as the clerk's table shows it: `failed` automatic checks, who gave the first opinion."""

    entry: RegistryEntry
    age: str
    failed: int
    first_by: str
    mine_given: bool
    is_late: bool
    is_soon: bool


def _queue(user) -> list[File]:
    """The registry's files to decide, the first due first; those of one's own organisation are a colleague's."""
    entries = list(
        RegistryEntry.objects.filter(status__in=[RegistryEntry.Status.SUBMITTED, RegistryEntry.Status.UNDER_REVIEW])
        .exclude(organisation__in=user.organisation_ids)
        .select_related("organisation")
        .order_by("due_on", "submitted_at", "pk")[: LIMIT * 4]
    )
    opened = {
        sign.object_ref: sign.first_by
        for sign in Countersign.objects.filter(
            second_by=None, object_ref__in=[f"registry:{entry.pk}@{entry.version}" for entry in entries]
        ).select_related("first_by")
    }
    now, today = clock.now(), clock.today()
    files = []
    for entry in entries:
        first = opened.get(f"registry:{entry.pk}@{entry.version}")
        files.append(
            File(
                entry=entry,
                age=lasting(now - (entry.submitted_at or entry.created_at)),
                failed=sum(not check["ok"] for check in entry.checks),
                first_by=str(first) if first else "",
                mine_given=first == user,
                is_late=bool(entry.due_on and entry.due_on < today),
                is_soon=bool(entry.due_on and today <= entry.due_on <= today + SOON),
            )
        )
    return files


def _experiments(user, organisation) -> dict:
    steps = path.of(user)
    found = {"steps": [] if all(step.done for step in steps) else steps}
    if organisation is None:
        return found
    return found | {
        "entry": RegistryEntry.objects.filter(organisation=organisation).order_by("-created_at").first(),
        "environments": list(organisation.environments.all()[:LIMIT]),
        "conventions": list(
            Convention.objects.filter(organisation=organisation)
            .select_related("offer__dataset", "zone")
            .only("ref", "status", "ends_on", "offer__dataset__title", "zone__name")
            .order_by("-created_at")[:LIMIT]
        ),
        "releases": list(
            Release.objects.filter(convention__organisation=organisation, convention__named_persons__user=user)
            .select_related("dataset_version__dataset", "convention")
            .order_by("-requested_at")[:LIMIT]
        ),
    }
