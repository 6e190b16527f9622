"""The whole log recomputed from its events: by the sequencer every day, by anybody with `audit_verify`.

Detects what the database's owner could do with triggers disabled: an event changed, removed, inserted or moved, an
index that no longer says what the leaves say, a checkpoint rewritten.
"""

from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime

import psycopg

from broker.audit import leaf, merkle, tiles
from broker.audit.checkpoint import Checkpoint, InvalidNote, Verifier
from broker.audit.sequencer import IN_ORDER

MOST = 20  # problems told; the rest is counted
CHUNK = 2_000


def problems(connection: psycopg.Connection, verifier: Verifier) -> tuple[int, list[str]]:
    """(leaves read, what is wrong with them): an empty list means that nothing is missing and nothing altered.

    One read-only snapshot; memory stays small (the tree's right edge). Any role that reads the log may ask.
    """
    found: list[str] = []
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(IN_ORDER.format("LOCAL"))
        size = connection.execute("SELECT size FROM audit_sequencer").fetchone()[0]
        checkpoints = connection.execute(
            "SELECT size, root, note, proof FROM audit_checkpoint ORDER BY size"
        ).fetchall()
        pending = list(checkpoints)
        edge, read, missing = tiles.Edge(), 0, 0
        for chunk in _chunks(connection):
            hashes = []
            for index, (payload, event_id, row) in enumerate(chunk, edge.size):
                hashes.append(merkle.leaf_hash(payload.encode()))
                if row is None:
                    missing += 1
                elif row[:2] != (index, event_id) or row[2:] != _columns(payload):
                    found.append(f"leaf {index} (event {event_id}): the search index does not say what the leaf says")
            start = 0
            while pending and pending[0][0] <= edge.size + len(hashes):
                upto = pending[0][0] - edge.size
                edge.grow(hashes[start:upto])
                hashes, start = hashes[upto:], 0
                checkpoint = pending.pop(0)
                if edge.root() != bytes(checkpoint[1]):
                    found.append(f"the {edge.size} first leaves do not give the root of their checkpoint")
            edge.grow(hashes)
            read = edge.size
        if missing:
            found.append(f"{missing} leaves are missing from the search index")
        if read != size:
            found.append(f"{read} events stand before the watermark, {size} were put into the tree")
        indexed = connection.execute("SELECT count(*) FROM audit_index").fetchone()[0]
        if indexed != size:
            found.append(f"the search index holds {indexed} rows for {size} leaves")
        found += [f"the checkpoint of {c[0]} leaves has no leaves to hold" for c in pending]
        found += _checkpoints(checkpoints, verifier)
        found += _tiles(connection, edge)
    return size, found[:MOST] + ([f"and {len(found) - MOST} more"] if len(found) > MOST else [])


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


def _columns(payload: str) -> tuple:
    at, *rest = astuple(leaf.columns(payload))
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
