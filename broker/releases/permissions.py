"""Who may, by their place in a convention. Access to the data itself is the gate's alone."""

from django.utils.translation import gettext as _

from broker.accounts import grants
from broker.accounts.models import Role
from broker.errors import NotAllowed
from broker.releases.models import Release
from broker.releases.models.reconciliation import ZONE_ROLES
from consent.models import Convention


def is_named(user, convention: Convention) -> bool:
    """Whether `user` is one of the persons the convention names (today's dates are judged by the gate)."""
    return user.is_authenticated and convention.named_persons.filter(user=user).exists()


def may_request(user, convention: Convention) -> bool:
    """Whoever is named, and the experimenter's other people: the gate refuses these, records it and says why."""
    return is_named(user, convention) or user.belongs_to(convention.organisation)


def may_order(user, release: Release) -> bool:
    return is_named(user, release.convention)


def sees_reasons_of_loss(user, release: Release) -> bool:
    """Rows lost to objections and to the minors' rule are told to the operator only (legal-gate, scenario 12)."""
    zone = release.convention.zone
    return any(grants.may(user, f"zones.{role}", zone) for role in ("operate", "steward", "advise", "audit"))


def reads_reconciliation(user) -> bool:
    """Auditors, and whoever operates, advises or audits a zone, read what the comparison of bytes found."""
    return user.holds(Role.AUDITOR) or any(grants.held(user, f"zones.{role}") for role in ZONE_ROLES)


def require_reconciliation(user) -> None:
    if not reads_reconciliation(user):
        raise NotAllowed(
            _("Le rapprochement se lit comme auditeur, ou pour une zone que l'on tient : demandez un rôle à son "
              "opérateur.")
        )  # fmt: skip


def may_reconcile(user) -> bool:
    return user.holds(Role.AUDITOR)


def require_reconciling(user) -> None:
    if not may_reconcile(user):
        raise NotAllowed(_("Seul un auditeur demande un rapprochement ; il se fait aussi chaque nuit."))
