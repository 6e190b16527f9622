"""What the log keeps beside a leaf, erased before its term or held beyond it. The leaf stays, no root changes.

Two persons erase before the term: an officer or the delegate of the zone proposes, another person, its delegate,
approves. A hold keeps a detail beyond its term until a day that is written: the delegate alone sets and lifts one.
"""

import re
from datetime import date

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts import grants
from broker.accounts.countersigning import countersign, pending
from broker.accounts.desk import Task
from broker.accounts.models import Countersign
from broker.audit import erasing, search
from broker.audit.actions import describe, recorded
from broker.desk.models import LogHold
from broker.errors import BadInput, NotAllowed, WrongState
from zones.models import Zone

ACT = "log.erase_early"
WHAT = ("detail", "sub")
MOST_TASKS = 25
REF = re.compile(r"zone:(\d+):leaf:(\d+):(detail|sub)")


def zone_of(entry: search.Entry) -> Zone | None:
    """The zone whose part of the log `entry` is in."""
    return Zone.objects.filter(slug=((entry.event or {}).get("zone") or "").removeprefix("zone:")).first()


def require(user, zone: Zone | None) -> Zone:
    if zone is None or not (may_approve(user, zone) or grants.may(user, "zones.operate", zone)):
        raise NotAllowed(_("Ce que le journal garde d'une zone revient à son opérateur et à son délégué."))
    return zone


def keeps(user, entry: search.Entry) -> bool:
    """Whether the page of `entry` leads this reader to what is kept beside it."""
    zone = zone_of(entry)
    return zone is not None and (may_approve(user, zone) or grants.may(user, "zones.operate", zone))


def may_approve(user, zone: Zone) -> bool:
    return grants.may(user, "zones.advise", zone)


def reference(zone: Zone, entry: search.Entry, what: str) -> str:
    return f"zone:{zone.pk}:leaf:{entry.leaf_index}:{what}"


def proposed(zone: Zone, entry: search.Entry) -> dict[str, Countersign]:
    """What waits for its second person: "detail", "sub"."""
    found = {what: pending(ACT, reference(zone, entry, what)) for what in WHAT}
    return {what: decision for what, decision in found.items() if decision is not None}


def held(entry: search.Entry) -> LogHold | None:
    """The hold in force on the detail of `entry`."""
    return LogHold.objects.filter(event_id=entry.event_id, lifted_at=None, until__gte=clock.today()).first()


@recorded(ACT)
def erase(entry: search.Entry, what: str, *, by, reason: str) -> bool:
    """Propose, or approve what another person proposed: True once it is erased.

    Raises NotAllowed, BadInput without a reason, WrongState when nothing is left to erase or a hold keeps it."""
    zone = require(by, zone_of(entry))
    describe(obj=("leaf", str(entry.leaf_index)), zone=zone.reference, detail={"what": what, "reason": reason})
    if not reason.strip():
        raise BadInput(_("Écrivez le motif : il figure au journal."))
    if what == "detail" and held(entry) is not None:
        raise WrongState(_("Un gel garde ce détail : levez-le d'abord."))
    token = (entry.event or {}).get("sub") or ""
    references = list(search.references_of([token]).values()) if what == "sub" else []
    if not (references if what == "sub" else search.detail_of(entry)):
        raise WrongState(_("Il n'y a plus rien à effacer ici."))
    opened = pending(ACT, reference(zone, entry, what))
    if opened is not None and not may_approve(by, zone):
        raise NotAllowed(_("Le délégué à la protection de la zone approuve : cette demande l'attend."))
    if not countersign(ACT, reference(zone, entry, what), by=by, reason=reason).is_complete:
        return False
    if what == "sub":
        erasing.erase_tokens(references, by=by, why=reason)
    else:
        erasing.erase_details([entry.event_id], by=by, why=reason, zone=zone.reference)
    return True


@recorded("log.hold")
def hold(entry: search.Entry, *, by, until: date, reason: str) -> LogHold:
    """Keep the detail of `entry` until that day included. Raises NotAllowed, BadInput, WrongState."""
    zone = _delegate_of(entry, by)
    describe(obj=("leaf", str(entry.leaf_index)), zone=zone.reference, detail={"until": until, "reason": reason})
    if not reason.strip():
        raise BadInput(_("Écrivez le motif : il figure au journal."))
    if until <= clock.today():
        raise BadInput(_("Un gel finit un jour à venir."))
    if search.detail_of(entry) is None:
        raise WrongState(_("Il n'y a plus rien à garder ici."))
    LogHold.objects.filter(event_id=entry.event_id, lifted_at=None, until__lt=clock.today()).update(
        lifted_at=clock.now(), lifted_by=by
    )
    try:
        with transaction.atomic():
            return LogHold.objects.create(
                zone=zone, event_id=entry.event_id, leaf_index=entry.leaf_index, reason=reason.strip(), until=until,
                set_by=by,
            )  # fmt: skip
    except IntegrityError as error:
        if "log_hold_once" not in str(error):
            raise
        raise WrongState(_("Un gel garde déjà ce détail.")) from error


@recorded("log.release_hold")
def lift(entry: search.Entry, *, by, reason: str) -> LogHold:
    """From now on the detail goes at its term. Raises NotAllowed, BadInput, WrongState."""
    zone = _delegate_of(entry, by)
    describe(obj=("leaf", str(entry.leaf_index)), zone=zone.reference, detail={"reason": reason})
    if not reason.strip():
        raise BadInput(_("Écrivez le motif : il figure au journal."))
    row = LogHold.objects.select_for_update(of=("self",)).filter(event_id=entry.event_id, lifted_at=None).first()
    if row is None:
        raise WrongState(_("Aucun gel ne garde ce détail."))
    row.lifted_at, row.lifted_by = clock.now(), by
    row.save(update_fields=["lifted_at", "lifted_by"])
    return row


def _delegate_of(entry: search.Entry, by) -> Zone:
    zone = require(by, zone_of(entry))
    if not may_approve(by, zone):
        raise NotAllowed(_("Un gel revient au délégué à la protection de la zone."))
    return zone


def waiting_for(user) -> list[Task]:
    """Erasures that another person proposed in the zones whose delegate `user` is."""
    of_zones = Q()
    for pk in grants.held(user, "zones.advise"):
        of_zones |= Q(object_ref__startswith=f"zone:{pk}:leaf:")
    if not of_zones:
        return []
    found = []
    opened = Countersign.objects.filter(of_zones, act=ACT, second_by=None).exclude(first_by=user)
    for one in opened.order_by("first_at")[:MOST_TASKS]:
        if named := REF.fullmatch(one.object_ref):
            title = _("Effacer avant le terme, inscription n° %(n)s du journal") % {"n": named[2]}
            found.append(Task(title, one.first_at, reverse("audit-keeping", args=[int(named[2])])))
    return found
