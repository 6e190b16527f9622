"""Staff roles on objects (operate, steward, advise, audit a zone): the one module that reads and writes grants.

Grants are direct and have no dates. An experimenter's access to data never rests on one: it comes from a named
person's row, through the gate. Only guardian's object permissions count; a permission given globally, or through a
group, opens nothing.
"""

from django.db.models import Model
from django.utils.translation import gettext as _
from guardian.shortcuts import assign_perm, get_objects_for_user, remove_perm  # noqa: TID251  the one place
from guardian.utils import get_user_obj_perms_model

from broker.audit.actions import describe, recorded
from broker.errors import BadInput

ZONE_ROLES = ("operate", "steward", "advise", "audit")
GRANTABLE = frozenset(f"zones.{role}" for role in ZONE_ROLES)


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
    return _objects(user, perm).filter(pk=obj.pk).exists()


def held(user, perm: str) -> list[int]:
    """The ids of the objects on which `user` holds `perm`."""
    _check(perm)
    if not user.is_authenticated or not user.is_active:
        return []
    return list(_objects(user, perm).order_by("pk").values_list("pk", flat=True))


def holders(obj: Model) -> dict[int, frozenset[str]]:
    """The roles that each user, by id, holds on `obj` ("operate", "steward"), in one query."""
    found: dict[int, set[str]] = {}
    rows = get_user_obj_perms_model(obj)._default_manager.filter(content_object=obj, user__is_active=True)
    for user_id, role in rows.values_list("user_id", "permission__codename"):
        found.setdefault(user_id, set()).add(role)
    return {user_id: frozenset(roles) for user_id, roles in found.items()}


def _objects(user, perm: str):
    return get_objects_for_user(user, perm, use_groups=False, with_superuser=False, accept_global_perms=False)


@recorded("grant.add")
def give(user, perm: str, obj: Model, *, by) -> None:
    """Give `user` the role `perm` on `obj`. Who may give is asked by the caller, who knows the object."""
    _check(perm, obj)
    describe(obj=obj, zone=getattr(obj, "reference", ""), detail={"perm": perm, "user": user.audit_actor().ref})
    if not user.is_active:
        raise BadInput(_("Ce compte est fermé : choisissez un collègue dont le compte est actif."))
    assign_perm(perm, user, obj)


@recorded("grant.remove")
def take(user, perm: str, obj: Model, *, by) -> None:
    """Take the role back; nothing happens when it was not held."""
    _check(perm, obj)
    describe(obj=obj, zone=getattr(obj, "reference", ""), detail={"perm": perm, "user": user.audit_actor().ref})
    remove_perm(perm, user, obj)
