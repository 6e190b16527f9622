"""Reading the log: what was asked, page by page, newest first. Only what is in the tree is found.

A page is named by the leaf before which it starts (`before`), never by a number of rows to skip: a page stays the
same while the log grows, and the hundredth costs what the first does.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from django.db import connection

PAGE = 25
SCANNED = 100_000  # leaves that one page looks through for a condition that no index of the log answers


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL about `i` (a row of audit_index), written in the code of an app that may read more than the log does, never
    in a request. Each %s takes one of `values`; where the value is `Floor`, the first leaf that the page looks at."""

    sql: str
    values: tuple[Any, ...] = ()


class Floor:
    """Stands in `Condition.values` for the first leaf looked at."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked; None asks nothing, an empty tuple finds nothing. `since` is included, `until` is not.

    `actor` and `sub` are tokens (16 bytes each, see `tokens_of`), `obj` is "type:id"; `about` holds references of
    objects or of conventions, either of which answers; `only` is the place of one leaf. `also` asks what no index
    answers: such a query is read `SCANNED` leaves at a time, from leaf `floor` on. Of `either` one must hold too, and
    of `within`, which is what the reader may see.
    """

    actor: tuple[bytes, ...] | None = None
    sub: tuple[bytes, ...] | None = None
    zone: tuple[str, ...] | None = None
    org: tuple[str, ...] | None = None
    conv: tuple[str, ...] | None = None
    obj: tuple[str, ...] | None = None
    act: tuple[str, ...] | None = None
    out: tuple[str, ...] | None = None
    purp: tuple[str, ...] | None = None
    about: tuple[str, ...] | None = None
    ulid: str = ""
    only: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    also: tuple[Condition, ...] = ()
    either: "tuple[Query, ...] | None" = None
    within: "tuple[Query, ...] | None" = None
    floor: int = 0

    def where(self) -> tuple[str, list[Any]]:
        """The condition on audit_index, with its values."""
        conditions: list[str] = ["true"]
        values: list[Any] = []
        for field in fields(self):
            wanted = getattr(self, field.name)
            if field.name in ("also", "either", "within"):
                continue
            if field.name == "about" and wanted is not None:
                conditions.append("(i.obj = ANY(%s) OR i.conv = ANY(%s))")
                values += [list(wanted), list(wanted)]
            elif isinstance(wanted, tuple) and len(wanted) == 1:
                conditions.append(f"i.{field.name} = %s")
                values.append(wanted[0])
            elif isinstance(wanted, tuple):
                conditions.append(f"i.{field.name} = ANY(%s)" if wanted else "false")
                values += [list(wanted)] if wanted else []
        if self.out and "allow" not in self.out:
            conditions.append("i.out <> 'allow'")  # lets PostgreSQL use the small index of refusals
        for condition, value in (("i.ulid =", self.ulid), ("i.at >=", self.since), ("i.at <", self.until)):
            if value:
                conditions.append(f"{condition} %s")
                values.append(value)
        if self.only is not None:
            conditions.append("i.leaf_index = %s")
            values.append(self.only)
        if self.floor:
            conditions.append("i.leaf_index >= %s")
            values.append(self.floor)
        for limits in (self.either, self.within):
            if limits is None:
                continue
            wheres = [limit.where() for limit in limits]
            conditions.append(" OR ".join(f"({sql})" for sql, _values in wheres) if wheres else "false")
            conditions[-1] = f"({conditions[-1]})"
            values += [value for _sql, several in wheres for value in several]
        for asked in self.also:  # last: what costs most is asked of what is left
            conditions.append(f"({asked.sql})")
            values += [self.floor if value is Floor else value for value in asked.values]
        return " AND ".join(conditions), values


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf. `event` is None when its bytes are no known leaf."""

    leaf_index: int
    event_id: int
    payload: str
    event: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[Entry]
    next: int | None  # the `before` of the following page


def _read(query: Query, order: str, limit: int, bound: str, *bounds) -> list[Entry]:
    where, values = query.where()
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH found AS MATERIALIZED (SELECT i.leaf_index, i.event_id, i.generation, i.xid, i.act "
            f"FROM audit_index i WHERE {where} AND {bound} ORDER BY i.leaf_index {order} LIMIT %s) "
            "SELECT f.leaf_index, f.event_id, e.payload, f.act = 'unparsed' FROM found f JOIN audit_event e "
            f"ON (e.generation, e.xid, e.id) = (f.generation, f.xid, f.event_id) ORDER BY f.leaf_index {order}",
            [*values, *bounds, limit],
        )
        return [
            Entry(index, event_id, payload, None if unparsed else json.loads(payload))
            for index, event_id, payload, unparsed in cursor.fetchall()
        ]


def page(query: Query, *, before: int | None = None, size: int = PAGE) -> Page:
    """The newest `size` entries that answer `query`, older than leaf `before` when it is given.

    A query that no index answers may give a page with few entries, or none, and a next one: it looked at `SCANNED`
    leaves."""
    if query.also:
        end = (length() if before is None else before) or 0
        query = replace(query, floor=max(query.floor, end - SCANNED))
    bound, bounds = ("true", ()) if before is None else ("i.leaf_index < %s", (before,))
    entries = _read(query, "DESC", size + 1, bound, *bounds)
    if len(entries) > size:
        return Page(entries[:size], entries[size - 1].leaf_index)
    return Page(entries, query.floor if query.also and query.floor and _goes_on(query) else None)


def _goes_on(query: Query) -> bool:
    """Whether leaves before `query.floor` may be of the time that is asked."""
    if query.since is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT at >= %s FROM audit_index WHERE leaf_index = %s", [query.since, query.floor])
        row = cursor.fetchone()
    return row is not None and row[0]


def length() -> int:
    """How many leaves can be found."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(leaf_index) + 1, 0) FROM audit_index")
        return cursor.fetchone()[0]


