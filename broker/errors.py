"""The few errors that a person may meet. One middleware and one API handler turn them into HTTP.

`BadInput` 422, `NotAllowed` 403, `Refused` 403 (with every reason), `WrongState` 409. A bug is none of them:
it is a 500 that someone reads.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason to refuse: a stable code, a sentence that says what to do next, the text it rests on."""

    code: str
    message: str
    source: str = ""
    link: str = ""


class TerrainError(Exception):
    """An error that is told to the person, in French, with its mend."""

    status = 400
    reasons: tuple[Reason, ...] = ()
    # What outlives the rollback of the verb that raised it (audit.actions): a wrong code stays counted.
    afterwards: tuple[Callable[[], None], ...] = ()

    def __init__(self, message: str = "", *, reasons: tuple[Reason, ...] = ()):
        super().__init__(message or " ".join(reason.message for reason in reasons))
        self.reasons = tuple(reasons)


class BadInput(TerrainError):
    """What was sent cannot be taken; the message names the mend."""

    status = 422


class NotAllowed(TerrainError):
    """This person may not do this."""

    status = 403


class Refused(TerrainError):
    """The law, the convention or a rule of the project says no; every reason is given."""

    status = 403


class WrongState(TerrainError):
    """The object's state does not allow this act; the message says which state and what to do."""

    status = 409
