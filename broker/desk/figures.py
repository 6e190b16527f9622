"""The few figures that anybody may see, each counted from the database when the page is drawn."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import ngettext

from broker import clock
from broker.releases.models import Release
from consent.models import Convention, RegistryEntry
from zones import drawing
from zones.models import Dataset, Zone

USUAL_FROM, USUAL_UNTIL = 180, 540  # days: 6 to 18 months, an order of magnitude that Terrain has not measured
HOUR, DAY = 3600, 86400  # seconds

# From the day a request was lodged: to the accreditation, and to the first release of the same organisation.
MEDIANS = """
WITH accredited AS (
    SELECT e.organisation_id, min(e.submitted_at) AS asked, min(a.decided_at) AS decided
    FROM consent_registryentry e JOIN consent_accreditation a ON a.entry_id = e.id
    WHERE e.submitted_at IS NOT NULL GROUP BY e.organisation_id
), supplied AS (
    SELECT c.organisation_id, min(r.built_at) AS built
    FROM releases_release r JOIN consent_convention c ON c.id = r.convention_id
    WHERE r.built_at IS NOT NULL GROUP BY c.organisation_id
)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided - asked)), count(*),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM built - asked)), count(built)
FROM accredited LEFT JOIN supplied USING (organisation_id)
"""


@dataclass(frozen=True, slots=True)
class Delay:
    """A median time, over `count` organisations; None while there are none."""

    median: timedelta | None
    count: int

    @property
    def days(self) -> float:
        """Days for the drawing, never too thin to be seen."""
        return max(round(self.median / timedelta(days=1), 1), 4) if self.median is not None else 0

    @property
    def words(self) -> str:
        return lasting(self.median) if self.median is not None else ""


def lasting(time: timedelta) -> str:
    """A length of time as people say it."""
    seconds = max(time.total_seconds(), 0)
    if seconds < 2 * HOUR:
        minutes = max(round(seconds / 60), 1)
        return ngettext("%(n)d minute", "%(n)d minutes", minutes) % {"n": minutes}
    if seconds < 2 * DAY:
        hours = round(seconds / HOUR)
        return ngettext("%(n)d heure", "%(n)d heures", hours) % {"n": hours}
    days = round(seconds / DAY)
    return ngettext("%(n)d jour", "%(n)d jours", days) % {"n": days}


def time_to_access() -> tuple[Delay, Delay]:
    """Median times from the request lodged: to the accreditation, and to the first data ready."""
    with connection.cursor() as cursor:
        cursor.execute(MEDIANS)
        accredited, organisations, supplied, organisations_supplied = cursor.fetchone()
    return (
        Delay(None if accredited is None else timedelta(seconds=float(accredited)), organisations),
        Delay(None if supplied is None else timedelta(seconds=float(supplied)), organisations_supplied),
    )


def counts() -> list[tuple[int, str]]:
    """What is open today, as (number, what it counts)."""
    today = clock.today()
    zones = Zone.objects.filter(status=Zone.Status.OPEN).count()
    datasets = Dataset.objects.filter(status=Dataset.Status.PUBLISHED, zone__status=Zone.Status.OPEN).count()
    accredited = (
        RegistryEntry.objects.filter(status=RegistryEntry.Status.ACCREDITED, accreditations__period__contains=today)
        .values("organisation")
        .distinct()
        .count()
    )
    conventions = Convention.objects.filter(
        status=Convention.Status.ACTIVE, starts_on__lte=today, ends_on__gte=today
    ).count()
    releases = Release.objects.filter(status=Release.Status.READY).count()
    return [
        (zones, ngettext("zone ouverte", "zones ouvertes", zones)),
        (datasets, ngettext("jeu de données au catalogue", "jeux de données au catalogue", datasets)),
        (accredited, ngettext("expérimentateur agréé", "expérimentateurs agréés", accredited)),
        (conventions, ngettext("convention en cours", "conventions en cours", conventions)),
        (releases, ngettext("remise prête", "remises prêtes", releases)),
    ]


def open_zones(limit: int = 6):
    """The zones opened last, with the number of their published datasets."""
    return (
        Zone.objects.filter(status=Zone.Status.OPEN)
        .select_related("operator")
        .annotate(published=Count("datasets", filter=Q(datasets__status=Dataset.Status.PUBLISHED)))
        .order_by("-opened_at", "pk")[:limit]
    )


def map_of_zones(most: int = 300) -> drawing.FranceMap | None:
    """Where the open zones are."""
    placed = Zone.objects.filter(status=Zone.Status.OPEN).order_by("name").values_list("name", "communes")[:most]
    return drawing.france_map((name, tuple(codes)) for name, codes in placed)


def zones_of_persons(limit: int = 50):
    """Open zones that supply data about persons: those where somebody may have to say no."""
    held = Dataset.objects.filter(zone=OuterRef("pk"), status=Dataset.Status.PUBLISHED, is_personal=True)
    return Zone.objects.filter(Exists(held), status=Zone.Status.OPEN).order_by("name", "pk")[:limit]


def uses(limit: int = 10):
    """The experiments under way, for anybody who asks what is done with the data of a place."""
    today = clock.today()
    return (
        Convention.objects.filter(status=Convention.Status.ACTIVE, starts_on__lte=today, ends_on__gte=today)
        .select_related("organisation", "zone", "offer__dataset", "application")
        .order_by("-activated_at")[:limit]
    )
