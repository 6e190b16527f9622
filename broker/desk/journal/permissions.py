"""Who may read the log: auditors all of it; those who operate, advise or audit a zone, that zone (legal-gate 2)."""

from django.utils.translation import gettext as _

from broker.accounts import grants
from broker.accounts.models import Role
from broker.errors import NotAllowed
from zones.models import Zone

ZONE_ROLES = ("operate", "advise", "audit")


def zones_of(user) -> list[Zone]:
    """The zones whose part of the log `user` may read by a role on them; read once for the life of the instance."""
    if not hasattr(user, "_log_zones"):
        ids = {pk for role in ZONE_ROLES for pk in grants.held(user, f"zones.{role}")}
        user._log_zones = list(Zone.objects.filter(pk__in=ids).only("slug", "name").order_by("name", "pk"))
    return user._log_zones


def reads_everything(user) -> bool:
    return user.holds(Role.AUDITOR)


def scope(user) -> tuple[str, ...] | None:
    """The zones to which a reading is limited, by reference; None for the whole log. Raises NotAllowed."""
    if reads_everything(user):
        return None
    zones = zones_of(user)
    if not zones:
        raise NotAllowed(
            _("Le journal se lit comme auditeur, ou pour une zone que l'on tient : demandez un rôle à son opérateur.")
        )
    return tuple(zone.reference for zone in zones)


def require_whole(user) -> None:
    if not reads_everything(user):
        raise NotAllowed(_("Le journal entier est réservé aux auditeurs : demandez le dossier de votre zone."))
