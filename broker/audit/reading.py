"""Reading the log by act, whole: for jobs that compare it with something else. Searches of people: `search`."""

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

CHUNK = 2_000


class Told(NamedTuple):
    """An event, and its detail: {} when it has none or it was erased (`is_erased` tells which)."""

    event: dict[str, Any]
    detail: dict[str, Any]
    is_erased: bool

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.event["at"])


IN_THE_TREE = """
    SELECT e.payload, d.body FROM audit_index i
    JOIN audit_event e ON (e.generation, e.xid, e.id) = (i.generation, i.xid, i.event_id)
    LEFT JOIN audit_detail d ON d.event_id = i.event_id
    WHERE i.act = ANY(%s) ORDER BY i.leaf_index
"""
WAITING = """
    SELECT e.payload, d.body FROM audit_sequencer s
    JOIN audit_event e ON (e.generation, e.xid, e.id) > (s.last_generation, s.last_xid, s.last_id)
    LEFT JOIN audit_detail d ON d.event_id = e.id
    ORDER BY e.generation, e.xid, e.id
"""


def events(acts: Collection[str]) -> Iterator[Told]:
    """Every event of these acts, those that have no place in the tree yet too. Inside the caller's transaction, whose
    snapshot it reads."""
    for query, values in ((IN_THE_TREE, [list(acts)]), (WAITING, [])):
        with connection.chunked_cursor() as cursor:
            cursor.execute(query, values)
            while rows := cursor.fetchmany(CHUNK):
                for payload, body in rows:
                    event = _event(payload)
                    if event.get("act") in acts:
                        yield Told(event, json.loads(body) if body else {}, bool(event.get("d")) and not body)


def _event(payload: str) -> dict[str, Any]:
    try:
        event = json.loads(payload)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
