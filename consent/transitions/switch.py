"""Kill switches: who may cut what, at once and alone; who lifts, in two (legal-gate, section 2)."""

from dataclasses import dataclass

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from broker.accounts import grants
from broker.accounts.countersigning import countersign, pending
from broker.accounts.models import Countersign, Organisation, Role
from broker.audit.actions import describe, recorded
from broker.epoch.actions import lift_switch, set_switch
from broker.epoch.models import KillSwitch
from broker.errors import BadInput, WrongState
from consent import permissions
from consent.models import Convention
from zones.models import Dataset, Service, Zone

KINDS = {
    "convention": gettext_lazy("une convention"),
    "dataset": gettext_lazy("un jeu de données"),
    "service": gettext_lazy("un service d'accueil"),
    "zone": gettext_lazy("une zone entière"),
    "organisation": gettext_lazy("une organisation"),
}
MODELS = {"convention": Convention, "dataset": Dataset, "service": Service, "zone": Zone, "organisation": Organisation}


@dataclass(frozen=True, slots=True)
class Target:
    """What a switch cuts: its scope, its zone (none for an organisation), and how people name it."""

    kind: str
    ref: str
    name: str
    zone: Zone | None
    organisation: Organisation | None = None


def target(kind: str, ref: str) -> Target:
    """Raises BadInput on what is not an object of the house that a switch can cut."""
    model = MODELS.get(kind)
    row = model._default_manager.filter(pk=ref).first() if model is not None and str(ref).isdigit() else None
    if row is None:
        raise BadInput(_("Choisissez ce qu'il faut couper dans la liste."))
    if kind == "organisation":
        return Target(kind, str(ref), str(row), None, row)
    return Target(kind, str(ref), str(row), row if kind == "zone" else row.zone)


def targets_of(switches) -> dict[int, Target]:
    """What each switch cuts: at most one query for each kind. An object that is gone is named by its number."""
    found: dict[int, Target] = {}
    for kind, model in MODELS.items():
        here = [one for one in switches if one.kind == kind and one.ref.isdigit()]
        wanted = model._default_manager.filter(pk__in=[one.ref for one in here])
        wanted = wanted.select_related("zone") if kind in ("convention", "dataset", "service") else wanted
        rows = {str(row.pk): row for row in wanted} if here else {}
        for one in here:
            if row := rows.get(one.ref):
                zone = None if kind == "organisation" else row if kind == "zone" else row.zone
                found[one.pk] = Target(kind, one.ref, str(row), zone, row if kind == "organisation" else None)
    return {one.pk: found.get(one.pk) or Target(one.kind, one.ref, one.ref, None) for one in switches}


def require_setter(user, what: Target) -> None:
    if what.organisation is not None:
        permissions.require_registry_officer(user, concerned=what.organisation)
    elif what.kind == "zone":
        permissions.require_zone_switch(user, what.zone)
    else:
        permissions.require_suspender(user, what.zone)


def require_lifter(user, what: Target) -> None:
    if what.organisation is not None:
        permissions.require_registry_officer(user, concerned=what.organisation)
    else:
        permissions.require_operator(user, what.zone)


def offered_to(user) -> list[tuple[str, str, str]]:
    """What this person may cut: (kind, ref, name), the nearest first. A fixed number of queries."""
    zones = {pk for role in ("operate", "advise", "steward") for pk in grants.held(user, f"zones.{role}")}
    whole = {pk for role in ("operate", "advise") for pk in grants.held(user, f"zones.{role}")}
    live = Convention.objects.filter(zone__in=zones, status=Convention.Status.ACTIVE).only("ref").order_by("ref")
    found = [("convention", str(row.pk), row.ref) for row in live[:100]]
    found += [("dataset", str(row.pk), row.title) for row in Dataset.objects.filter(zone__in=zones).only("title")[:100]]
    found += [("service", str(row.pk), row.name) for row in Service.objects.filter(zone__in=zones)[:100]]
    found += [("zone", str(row.pk), row.name) for row in Zone.objects.filter(pk__in=whole)]
    if user.holds(Role.REGISTRY_OFFICER):
        bodies = Organisation.objects.filter(kind="experimenter").exclude(pk__in=user.organisation_ids).order_by("name")
        found += [("organisation", str(pk), name) for pk, name in bodies.values_list("pk", "name")[:300]]
    return found


