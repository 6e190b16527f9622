"""The log's monthly partitions: made ahead, told in the log, and looked at with their guards.

A missing month refuses no write (the default partition takes it), a partition without its trigger could be changed:
both are said on the health page.
"""

from dataclasses import dataclass
from datetime import date

from broker.audit import actions
from broker.audit.actor import SYSTEM

AHEAD = 3  # months after this one
PATIENCE = "3s"  # to wait for the writers of the moment, while new ones wait behind

# Every table that holds events, the parent too, with whether its guard is there and on ('O' or 'A').
GUARDS = """
    SELECT c.relname, EXISTS (
        SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = c.oid AND t.tgenabled IN ('O', 'A') AND p.proname = 'terrain_append_only'
          AND t.tgtype & 58 = 58 AND t.tgtype & 1 = 0
    )
    FROM pg_class c WHERE c.oid = 'audit_event'::regclass
        OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_event'::regclass)
    ORDER BY c.relname
"""  # tgtype: 2 before, 8 delete, 16 update, 32 truncate; 1 would be a row's
MADE = """
    SELECT parent.relname, child.relname FROM pg_inherits
    JOIN pg_class parent ON parent.oid = inhparent JOIN pg_class child ON child.oid = inhrelid
    WHERE parent.relname IN ('audit_event', 'audit_index')
"""


@dataclass(frozen=True, slots=True)
class Partitions:
    ahead: int  # whole months after the current one that both tables hold
    unguarded: tuple[str, ...]  # tables of events whose trigger is missing or off


def make(cursor, today: date) -> list[str]:
    """Make what is missing of this month and the next three, and tell it in the log; the names made.

    In the transaction of the caller. Raises LockNotAvailable (psycopg) when a writer does not end: try again later.
    """
    cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
    cursor.execute("SELECT audit_partitions(%s, %s)", [today, AHEAD])
    made = sorted(name for (name,) in cursor.fetchall())
    if made:
        actions.write(cursor, "log.partition", by=SYSTEM, n=len(made), detail={"made": made})
    return made


def look(cursor, today: date) -> Partitions:
    """How the partitions stand. Readable by every role that reads the log."""
    cursor.execute(GUARDS)
    unguarded = tuple(name for name, is_on in cursor.fetchall() if not is_on)
    cursor.execute(MADE)
    found = set(cursor.fetchall())
    ahead, year, month = 0, today.year, today.month
    while True:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        if not {(parent, f"{parent}_{year}_{month:02d}") for parent in ("audit_event", "audit_index")} <= found:
            break
        ahead += 1
    return Partitions(ahead, unguarded)
