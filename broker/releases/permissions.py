"""Who may, by their place in a convention. Access to the data itself is the gate's alone."""

from broker.accounts import grants
from broker.releases.models import Release
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
