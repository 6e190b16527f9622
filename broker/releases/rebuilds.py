"""Releases that hold somebody who has said no since: found, and built again without them (legal-gate, section 8).

Nothing is stored that says "stale": access computes it (G26), and so does the search for what is to be rebuilt. A
rebuild rests on the decision of the release it replaces: same convention, same recipe, a newer state of the register,
fewer persons. It takes no unit of the quota, gives nobody anything new, and its download is judged like any other.
"""

from datetime import timedelta
from itertools import islice

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from broker import clock
from broker.audit.actions import describe, recorded
from broker.audit.actor import SYSTEM
from broker.errors import NotAllowed, WrongState
from broker.releases import facts, permissions
from broker.releases.models import Release, TraceEntry
from broker.releases.models.release import KEPT
from consent.models import Consent, Convention, Opposition

S = Release.Status
AGAIN_AFTER = timedelta(hours=24)  # a rebuild that failed is tried again by the periodic job after this long


def holding_opposed(at):
    """Whether an outer Release may hold a subject who objects at `at`, or who took a consent back since its build, as
    a condition of a query. Whether another consent still covers them is asked of each release: `facts.is_stale`."""
    in_force = Opposition.objects.filter(
        Q(withdrawn_at=None) | Q(withdrawn_at__gt=at),
        Q(scope=Opposition.Scope.EVERYTHING) | Q(dataset=OuterRef("release__dataset_version__dataset")),
        zone=OuterRef("release__convention__zone"), effective_at__lte=at, token=OuterRef("token"),
    )  # fmt: skip
    ended = Consent.objects.filter(
        dataset=OuterRef("release__dataset_version__dataset"), token=OuterRef("token"),
        withdrawn_at__gt=OuterRef("release__opposition_snapshot_at"),
    )  # fmt: skip
    return Exists(TraceEntry.objects.filter(Exists(in_force) | Exists(ended), release=OuterRef("pk")))


def stale(most: int = 25) -> list[Release]:
    """Ready releases of running conventions that hold somebody who objects and that nobody rebuilds, oldest first."""
    now, today = clock.now(), clock.today()
    under_way = Release.objects.filter(replaces=OuterRef("pk"), status__in=(S.QUEUED, S.BUILDING))
    failed = Release.objects.filter(replaces=OuterRef("pk"), status=S.FAILED, requested_at__gt=now - AGAIN_AFTER)
    found = (
        Release.objects.filter(
            ~Exists(under_way), ~Exists(failed), holding_opposed(now), status=S.READY, recipe__personal=True,
            convention__status=Convention.Status.ACTIVE, convention__ends_on__gte=today,
        )
        .select_related("convention__zone", "convention__organisation", "dataset_version__dataset")
        .order_by("built_at")
    )  # fmt: skip
    return list(islice((one for one in found.iterator(chunk_size=100) if facts.is_stale(one)), most))


def expired(most: int = 100) -> list[Release]:
    """Ready releases whose file is kept no longer, oldest first."""
    today = clock.today()
    old = Release.objects.filter(status=S.READY).filter(
        Q(convention__ends_on__lt=today) | Q(built_at__lt=clock.now() - KEPT)
    )
    found = old.select_related("convention").order_by("built_at")[: 2 * most]
    return [one for one in found if one.kept_until and one.kept_until < today][:most]


def may_start(user, release: Release) -> bool:
    """A named person, or the operator's own people: whoever waits for it, or answers for it."""
    return permissions.is_named(user, release.convention) or permissions.sees_reasons_of_loss(user, release)


def require_key(release: Release) -> None:
    """Raises WrongState when the key that made the release is destroyed: nobody can make its pseudonyms again."""
    if release.key is not None and release.key.destroyed_at is not None:
        raise WrongState(
            _(
                "La clé de cette convention a été détruite le %(day)s, comme prévu : ses pseudonymes ne peuvent plus "
                "être refaits, ni cette remise."
            )
            % {"day": release.key.destroyed_at.astimezone(clock.PARIS).strftime("%d/%m/%Y")}
        )


def why_not(release: Release) -> str:
    """Why an expired release cannot be built again, in words; nothing when it can."""
    try:
        require_running(release.convention)
        require_key(release)
    except WrongState as error:
        return str(error)
    return ""


def require_running(convention: Convention) -> None:
    if convention.status != Convention.Status.ACTIVE or convention.ends_on < clock.today():
        raise WrongState(_("La convention n'est plus en cours : sa remise n'est pas refaite."))


@recorded("release.rebuild")
def start(release: Release, *, by) -> Release:
    """Have `release` built again: because somebody inside objects since, or because its file expired. Unless somebody
    objects, the same recipe makes the same bytes. Raises NotAllowed, WrongState."""
    former = (
        Release.objects.select_for_update(of=("self",)).select_related("convention__zone", "key").get(pk=release.pk)
    )
    convention = former.convention
    describe(
        obj=former, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        purp="experimentation",
    )  # fmt: skip
    if by is not SYSTEM and not may_start(by, former):
        raise NotAllowed(_("Seuls l'opérateur et les personnes nommées par la convention relancent une remise."))
    if former.status not in (S.READY, S.EXPIRED):
        raise WrongState(_("Cette remise n'est plus à jour : prenez celle qui la remplace."))
    if former.rebuilds.filter(status__in=(S.QUEUED, S.BUILDING)).exists():
        raise WrongState(_("Une nouvelle version se prépare déjà : attendez qu'elle soit prête."))
    if former.status == S.READY and not facts.is_stale(former):
        raise WrongState(_("Cette remise est à jour : il n'y a rien à refaire."))
    require_running(convention)
    require_key(former)
    rebuilt = Release.objects.create(
        convention=convention, dataset_version_id=former.dataset_version_id, decision_id=former.decision_id,
        ruleset_version=former.ruleset_version, recipe=former.recipe, recipe_sha256=former.recipe_sha256,
        delivery_mode=former.delivery_mode, requested_by_id=former.requested_by_id, replaces=former,
        progress={"step": "waiting", "percent": 0},
    )  # fmt: skip
    app.configure_task("broker.releases.tasks.build_release", queue="builds", lock="builds").defer(
        release_id=str(rebuilt.pk)
    )
    describe(detail={"rebuilt_as": str(rebuilt.pk)})
    return rebuilt
