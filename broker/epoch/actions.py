"""Ending access at once: epochs that only grow, switches that cut.

A scope is a pair of texts, ("zone", "12"). Whoever writes something that ends an access (a switch, an opposition, a
suspension) raises the epochs of the scopes it touches in the same transaction. A stream that was permitted under a
sum of epochs stops as soon as the sum differs: values never fall, so no two raises can hide each other.
"""

from collections.abc import Iterable

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import Countersign
from broker.audit.actions import describe, recorded
from broker.epoch.models import KillSwitch
from broker.errors import BadInput, WrongState

Scope = tuple[str, str]


def raise_epoch(*scopes: Scope) -> None:
    """Raise each scope's epoch by one, in the transaction under way."""
    wanted = sorted({(str(kind), str(ref)) for kind, ref in scopes})  # one order for all, or two writers deadlock
    with transaction.atomic(), connection.cursor() as cursor:
        for kind, ref in wanted:
            cursor.execute(
                "INSERT INTO epoch_policyepoch (kind, ref, value) VALUES (%s, %s, 1) "
                "ON CONFLICT (kind, ref) DO UPDATE SET value = epoch_policyepoch.value + 1",
                [kind, ref],
            )


def epoch_of(scopes: Iterable[Scope]) -> int:
    """The sum of the scopes' epochs: it changes when any of them was raised."""
    kinds, refs = _columns(scopes)
    with connection.cursor() as cursor:  # asked before every chunk of every stream: no query to be built each time
        cursor.execute(
            "SELECT coalesce(sum(value), 0) FROM epoch_policyepoch "
            "WHERE (kind, ref) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            [kinds, refs],
        )
        return int(cursor.fetchone()[0])


def _columns(scopes: Iterable[Scope]) -> tuple[list[str], list[str]]:
    pairs = [(str(kind), str(ref)) for kind, ref in scopes]
    return [kind for kind, _ref in pairs], [ref for _kind, ref in pairs]


def switches_on(scopes: Iterable[Scope]) -> list[KillSwitch]:
    """The switches that are on for any of the scopes, oldest first."""
    condition = _any_of(scopes)
    if condition is None:
        return []
    return list(KillSwitch.objects.filter(condition, lifted_at=None).order_by("set_at", "pk"))


def _any_of(scopes: Iterable[Scope]) -> Q | None:
    condition = None
    for kind, ref in scopes:
        one = Q(kind=str(kind), ref=str(ref))
        condition = one if condition is None else condition | one
    return condition


@recorded("switch.set")
def set_switch(kind: str, ref: str, *, by, reason: str) -> KillSwitch:
    """Cut every access to the object at once. Who may is asked by the caller, who knows the object."""
    describe(obj=(kind, ref), detail={"reason": reason})
    if not reason.strip():
        raise BadInput(_("Écrivez le motif de la coupure : il figure au journal."))
    try:
        with transaction.atomic():
            switch = KillSwitch.objects.create(kind=kind, ref=str(ref), reason=reason, set_by=by)
    except IntegrityError as error:
        if "switch_once" not in str(error):
            raise
        raise WrongState(_("Ce coupe-circuit est déjà enclenché : l'accès est coupé.")) from error
    raise_epoch((kind, ref))
    return switch


@recorded("switch.lift")
def lift_switch(switch: KillSwitch, *, by, decision: Countersign, reason: str) -> KillSwitch:
    """Lift the cut, under a `decision` of two persons about this very switch. Access is judged anew by the gate."""
    describe(obj=(switch.kind, switch.ref), detail={"reason": reason, "decision": decision.pk})
    row = KillSwitch.objects.select_for_update().get(pk=switch.pk)
    if row.lifted_at is not None:
        raise WrongState(_("Ce coupe-circuit est déjà levé : rechargez la page."))
    row.lifted_at, row.lifted_under = clock.now(), decision
    row.save(update_fields=["lifted_at", "lifted_under"])
    raise_epoch((row.kind, row.ref))
    return row