def at(leaf_index: int, *, within: tuple[Query, ...] | None = None) -> Entry | None:
    """The entry of this place, when a reader limited to `within` may see it."""
    found = _read(Query(only=leaf_index, within=within), "ASC", 1, "true")
    return found[0] if found else None


def ascending(query: Query, *, below: int, most: int) -> Iterator[Entry]:
    """The oldest `most` entries that answer `query`, of the leaves before `below`, in the log's order."""
    last, left = -1, most
    while left > 0:
        entries = _read(query, "ASC", min(left, 1000), "i.leaf_index > %s AND i.leaf_index < %s", last, below)
        yield from entries
        if not entries:
            return
        last, left = entries[-1].leaf_index, left - len(entries)


def count(query: Query, *, below: int, most: int) -> int:
    """How many entries answer `query` before leaf `below`; never counts beyond `most`."""
    where, values = query.where()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM audit_index i WHERE {where} AND i.leaf_index < %s LIMIT %s) AS m",
            [*values, below, most],
        )
        return cursor.fetchone()[0]


def by_hour(query: Query, *, newest: int) -> list[tuple[datetime, int, int]]:
    """(hour, done, refused or failed) of what answers `query` among the `newest` leaves of the log, oldest hour first.

    Bounded by leaves, not by time, so that it costs the same whatever the log's length."""
    where, values = query.where()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT date_trunc('hour', i.at) AS hour, count(*) FILTER (WHERE i.out = 'allow'), "
            "count(*) FILTER (WHERE i.out <> 'allow') FROM audit_index i "
            f"WHERE i.leaf_index > (SELECT max(leaf_index) FROM audit_index) - %s AND {where} GROUP BY 1 ORDER BY 1",
            [newest, *values],
        )
        return cursor.fetchall()


def tokens_of(*references: str) -> tuple[bytes, ...]:
    """Every token, of every year, of these references ("user:12"); empty when they were erased or never wrote."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pseudonym FROM audit_subject_key WHERE subject_ref = ANY(%s)", [list(references)])
        return tuple(bytes(row[0]) for row in cursor.fetchall())


def pseudonyms_of(subs: Sequence[bytes]) -> tuple[bytes, ...]:
    """These pseudonyms, and the others of the same references; an erased one stands alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pseudonym FROM audit_subject_key WHERE subject_ref IN "
            "(SELECT subject_ref FROM audit_subject_key WHERE pseudonym = ANY(%s))",
            [list(subs)],
        )
        return tuple({*subs, *(bytes(row[0]) for row in cursor.fetchall())})


def subs_about(objects: Sequence[str]) -> tuple[bytes, ...]:
    """The pseudonyms of those whom the events about these objects concern."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT sub FROM audit_index WHERE obj = ANY(%s) AND sub IS NOT NULL", [list(objects)])
        return tuple(bytes(row[0]) for row in cursor.fetchall())


def objects_concerning(subs: Sequence[bytes], *, most: int) -> tuple[str, ...]:
    """The objects of the events that concern these pseudonyms."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT obj FROM audit_index WHERE sub = ANY(%s) AND obj IS NOT NULL LIMIT %s", [list(subs), most]
        )
        return tuple(row[0] for row in cursor.fetchall())


def references_of(tokens: Sequence[str]) -> dict[str, str]:
    """Token of a leaf ("p:…") -> the reference behind it; a token that was erased is absent."""
    wanted = [bytes.fromhex(t[2:]) for t in set(tokens) if t and t.startswith("p:")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pseudonym, subject_ref FROM audit_subject_key WHERE pseudonym = ANY(%s)", [wanted])
        return {"p:" + bytes(token).hex(): reference for token, reference in cursor.fetchall()}


def details_of(event_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Event id -> its detail, for those that have one that was not erased."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id, body FROM audit_detail WHERE event_id = ANY(%s)", [list(event_ids)])
        return {number: json.loads(body) for number, body in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class Detail:
    """The erasable part of an event; `is_bound`: it is, to the byte, what the leaf commits to."""

    body: dict[str, Any]
    is_bound: bool


def detail_of(entry: Entry) -> Detail | None:
    """The detail of `entry`; None when it has none, or when it was erased."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT salt, body FROM audit_detail WHERE event_id = %s", [entry.event_id])
        row = cursor.fetchone()
    if row is None:
        return None
    digest = hashlib.sha256(bytes(row[0]) + row[1].encode()).hexdigest()
    return Detail(json.loads(row[1]), (entry.event or {}).get("d") == f"sha256:{digest}")
