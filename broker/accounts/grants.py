"""Staff roles on objects (operate, steward, advise, audit a zone): the one module that reads and writes grants.

Grants are direct and have no dates. An experimenter's access to data never rests on one: it comes from a named
person's row, through the gate. Only guardian's object permissions count; a permission given globally, or through a
group, opens nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connection
from django.db.models import Model
from django.utils.translation import gettext as _
from guardian.shortcuts import assign_perm, remove_perm  # noqa: TID251  the one place
from guardian.utils import get_user_obj_perms_model

from broker.audit.actions import describe, recorded
from broker.errors import BadInput

ZONE_ROLES = ("operate", "steward", "advise", "audit")
GRANTABLE = frozenset(f"zones.{role}" for role in ZONE_ROLES)

# Every page asks this: written here, it costs a fifth of what composing it costs.
ROLES = """
SELECT p.codename, g.content_object_id
FROM zones_zonegrant g
JOIN auth_permission p ON p.id = g.permission_id
JOIN django_content_type t ON t.id = p.content_type_id
WHERE g.user_id = %s AND t.app_label = 'zones' AND t.model = 'zone'
"""

HOLDERS = """
SELECT DISTINCT g.user_id
FROM zones_zonegrant g
JOIN auth_permission p ON p.id = g.permission_id
JOIN django_content_type t ON t.id = p.content_type_id
JOIN accounts_user u ON u.id = g.user_id
WHERE p.codename = %s AND t.app_label = 'zones' AND t.model = 'zone' AND u.is_active
"""

# Within one request: user's id -> role -> ids of zones. A page asks a dozen times; outside a request nothing is kept.
_kept: ContextVar[dict[int, dict[str, frozenset[int]]] | None] = ContextVar("grants_kept", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """Read each person's grants once for a whole request; a grant given or taken meanwhile is read again."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def _check(perm: str, obj: Model | None = None) -> None:
    """Raises ValueError on a permission that is no role of the house, or that `obj` cannot carry."""
    if perm not in GRANTABLE:
        raise ValueError(f"{perm!r} is not a grant; the grants are {', '.join(sorted(GRANTABLE))}")
    if obj is not None and perm.partition(".")[0] != obj._meta.app_label:
        raise ValueError(f"{perm!r} cannot be given on a {obj._meta.label}")


def may(user, perm: str, obj: Model) -> bool:
    """Whether `user` holds `perm` ("zones.operate") on `obj` itself."""
    _check(perm, obj)
    if not user.is_authenticated or not user.is_active:
        return False
    return obj.pk in _roles(user).get(perm, frozenset())


def held(user, perm: str) -> list[int]:
    """The ids of the objects on which `user` holds `perm`."""
    _check(perm)
    if not user.is_authenticated or not user.is_active:
        return []
    return sorted(_roles(user).get(perm, frozenset()))


def holders(obj: Model) -> dict[int, frozenset[str]]:
    """The roles that each user, by id, holds on `obj` ("operate", "steward"), in one query."""
    found: dict[int, set[str]] = {}
    rows = get_user_obj_perms_model(obj)._default_manager.filter(content_object=obj, user__is_active=True)
    for user_id, role in rows.values_list("user_id", "permission__codename"):
        found.setdefault(user_id, set()).add(role)
    return {user_id: frozenset(roles) for user_id, roles in found.items()}


def everybody_with(perm: str) -> set[int]:
    """The ids of the active users who hold `perm` on any object, in one query."""
    _check(perm)
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, [perm.partition(".")[2]])
        return {pk for (pk,) in cursor.fetchall()}


def _roles(user) -> dict[str, frozenset[int]]:
    """The ids of the objects on which `user` holds each role, in one query; direct grants alone."""
    kept = _kept.get()
    if kept is not None and user.pk in kept:
        return kept[user.pk]
    found: dict[str, set[int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(ROLES, [user.pk])
        for role, pk in cursor.fetchall():
            found.setdefault(f"zones.{role}", set()).add(pk)
    roles = {perm: frozenset(ids) for perm, ids in found.items()}
    if kept is not None:
        kept[user.pk] = roles
    return roles


def _forget(user) -> None:
    (_kept.get() or {}).pop(user.pk, None)


@recorded("grant.add")
def give(user, perm: str, obj: Model, *, by) -> None:
    """Give `user` the role `perm` on `obj`. Who may give is asked by the caller, who knows the object."""
    _check(perm, obj)
    describe(obj=obj, zone=getattr(obj, "reference", ""), detail={"perm": perm, "user": user.audit_actor().ref})
    if not user.is_active:
        raise BadInput(_("Ce compte est fermé : choisissez un collègue dont le compte est actif."))
    assign_perm(perm, user, obj)
    _forget(user)


@recorded("grant.remove")
def take(user, perm: str, obj: Model, *, by) -> None:
    """Take the role back; nothing happens when it was not held."""
    _check(perm, obj)
    describe(obj=obj, zone=getattr(obj, "reference", ""), detail={"perm": perm, "user": user.audit_actor().ref})
    remove_perm(perm, user, obj)
    _forget(user)
