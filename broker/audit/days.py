"""The checkpoint of each day: the last one published before midnight, Paris time. A sequence that a page cuts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import overload

from django.conf import settings
from django.db import connection

from broker.audit.state import COLUMNS, Published, published

EACH = f"""
    SELECT asked.day, held.* FROM unnest(%(days)s::date[]) AS asked(day) LEFT JOIN LATERAL (
        SELECT {COLUMNS} FROM audit_checkpoint
        WHERE published_at >= asked.day::timestamp AT TIME ZONE %(zone)s
          AND published_at < (asked.day + 1)::timestamp AT TIME ZONE %(zone)s
        ORDER BY published_at DESC LIMIT 1
    ) AS held ON true
    ORDER BY asked.day DESC
"""
ENDS = """
    SELECT (min(published_at) AT TIME ZONE %(zone)s)::date, (max(published_at) AT TIME ZONE %(zone)s)::date
    FROM audit_checkpoint
"""  # both ends of an index
ENDED = """
    SELECT (max(published_at) AT TIME ZONE %(zone)s)::date FROM audit_checkpoint
    WHERE published_at < (clock_timestamp() AT TIME ZONE %(zone)s)::date::timestamp AT TIME ZONE %(zone)s
"""


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    checkpoint: Published | None  # None: nothing was written that day


def _ask(query: str, **values):
    with connection.cursor() as cursor:
        cursor.execute(query, {"zone": settings.TIME_ZONE, **values})
        return cursor.fetchall()


def of(days: list[date]) -> list[Day]:
    """The checkpoint of each of `days`, the latest first, in one query."""
    return [Day(day, published(row) if row[0] else None) for day, *row in _ask(EACH, days=days)]


class Days(Sequence[Day]):
    """Every day since the first checkpoint, the latest first; the days of a slice are read when it is cut."""

    def __init__(self):
        self.first, self.last = _ask(ENDS)[0]

    def __len__(self) -> int:
        return (self.last - self.first).days + 1 if self.first else 0

    @overload
    def __getitem__(self, place: int) -> Day: ...
    @overload
    def __getitem__(self, place: slice) -> list[Day]: ...
    def __getitem__(self, place):
        if isinstance(place, int):
            return of([self.last - timedelta(days=range(len(self))[place])])[0]
        return of([self.last - timedelta(days=n) for n in range(len(self))[place]])


def last_ended() -> Day | None:
    """The last day that has ended and on which something was written; real time, whatever the demo's clock says."""
    day = _ask(ENDED)[0][0]
    return of([day])[0] if day else None
