"""What makes a convention's signatures complete. Pure: the gate's rule G12 and the signing verb read the same list."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

LEVELS = ("simple", "strengthened", "advanced", "qualified")


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature: the party, the SHA-256 it names, its level, the day it was given and the mandate's last day."""

    party: str
    sha256: str
    level: str
    signed_on: date
    mandate: str
    mandate_until: date | None = None


def reaches(level: str, required: str) -> bool:
    """Whether `level` is `required` or higher; an unknown level reaches nothing."""
    return level in LEVELS and required in LEVELS and LEVELS.index(level) >= LEVELS.index(required)


def is_valid(signature: Signed, *, document_sha256: str, required_level: str) -> bool:
    """Whether `signature` names this very document, at the level asked, under a mandate valid that day."""
    return (
        signature.sha256 == document_sha256
        and reaches(signature.level, required_level)
        and bool(signature.mandate)
        and (signature.mandate_until is None or signature.mandate_until >= signature.signed_on)
    )


def required_parties(*, holder_is_distinct: bool) -> tuple[str, ...]:
    return ("operator", "holder", "experimenter") if holder_is_distinct else ("operator", "experimenter")


def missing_parties(
    signed: Iterable[Signed], *, document_sha256: str, required_level: str, holder_is_distinct: bool
) -> list[str]:
    """The parties whose valid signature is missing, in the order they are named; empty when all have signed."""
    valid = {s.party for s in signed if is_valid(s, document_sha256=document_sha256, required_level=required_level)}
    return [party for party in required_parties(holder_is_distinct=holder_is_distinct) if party not in valid]
