"""Erasing what the log keeps beside its leaves: details, and the rows that tie a token to somebody.

A leaf holds a digest and a token, never what is erased here: no root changes (invariant 8). PostgreSQL lets such a
row go only in a transaction that holds its `log.erase` event. Who may ask, and when the law's term is past, is said by
the callers (`broker.desk.journal.terms`, `broker.desk.journal.permissions`).
"""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from broker.audit.actions import describe, recorded

MOST = 1_000  # rows of one transaction: a long one would hold back the sequencer


@recorded("log.erase")
def erase_details(event_ids: Collection[int], *, by, why: str, zone: str = "") -> int:
    """Erase the details of these events; return how many there were. `why` goes into the event's own detail."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_detail WHERE event_id = ANY(%s)", [_bounded(event_ids)])
        erased = cursor.rowcount
    describe(obj=("audit_detail", ""), zone=zone, n=erased, detail={"why": why})
    return erased


@recorded("log.erase")
def erase_tokens(references: Collection[str], *, by, why: str, period: str = "") -> int:
    """Forget whose tokens these are: of these references ("user:12"), in the year `period` or in all of them.

    What they did stays in the log, done by somebody. Returns how many tokens there were.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM audit_subject_key WHERE subject_ref = ANY(%s) AND (%s = '' OR period = %s)",
            [_bounded(references), period, period],
        )
        erased = cursor.rowcount
    describe(obj=("audit_subject_key", ""), n=erased, detail={"why": why, "period": period})
    return erased


def details_before(at: datetime, *, most: int = MOST) -> list[int]:
    """Events recorded before `at` whose detail is still there, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.event_id FROM audit_detail d JOIN audit_event e ON e.id = d.event_id "
            "WHERE e.at_day < %s ORDER BY d.event_id LIMIT %s",
            [at.date(), most],
        )
        return [number for (number,) in cursor.fetchall()]


def _bounded(values: Collection) -> list:
    if len(values) > MOST:
        raise ValueError(f"at most {MOST} at once: a long transaction would hold back the sequencer")
    return list(values)
