"""Who may read the log, and which part of it. Source: legal-gate, section 2, line "read access log".

| reader | part |
|---|---|
| auditor | all of it |
| officer of an operator, its DPO, auditor of a zone | all of their zones |
| data steward | accesses to the data of their zones (a service has no account of its own) |
| registry officer | acts of the registry, and accesses of the organisations on it |
| member, representative, named person of an experimenter | accesses of their own organisation |
"""

from django.db.models import Q
from django.utils.translation import gettext as _

from broker.accounts import grants
from broker.accounts.models import Organisation, Role
from broker.audit import search
from broker.desk.journal import phrases
from broker.errors import NotAllowed
from consent.models import Convention
from consent.permissions import can
from zones.models import Dataset, Zone

ZONE_ROLES = ("operate", "advise", "audit")


def zones_of(user) -> list[Zone]:
    """The zones whose part of the log `user` may read by a role on them; read once for the life of the instance."""
    if not hasattr(user, "_log_zones"):
        user._log_zones = _zones(user, *ZONE_ROLES)
    return user._log_zones


def _zones(user, *roles: str) -> list[Zone]:
    ids = {pk for role in roles for pk in grants.held(user, f"zones.{role}")}
    return list(Zone.objects.filter(pk__in=ids).only("slug", "name").order_by("name", "pk")) if ids else []


def reads_everything(user) -> bool:
    return user.holds(Role.AUDITOR)


def scope(user) -> tuple[search.Query, ...] | None:
    """What a reading is limited to, any of these; None for the whole log; read once. Raises NotAllowed."""
    if reads_everything(user):
        return None
    if not hasattr(user, "_log_limits"):
        user._log_limits = _limits(user)
    if not user._log_limits:
        raise NotAllowed(
            _("Le journal se lit comme auditeur, ou pour une zone que l'on tient : demandez un rôle à son opérateur.")
        )
    return user._log_limits


def may_read(user) -> bool:
    return can(scope, user)


def _limits(user) -> tuple[search.Query, ...]:
    limits = []
    if zones := zones_of(user):
        limits.append(search.Query(zone=tuple(zone.reference for zone in zones)))
    if stewarded := _zones(user, "steward"):
        limits.append(search.Query(zone=tuple(zone.reference for zone in stewarded), act=phrases.ACCESSES))
    if user.holds(Role.REGISTRY_OFFICER):
        limits.append(search.Query(act=(*phrases.REGISTRY, *phrases.BY_EXPERIMENTERS)))
    if bodies := _own_experimenters(user):
        limits.append(search.Query(act=phrases.ACCESSES, org=bodies))
    return tuple(limits)


def _own_experimenters(user) -> tuple[str, ...]:
    rows = Organisation.objects.filter(pk__in=user.organisation_ids, kind=Organisation.Kind.EXPERIMENTER)
    return tuple(body.reference for body in rows.only("siren"))


def zones_to_ask(user):
    """The zones that a reader may choose among."""
    if reads_everything(user):
        return Zone.objects.all()
    return Zone.objects.filter(pk__in=[zone.pk for zone in (*zones_of(user), *_zones(user, "steward"))])


def zones_of_health() -> tuple[str, ...]:
    """The zones whose events a health information system reads (FHIR), by reference."""
    kinds = (Zone.Kind.HOSPITAL, Zone.Kind.CARE_NETWORK)
    return tuple(zone.reference for zone in Zone.objects.filter(kind__in=kinds).only("slug"))


def datasets_to_ask(user):
    """The datasets that a reader may choose among: those of their zones, those of their own conventions."""
    if reads_everything(user):
        return Dataset.objects.all()
    taken_up = Convention.objects.filter(organisation__in=user.organisation_ids).values("offer__dataset")
    return Dataset.objects.filter(Q(zone__in=zones_to_ask(user)) | Q(pk__in=taken_up))


def readers_of(event: dict, zone: str, organisation: str) -> list[str]:
    """Who may read this event, in words; `zone` and `organisation` are their names. The rules are those of `scope`."""
    readers = [_("les auditeurs")]
    if event.get("zone"):
        readers.append(_("les agents de l'opérateur, le délégué et les auditeurs de zone de %(zone)s") % {"zone": zone})
        if event["act"] in phrases.ACCESSES:
            readers.append(_("les responsables de données de %(zone)s") % {"zone": zone})
    if event["act"] in (*phrases.REGISTRY, *phrases.BY_EXPERIMENTERS):
        readers.append(_("les agents du registre"))
    if event["act"] in phrases.BY_EXPERIMENTERS and event.get("org"):
        readers.append(_("les personnes de %(organisation)s") % {"organisation": organisation})
    return readers


def require_whole(user) -> None:
    if not reads_everything(user):
        raise NotAllowed(_("Le journal entier est réservé aux auditeurs : demandez le dossier de votre zone."))
