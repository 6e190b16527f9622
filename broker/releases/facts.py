"""What the gate needs to know of a release, as plain values."""

from django.db.models import Q

from broker import clock
from broker.releases.models import Release, TraceEntry
from consent import gate
from consent.models import Opposition


def reference(release: Release) -> str:
    """How decisions and orders name this release."""
    return f"release:{release.pk}"


def gated_columns(asked: dict, convention) -> tuple[str, ...]:
    """The source columns that leave in some form and that the offer justifies; a bare pseudonym is no column asked."""
    offered = set(convention.offer.columns.values_list("column__name", flat=True))
    return tuple(
        c["name"]
        for c in asked["columns"]
        if c["treatment"]["kind"] != "drop" and (c["name"] in offered or c["treatment"]["kind"] != "pseudonym")
    )


def tokens_in_force(zone, dataset, at):
    """The zone tokens of those whose objection covers `dataset` at the moment `at`."""
    return Opposition.objects.filter(
        Q(scope=Opposition.Scope.EVERYTHING) | Q(dataset=dataset),
        Q(withdrawn_at=None) | Q(withdrawn_at__gt=at),
        zone=zone,
        effective_at__lte=at,
    ).values_list("token", flat=True)


def opposed_inside(release: Release) -> bool:
    """Whether somebody in this release objects, now. Never how many."""
    in_force = tokens_in_force(release.convention.zone_id, release.dataset_version.dataset_id, clock.now())
    return TraceEntry.objects.filter(release=release, token__in=in_force).exists()


def facts_of(release: Release) -> gate.ReleaseFacts:
    receipts = tuple(
        gate.ReceiptFacts(obligation=one.obligation, is_done=one.is_done, digest=one.digest)
        for one in release.receipts.all()
    )
    profile = next((one for one in release.receipts.all() if one.obligation == "apply_profile"), None)
    found = profile.figures.get("identifiers_found") if profile else None
    return gate.ReleaseFacts(
        ref=reference(release),
        kind=release.kind,
        status=release.status,
        convention_ref=release.convention.ref,
        columns=gated_columns(release.recipe, release.convention),
        key_ref=release.key.ref if release.key else "",
        opposition_snapshot_at=release.opposition_snapshot_at,
        opposed_inside=opposed_inside(release),
        identifiers_found=any(found.values()) if found is not None else None,
        k_min=release.k_min,
        receipts=receipts,
        manifest=release.manifest,
    )
