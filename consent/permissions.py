"""Who may, in the room of consent. Each function raises NotAllowed with the mend; `can` answers for buttons."""

from django.utils.translation import gettext as _

from broker.accounts.grants import may
from broker.accounts.models import Organisation, Role
from broker.errors import NotAllowed
from zones import permissions as zones_permissions


def can(require, *args, **facts) -> bool:
    """Whether `require(*args)` lets pass: the same rule for the button and for the verb."""
    try:
        require(*args, **facts)
    except NotAllowed:
        return False
    return True


def require_member(user, organisation: Organisation) -> None:
    if not user.belongs_to(organisation):
        raise NotAllowed(_("Seules les personnes de %s peuvent préparer ce dossier.") % organisation)


def require_representative(user, organisation: Organisation) -> None:
    if not user.holds(Role.LEGAL_REPRESENTATIVE, organisation):
        raise NotAllowed(
            _("Cet acte engage %s : demandez à son représentant légal de le faire depuis son bureau.") % organisation
        )


def require_registry_officer(user, *, concerned: Organisation) -> None:
    if not user.holds(Role.REGISTRY_OFFICER):
        raise NotAllowed(_("Seuls les agents du registre décident d'un agrément."))
    if user.belongs_to(concerned):
        raise NotAllowed(_("On ne décide pas de sa propre organisation ; laissez ce dossier à un collègue."))


def require_operator(user, zone) -> None:
    if not may(user, "zones.operate", zone):
        raise NotAllowed(_("Cet acte revient à un agent de l'opérateur de %s.") % zone)


def require_offer_writer(user, zone) -> None:
    if not (may(user, "zones.operate", zone) or may(user, "zones.steward", zone)):
        raise NotAllowed(_("Une offre se prépare par l'opérateur ou le responsable des données de %s.") % zone)


def require_dpo(user, zone) -> None:
    if not may(user, "zones.advise", zone):
        raise NotAllowed(_("Cet avis revient au délégué à la protection des données de %s.") % zone)


def require_steward(user, zone) -> None:
    if not may(user, "zones.steward", zone):
        raise NotAllowed(_("Cet avis revient au responsable de service de %s.") % zone)


def require_suspender(user, zone) -> None:
    """The operator's officers, its DPO, or the head of service: doubt does not wait for two persons."""
    if not any(may(user, f"zones.{role}", zone) for role in ("operate", "advise", "steward")):
        raise NotAllowed(_("La suspension revient à l'opérateur de %s, à son DPO ou au responsable de service.") % zone)


def require_zone_switch(user, zone) -> None:
    """A whole zone: its operator's officers or its DPO; a head of service cuts their own service."""
    if not any(may(user, f"zones.{role}", zone) for role in ("operate", "advise")):
        raise NotAllowed(_("Couper toute la zone %s revient à l'opérateur ou à son DPO.") % zone)


def require_intake(user, zone) -> None:
    """Whoever meets the persons: service, DPO, operator. They identify the person; the platform does not."""
    if not zones_permissions.may(user, "take_opposition", zone):
        raise NotAllowed(
            _("Une opposition se reçoit à l'accueil de %s : par le service, le DPO ou l'opérateur.") % zone
        )


def rights_on(convention, user) -> dict[str, bool]:
    """What `user` may do to `convention`, whatever its state: for the buttons of its page."""
    zone = convention.zone
    operate = can(require_operator, user, zone)
    represents = can(require_representative, user, convention.organisation)
    return {
        "operate": operate, "suspend": can(require_suspender, user, zone), "resume": operate,
        "terminate": operate or represents, "name": represents, "attest": represents,
    }  # fmt: skip
