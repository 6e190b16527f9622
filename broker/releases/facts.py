"""What the gate needs to know of a release, as plain values."""

from broker import clock
from broker.releases.models import Release, TraceEntry, WithdrawalOrder
from broker.releases.tables import columns_of
from consent import consents, gate, oppositions


def reference(release: Release) -> str:
    """How decisions and orders name this release."""
    return f"release:{release.pk}"


def state_of(release: Release) -> dict:
    """How far a release is, for a machine: its build, its file, what was taken of it. No step tells of a person."""
    last = release.deliveries.order_by("-started_at").first()
    kept = release.kept_until
    return {
        "release": str(release.pk),
        "status": release.status,
        "step": release.progress.get("step", ""),
        "percent": release.progress.get("percent", 0),
        "problem": release.problem,
        "file_name": release.file_name,
        "size": release.size,
        "sha256": release.sha256,
        "kept_until": kept.isoformat() if kept else None,
        "last_delivery": last
        and {
            "started_at": last.started_at.isoformat(),
            "first_byte": last.first_byte,
            "bytes_sent": last.bytes_sent,
            "outcome": last.outcome or "under way",
        },
    }


def gated_columns(asked: dict, convention) -> tuple[str, ...]:
    """The source columns that leave in some form and that the offer justifies; a bare pseudonym is no column asked."""
    offered = set(convention.offer.columns.values_list("column__path", flat=True))
    return tuple(
        path
        for path, c in columns_of(asked).items()
        if c["treatment"]["kind"] != "drop" and (path in offered or c["treatment"]["kind"] != "pseudonym")
    )


def opposed_inside(release: Release) -> bool:
    """Whether somebody in this release objects, now. Never how many."""
    in_force = oppositions.tokens_in_force(release.convention.zone, release.dataset_version.dataset, clock.now())
    return TraceEntry.objects.filter(release=release, token__in=in_force).exists()


def no_longer_consenting(release: Release):
    """The subjects in this release who no longer consent to its use, now; nobody where it does not rest on consent."""
    inside, wanted = TraceEntry.objects.filter(release=release), release.recipe.get("consent")
    if not wanted:
        return inside.none()
    agreed = consents.tokens_in_force(
        release.dataset_version.dataset, purpose=wanted["purpose"], category=wanted["recipient"], at=clock.now()
    )
    return inside.exclude(token__in=agreed)


def unconsented_inside(release: Release) -> bool | None:
    """Whether there is any of them; None where the release does not rest on consent."""
    return no_longer_consenting(release).exists() if release.recipe.get("consent") else None


def is_stale(release: Release) -> bool:
    """Whether it holds somebody who said no since: an objection, or a consent taken back."""
    return opposed_inside(release) or bool(unconsented_inside(release))


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
        unconsented_inside=unconsented_inside(release),
        identifiers_found=any(found.values()) if found is not None else None,
        k_min=release.k_min,
        receipts=receipts,
        manifest=release.manifest,
    )


def overdue_orders(convention) -> tuple[tuple[str, str], ...]:
    """Withdrawal orders of the whole organisation past their day and not attested, for rule G38: (French, English)."""
    orders = WithdrawalOrder.objects.filter(
        convention__organisation=convention.organisation_id, attested_at=None, due_on__lt=clock.today()
    ).select_related("convention")[:5]
    return tuple(
        (f"un ordre de retrait de {order.convention.ref}", f"a withdrawal order of {order.convention.ref}")
        for order in orders
    )
