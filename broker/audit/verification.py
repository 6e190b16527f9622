"""The whole log recomputed from its events: by the sequencer every day, by anybody with `audit_verify`.

Detects what the database's owner could do with triggers disabled: an event changed, removed, inserted or moved, an
index that no longer says what the leaves say, a checkpoint rewritten.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Protocol

import psycopg

from broker.audit import leaf, merkle, tiles
from broker.audit.checkpoint import Checkpoint, InvalidNote, Verifier
from broker.audit.sequencer import IN_ORDER
from broker.audit.signer import Signed

MOST = 20  # problems told; the rest is counted
CHUNK = 2_000


class Remembers(Protocol):
    def state(self) -> Signed: ...


@dataclass(frozen=True, slots=True, order=True)
class Milestone:
    """A size and the root that the log must have there; who says so."""

    size: int
    root: bytes
    whose: str


def problems(
    connection: psycopg.Connection,
    verifier: Verifier,
    *,
    signer: Remembers | None = None,
    kept: Iterable[Checkpoint] = (),
) -> tuple[int, list[str]]:
    """(leaves read, what is wrong with them): an empty list means that nothing is missing and nothing altered.

    `signer` is asked what it signed last; `kept` are checkpoints that somebody kept outside the database: without
    either, a log cut back to an older checkpoint of its own is whole. One read-only snapshot; memory stays small (the
    tree's right edge). Any role that reads the log may ask.
    """
    before = signer.state() if signer else None
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(IN_ORDER.format("LOCAL"))
        size, published, found = examine(connection, verifier, seen(before, kept))
    if signer:
        found += older_copy(signer.state(), published)
    return size, found[:MOST] + ([f"and {len(found) - MOST} more"] if len(found) > MOST else [])


def seen(remembered: Signed | None, kept: Iterable[Checkpoint]) -> list[Milestone]:
    """What was seen of the log outside the database."""
    found = [Milestone(c.size, c.root, f"a kept checkpoint of {c.size} leaves") for c in kept]
    if remembered and remembered.size:
        found.append(Milestone(remembered.size, remembered.root, "the signer's memory"))
    return found


def older_copy(remembered: Signed, published: int) -> list[str]:
    """A signer signs before the checkpoint is stored: it can know more than was published, never less."""
    if remembered.size >= published:
        return []
    return [
        f"the signer's memory holds {remembered.size} leaves and a checkpoint of {published} was published: an older "
        "copy of its file was put back"
    ]


def examine(
    connection: psycopg.Connection, verifier: Verifier, outside: Iterable[Milestone] = ()
) -> tuple[int, int, list[str]]:
    """(leaves read, size of the last checkpoint, everything that is wrong), within the caller's transaction."""
    found: list[str] = []
    size = connection.execute("SELECT size FROM audit_sequencer").fetchone()[0]
    checkpoints = connection.execute("SELECT size, root, note, proof FROM audit_checkpoint ORDER BY size").fetchall()
    published = [Milestone(s, bytes(root), f"the checkpoint of {s} leaves") for s, root, _, _ in checkpoints]
    pending = deque(sorted([*published, *outside]))
    edge, missing = tiles.Edge(), 0
    for chunk in _chunks(connection):
        hashes = []
        for index, (payload, event_id, row) in enumerate(chunk, edge.size):
            hashes.append(merkle.leaf_hash(payload.encode()))
            if row is None:
                missing += 1
            elif row[:2] != (index, event_id) or row[2:] != _columns(payload):
                found.append(f"leaf {index} (event {event_id}): the search index does not say what the leaf says")
        while pending and pending[0].size <= edge.size + len(hashes):
            milestone = pending.popleft()
            upto = milestone.size - edge.size
            edge.grow(hashes[:upto])
            hashes = hashes[upto:]
            if edge.root() != milestone.root:
                found.append(f"the {edge.size} first leaves do not give the root of {milestone.whose}")
        edge.grow(hashes)
    if missing:
        found.append(f"{missing} leaves are missing from the search index")
    if edge.size != size:
        found.append(f"{edge.size} events stand before the watermark, {size} were put into the tree")
    indexed = connection.execute("SELECT count(*) FROM audit_index").fetchone()[0]
    if indexed != size:
        found.append(f"the search index holds {indexed} rows for {size} leaves")
    found += [f"{m.whose} has no leaves to hold: the log was cut" for m in pending]
    found += _checkpoints(checkpoints, verifier)
    found += _tiles(connection, edge)
    return size, checkpoints[-1][0] if checkpoints else 0, found


EVENTS = """
    SELECT e.payload, e.id FROM audit_event e
    WHERE (e.generation, e.xid, e.id) <= (SELECT last_generation, last_xid, last_id FROM audit_sequencer)
    ORDER BY e.generation, e.xid, e.id
"""
INDEX = """
    SELECT leaf_index, event_id, at, ulid, zone, actor, org, conv, obj, act, out, sub, purp
    FROM audit_index ORDER BY leaf_index
"""


def _chunks(connection) -> Iterator[list]:
    """(payload, event id, index row or None) in the log's order: both tables are walked side by side."""
    with connection.cursor(name="audit_events") as events, connection.cursor(name="audit_index") as index:
        events.execute(EVENTS)
        index.execute(INDEX)
        indexed = iter(index)
        row, place = next(indexed, None), 0
        while found := events.fetchmany(CHUNK):
            chunk = []
            for payload, event_id in found:
                while row is not None and row[0] < place:
                    row = next(indexed, None)
                chunk.append((payload, event_id, row if row is not None and row[0] == place else None))
                place += 1
            yield chunk


SEARCHED = attrgetter(*(field.name for field in fields(leaf.Columns)))


def _columns(payload: str) -> tuple:
    at, *rest = SEARCHED(leaf.columns(payload))
    return (datetime.fromisoformat(at).astimezone(UTC), *rest)


def _checkpoints(checkpoints: list, verifier: Verifier) -> list[str]:
    found, before = [], None
    for size, root, note, proof in checkpoints:
        try:
            if Checkpoint.open(note, verifier) != Checkpoint(verifier.name, size, bytes(root)):
                found.append(f"the checkpoint of {size} leaves is signed for something else")
            if before is None and proof:
                found.append(f"the checkpoint before that of {size} leaves is missing")
            elif before is not None:
                merkle.verify_consistency(before[0], size, tiles.split(bytes(proof)), bytes(before[1]), bytes(root))
        except (InvalidNote, merkle.InvalidProof) as error:
            found.append(f"the checkpoint of {size} leaves: {error}")
        before = (size, root)
    return found


def _tiles(connection, edge: tiles.Edge) -> list[str]:
    """Whether the stored tiles lead to the recomputed root."""

    def read(level: int, n: int) -> bytes:
        row = connection.execute("SELECT hashes FROM audit_tile WHERE (level, n) = (%s, %s)", [level, n]).fetchone()
        if row is None:
            raise LookupError(f"there is no tile {level}/{n}")
        return bytes(row[0])

    try:
        stored = tiles.Edge.load(edge.size, read).root()
    except LookupError as error:
        return [f"the tiles are not whole: {error}"]
    return [] if stored == edge.root() else ["the tiles do not lead to the root of the leaves"]
