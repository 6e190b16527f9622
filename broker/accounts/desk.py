"""What waits for a person, in one form for every room: each app's own `desk.waiting_for(user)` returns tasks."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that waits: said as what it is, since when, where to go, and whose turn it is.

    `turn` is "" when it is this person's own turn, else who is awaited ("l'agence du registre").
    """

    title: str
    since: datetime | None
    link: str
    turn: str = ""

    @property
    def is_mine(self) -> bool:
        return not self.turn
