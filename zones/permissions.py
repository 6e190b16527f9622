"""Who may do what on a zone: a table of acts and of the staff roles that may. The state of the zone is another matter.

Roles are given on the zone's people page (`zone-people`); grants are written by `broker.accounts.grants` alone.
"""

from django.utils.translation import gettext as _

from broker.accounts import grants
from broker.accounts.models import Organisation, Role
from broker.errors import NotAllowed
from zones.models import Zone
from zones.models.zone import STAFF_ROLES

ROLES_OF = {  # legal-gate, section 2: O is "operate", H "steward", D "advise", A "audit"
    "edit_zone": ("operate",),
    "open_zone": ("operate",),
    "suspend_zone": ("operate", "advise"),
    "close_zone": ("operate",),
    "give_roles": ("operate",),
    "add_place": ("operate", "steward"),
    "create_dataset": ("operate", "steward"),
    "add_version": ("operate", "steward"),
    "set_roles": ("steward",),
    "publish_dataset": ("operate", "steward"),
    "take_opposition": ("operate", "steward", "advise"),
    "see_profile": STAFF_ROLES,
}


def roles_on(user, zone: Zone) -> frozenset[str]:
    """The staff roles that `user` holds on `zone`."""
    return frozenset(role for role in STAFF_ROLES if grants.may(user, f"zones.{role}", zone))


def may(user, act: str, zone: Zone, *, held: frozenset[str] | None = None) -> bool:
    """Whether `user` may do `act` on `zone`; `held` are their roles when the caller has read them already."""
    held = roles_on(user, zone) if held is None else held
    if held & set(ROLES_OF[act]):
        return True
    return act == "give_roles" and user.is_authenticated and user.holds(Role.LEGAL_REPRESENTATIVE, zone.operator)


def require(user, act: str, zone: Zone) -> None:
    """Raises NotAllowed, with whom to ask, when `user` may not do `act`."""
    if not may(user, act, zone):
        raise NotAllowed(_("Votre rôle dans cette zone ne le permet pas. Demandez-le à une personne de l'opérateur."))


def may_create_zone(user) -> bool:
    return user.is_authenticated and any(o.kind == Organisation.Kind.OPERATOR for o in user.organisations)
