"""The only source of `now`.

With `DEMO=1` the time of the day is moved by an offset kept in the database, which only moves forward
(table `clock_step`, a row a step, append-only). Everywhere else the offset is nothing and is never read.
Days are those of Europe/Paris, last day included.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

PARIS = ZoneInfo("Europe/Paris")
_held: ContextVar[timedelta | None] = ContextVar("clock_offset", default=None)


def real_now() -> datetime:
    """The machine's own UTC time: for time-stamp tokens and skew checks only."""
    return datetime.now(UTC)


def offset() -> timedelta:
    """How far the demo's clock is ahead of the real one; zero outside the demo."""
    if not settings.DEMO:
        return timedelta()
    held = _held.get()
    if held is not None:
        return held
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(seconds), 0) FROM clock_step")
        return timedelta(seconds=int(cursor.fetchone()[0]))


def now() -> datetime:
    """The time at which the project decides, in UTC."""
    return real_now() + offset()


def today() -> date:
    """The day in Paris."""
    return now().astimezone(PARIS).date()


@contextmanager
def held():
    """Read the offset once for a whole request, so that a page does not ask for it at every line."""
    token = _held.set(offset())
    try:
        yield
    finally:
        _held.reset(token)