def seen_by(user):
    """The switches that are on and that this person may know of: those of their zones, of organisations for clerks
    and for members of the organisation, all for an auditor."""
    switches = KillSwitch.objects.filter(lifted_at=None).select_related("set_by").order_by("set_at", "pk")
    if user.holds(Role.AUDITOR):
        return switches
    zones = {pk for role in grants.ZONE_ROLES for pk in grants.held(user, f"zones.{role}")}
    inside = Q(kind="zone", ref__in=[str(pk) for pk in zones])
    for kind, model in (("convention", Convention), ("dataset", Dataset), ("service", Service)):
        # Left in the database: a zone may hold datasets by the thousand, and the switches that are on are few.
        refs = model._default_manager.filter(zone__in=zones).order_by().values_list(Cast("pk", TextField()))
        inside |= Q(kind=kind, ref__in=refs)
    if user.holds(Role.REGISTRY_OFFICER):
        inside |= Q(kind="organisation")
    return switches.filter(inside)


@recorded("switch.review")
def cut(kind: str, ref: str, *, by, reason: str) -> KillSwitch:
    """Cut every access to the object at once; one person is enough, because doubt does not wait."""
    what = target(kind, ref)
    describe(obj=(kind, str(ref)), zone=what.zone.reference if what.zone else "", detail={"reason": reason})
    require_setter(by, what)
    return set_switch(kind, str(ref), by=by, reason=reason)


def countersign_ref(switch: KillSwitch) -> str:
    return f"switch:{switch.pk}"


def first_to_lift(switch: KillSwitch):
    return pending("switch.lift", countersign_ref(switch))


def any_to_lift() -> bool:
    """Whether the lifting of some switch waits for its second person: most days none does."""
    return Countersign.objects.filter(act="switch.lift", second_by=None).exists()


def first_agreements(switches) -> dict[int, Countersign]:
    """The lifting that a first person has asked for, by switch."""
    refs = {countersign_ref(one): one.pk for one in switches}
    rows = Countersign.objects.filter(act="switch.lift", second_by=None, object_ref__in=refs).select_related("first_by")
    return {refs[row.object_ref]: row for row in rows}


def liftable_by(user, targets: dict[int, Target]) -> set[int]:
    """The switches, by number, that this person may take part in lifting: for the buttons of a list."""
    operated, own = set(grants.held(user, "zones.operate")), set(user.organisation_ids)
    clerk = user.holds(Role.REGISTRY_OFFICER)
    return {
        number
        for number, what in targets.items()
        if (what.zone is not None and what.zone.pk in operated)
        or (clerk and what.organisation is not None and what.organisation.pk not in own)
    }


def may_read(user) -> bool:
    """Whoever has a staff role somewhere may see an empty list; the others have nothing to do with it."""
    staff = any(grants.held(user, f"zones.{role}") for role in grants.ZONE_ROLES)
    return staff or user.holds(Role.AUDITOR) or user.holds(Role.REGISTRY_OFFICER)


@recorded("switch.review")
def lift(switch: KillSwitch, *, by, reason: str) -> KillSwitch:
    """Agree to lift; the second, different person's agreement lifts. An organisation's suspension is lifted by its
    reinstatement alone."""
    row = KillSwitch.objects.select_for_update().get(pk=switch.pk)
    what = target(row.kind, row.ref)
    describe(obj=(row.kind, row.ref), zone=what.zone.reference if what.zone else "", detail={"reason": reason})
    require_lifter(by, what)
    if row.lifted_at is not None:
        raise WrongState(_("Ce coupe-circuit est déjà levé : rechargez la page."))
    if not reason.strip():
        raise BadInput(_("Dites pourquoi l'accès peut reprendre."))
    if what.organisation is not None and what.organisation.registry_entries.filter(status="suspended").exists():
        raise WrongState(_("L'agrément de cette organisation est suspendu : rétablissez-le, l'accès reprend avec lui."))
    decision = countersign("switch.lift", countersign_ref(row), by=by, reason=reason, concerned=what.organisation)
    if decision.is_complete:
        return lift_switch(row, by=by, decision=decision, reason=reason)
    return row
