"""Who acts, as the log sees it: a reference that the caller owns, turned into an erasable token when written."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """`ref` names the row of whoever acts ("user:12", "credential:3", "service:worker"); it is never written
    to a leaf. `kind` is person, service or auditor; `auth` says how they proved who they are ("mfa", "password",
    "credential", "none"); `org` is their organisation's public reference, or empty."""

    ref: str
    kind: str = "person"
    auth: str = ""
    org: str = ""


SYSTEM = Actor("service:terrain", kind="service", auth="none")
ANONYMOUS = Actor("person:anonymous", kind="person", auth="none")


def of(by) -> Actor:
    """The actor behind `by`: an `Actor`, or anything with `audit_actor()` (a user, a machine credential)."""
    if isinstance(by, Actor):
        return by
    if by is None or getattr(by, "is_anonymous", False):
        return ANONYMOUS
    return by.audit_actor()
