"""What a recipient must remove from the copies it already took (legal-gate, section 8; RGPD art. 19).

An order holds the pseudonyms of its own convention and nothing else. They are computed by the zone's worker, from the
source, under that convention's key; the web reads the order and never a key. The orders of two conventions about the
same person have nothing in common.
"""

import contextlib
import hashlib
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from broker import clock
from broker.accounts.models import Role
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, NotAllowed, WrongState
from broker.releases import facts, rebuilds
from broker.releases.models import Delivery, Release, TraceEntry, WithdrawalCheck, WithdrawalOrder
from consent import oppositions
from consent.models import Convention

DAYS = 15  # clause 14
SHORTEST = 20  # signs of an attestation: what was removed, where, by whom
HOLDERS = (
    Convention.Status.ACTIVE, Convention.Status.SUSPENDED, Convention.Status.EXPIRED, Convention.Status.TERMINATED,
)  # fmt: skip


def taken():
    """Releases of which bytes left, whatever became of them: their copies are with the recipient."""
    return Release.objects.filter(
        Exists(Delivery.objects.filter(release=OuterRef("pk"), bytes_sent__gt=0)), recipe__personal=True
    )


def owing(zone=None) -> list[int]:
    """Conventions whose recipients hold somebody who objects, and were not told of the register's present state."""
    held = taken().filter(rebuilds.holding_opposed(clock.now()), convention__status__in=HOLDERS)
    if zone is not None:
        held = held.filter(convention__zone=zone)
    known = dict(WithdrawalCheck.objects.values_list("convention", "register_sha256"))
    conventions = Convention.objects.filter(pk__in=held.values("convention")).select_related("zone", "offer__dataset")
    return [one.pk for one in conventions if known.get(one.pk) != digest(concerned(one))]


def ask(zone=None) -> None:
    """Give the worker the conventions whose recipients are to be told; one job a convention."""
    for convention in owing(zone):
        with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
            app.configure_task(
                "broker.releases.tasks.order_withdrawal", queue="subjects", lock="matching",
                queueing_lock=f"withdrawal:{convention}",
            ).defer(convention_id=convention)  # fmt: skip


def concerned(convention: Convention) -> dict[int, tuple[list[Release], list[str]]]:
    """By version of the data: the releases taken, and the zone tokens of those inside who object now."""
    found: dict[int, tuple[list[Release], list[str]]] = {}
    by_version: dict[int, list[Release]] = {}
    for release in taken().filter(convention=convention).select_related("dataset_version__dataset").order_by("pk"):
        by_version.setdefault(release.dataset_version_id, []).append(release)
    for version, releases in by_version.items():
        dataset = releases[0].dataset_version.dataset
        in_force = oppositions.tokens_in_force(convention.zone, dataset, clock.now())
        rows = list(TraceEntry.objects.filter(release__in=releases, token__in=in_force).values_list("release", "token"))
        for release in releases:
            rows += facts.no_longer_consenting(release).values_list("release", "token")
        holding = {release for release, _token in rows}
        tokens = sorted({bytes(token).hex() for _release, token in rows})
        if tokens:
            found[version] = ([one for one in releases if one.pk in holding], tokens)
    return found


def digest(held: dict[int, tuple[list[Release], list[str]]]) -> str:
    """Names a state of the register as this convention sees it."""
    return hashlib.sha256("".join(t for _releases, tokens in held.values() for t in tokens).encode()).hexdigest()


@recorded("withdrawal.order")
def give(convention: Convention, *, pseudonyms: set[str], releases: list[Release], register: str, by):
    """Write the order for the pseudonyms not yet ordered; none when all of them were. The check is kept either way."""
    Convention.objects.select_for_update(of=("self",)).get(pk=convention.pk)
    describe(
        obj=convention, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        purp="experimentation",
    )  # fmt: skip
    WithdrawalCheck.objects.update_or_create(
        convention=convention, defaults={"register_sha256": register, "checked_at": clock.now()}
    )
    ordered = {one for order in convention.withdrawal_orders.all() for one in order.pseudonyms}
    new = sorted(pseudonyms - ordered)
    if not new:
        return None
    order = WithdrawalOrder.objects.create(
        convention=convention, pseudonyms=new, due_on=clock.today() + timedelta(days=DAYS)
    )
    order.releases.set(releases)
    describe(obj=order, detail={"due_on": order.due_on.isoformat(), "releases": [str(one.pk) for one in releases]})
    return order


@recorded("withdrawal.attest")
def attest(order: WithdrawalOrder, *, by, text: str) -> WithdrawalOrder:
    """The recipient's representative attests that the persons are gone from its copies. Once."""
    row = WithdrawalOrder.objects.select_for_update(of=("self",)).select_related("convention__zone").get(pk=order.pk)
    convention = row.convention
    describe(
        obj=row, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        purp="experimentation", detail={"overdue": row.is_overdue},
    )  # fmt: skip
    if not may_attest(by, row):
        raise NotAllowed(_("L'attestation engage votre organisme : son représentant légal la donne."))
    if row.attested_at is not None:
        raise WrongState(_("Cet ordre est déjà exécuté et attesté."))
    said = text.strip()
    if len(said) < SHORTEST:
        raise BadInput(_("Dites ce qui a été retiré, où et par qui : une phrase suffit."))
    row.attested_by, row.attested_at, row.attestation = by, clock.now(), said
    row.save(update_fields=["attested_by", "attested_at", "attestation"])
    return row


def may_attest(user, order: WithdrawalOrder) -> bool:
    return user.holds(Role.LEGAL_REPRESENTATIVE, order.convention.organisation)


def reads_pseudonyms(user, order: WithdrawalOrder) -> bool:
    """The recipient alone: to everybody else the order is a date and a state."""
    return user.belongs_to(order.convention.organisation)


def visible(user):
    """Orders `user` may know of: those of the conventions they may know of."""
    return WithdrawalOrder.objects.filter(convention__in=Convention.objects.for_user(user))
