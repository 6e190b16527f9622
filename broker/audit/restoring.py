"""Taking up a log whose database was restored: into another cluster, or behind a checkpoint that was signed.

A new cluster numbers its transactions from the start: what it writes would stand before the watermark, where nothing
is read again. So a new generation begins, and the events that were already written there (found by an anti-join with
the search index) move into it. Leaves that were signed and lost come back from bundles kept outside; they are put
into the tree at once, and nothing is kept of it all unless the signer's own memory gives the same root. So do the
checkpoints that were published in between, with the cosignatures and tokens that verify: what somebody kept of them is
answered as before.

Runs as the owner (terrain_owner), on a psycopg connection in autocommit, while the site and the sequencer are stopped.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg

from broker.audit import actions, checkpoint, merkle, sequencer
from broker.audit.actor import SYSTEM
from broker.audit.checkpoint import Checkpoint, InvalidNote, Verifier
from broker.audit.kept import Kept
from broker.audit.sequencer import CannotStart, Sequencer
from broker.audit.signer import Signed

OWNED = "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = 'audit_event'::regclass"
WITHOUT_A_PLACE = """
    SELECT e.id, e.payload, (e.generation, e.xid, e.id) <= (s.last_generation, s.last_xid, s.last_id) AS is_behind
    FROM audit_sequencer s, audit_event e
    LEFT JOIN audit_index i ON (i.event_id, i.generation, i.xid) = (e.id, e.generation, e.xid)
    WHERE i.leaf_index IS NULL ORDER BY e.generation, e.xid, e.id
"""
MOVE = """
    WITH gone AS (DELETE FROM audit_event WHERE id = ANY(%s) RETURNING id, at_day, payload, recorded_at)
    INSERT INTO audit_event (id, generation, at_day, payload, recorded_at) OVERRIDING SYSTEM VALUE
    SELECT id, %s, at_day, payload, recorded_at FROM gone ORDER BY id
"""
LAST = "SELECT coalesce(max(size), 0) FROM audit_checkpoint"
HERE = "SELECT note, cosignatures, tsr IS NULL FROM audit_checkpoint WHERE size = %s"
GUARDED = (("audit_event", "audit_event_append_only"), ("audit_detail", "audit_detail_written_once"))


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done. `moved` events stood behind the watermark, `waiting` ones still stand after it. `checkpoints` were
    put back, `amended` ones got back a cosignature or a token, `left_out` lines or tokens did not verify."""

    generation: int
    size: int
    refilled: int
    moved: int
    waiting: int
    other_cluster: bool
    checkpoints: int = 0
    amended: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Outside:
    """What was kept outside of the checkpoints, and how it is judged: the keys of witnesses, and `stamped(token,
    note)`, the time that a token tells, None when it does not verify."""

    checkpoints: Iterable[Kept] = ()
    witnesses: Sequence[Verifier] = ()
    stamped: Callable[[bytes, bytes], Any] = lambda token, note: None


@dataclass(slots=True)
class _Nobody:
    """No signer is asked while the log is taken up: what it remembers was read before."""

    signed: Signed
    notes: Sequence[str] = field(default=())

    def state(self) -> Signed:
        return self.signed

    def sign(self, *_args) -> str:
        raise CannotStart("nothing is signed while the log is taken up")


def take_up(
    connection: psycopg.Connection,
    signed: Signed,
    *,
    leaves: Iterator[tuple[int, str]] | None,
    outside: Outside | None = None,
) -> Restored:
    """Begin a generation. `signed` is the signer's memory; `leaves` gives (place, payload) of lost ones, in order.

    Raises CannotStart, and then nothing was changed.
    """
    if not _one(connection, OWNED)[0]:
        raise CannotStart("only the owner of the tables may take up a log: set DATABASE_URL to terrain_owner's")
    if not sequencer.take_lock(connection):
        raise CannotStart("the sequencer is at work on this log: stop it first, and the site")
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '10s'")
            connection.execute(sequencer.IN_ORDER.format("LOCAL"))
            connection.execute("LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")
            return _take_up(connection, signed, leaves, outside or Outside())
    except psycopg.errors.LockNotAvailable as error:
        raise CannotStart("somebody still writes into the log: stop the site first") from error
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [sequencer.LOCK])


def _take_up(connection, signed: Signed, leaves: Iterator[tuple[int, str]] | None, outside: Outside) -> Restored:
    tree = Sequencer(connection, _Nobody(signed))
    tree.load()
    lost = signed.size - tree.size
    if lost <= 0 or leaves is None:
        tree.check(signed.size, signed.root, "the signer's memory")
    here, known, before = _one(
        connection,
        "SELECT (SELECT system_identifier::text FROM pg_control_system()), cluster, generation FROM audit_sequencer",
    )
    found = connection.execute(WITHOUT_A_PLACE).fetchall()
    with _unguarded(connection):
        refilled, told = 0, {}
        if lost > 0 and leaves is not None:
            waiting = {payload: number for number, payload, _ in found}
            refilled, told = _refill(connection, leaves, tree.size, signed.size, waiting, before + 1)
        generation = before + (2 if refilled else 1)
        left = [(number, is_behind) for number, _, is_behind in found if number not in told]
        # after a refill, whatever has no place comes after the leaves that came back
        moving = [number for number, is_behind in left if is_behind or refilled]
        connection.execute(MOVE, [moving, generation])
    connection.execute("UPDATE audit_sequencer SET generation = %s, cluster = %s", [generation, here])
    connection.execute(f"ALTER TABLE audit_event ALTER COLUMN generation SET DEFAULT {int(generation)}")
    while refilled and tree.step():  # all but the current generation is final at once
        continue
    tree.check(signed.size, signed.root, "the signer's memory")
    back = _put_back(connection, tree, signed, outside)
    done = Restored(
        generation, tree.size, refilled, len(moving), len(left) - len(moving), known not in (None, here), *back
    )
    with connection.cursor() as cursor:
        actions.write(
            cursor, "log.restore", by=SYSTEM, obj=("log", str(generation)), n=refilled + len(moving),
            detail={"refilled": refilled, "moved": len(moving), "waiting": done.waiting, "size": tree.size,
                    "checkpoints": done.checkpoints, "amended": done.amended, "left_out": done.left_out,
                    "from_cluster": known, "to_cluster": here},
        )  # fmt: skip
    return done


def _refill(connection, leaves, size: int, upto: int, waiting: dict[str, int], generation: int):
    """Write the leaves `size` to `upto` again, as one generation; (how many, old ids of those that had no place).

    An event that was restored and had no place yet may be among them: its row goes, its detail follows the new one.
    """
    came, told = 0, {}
    for place, payload in leaves:
        if place < size or place >= upto:
            continue
        if place != size + came:
            raise CannotStart(f"the bundles hold no leaf {size + came}: give one that does (--refill takes several)")
        number = _one(
            connection,
            "INSERT INTO audit_event (generation, at_day, payload) VALUES (%s, %s, %s) RETURNING id",
            generation, _day(payload), payload,
        )[0]  # fmt: skip
        if (old := waiting.get(payload)) is not None:
            told[old] = number
        came += 1
    if size + came != upto:
        raise CannotStart(f"the bundles end at leaf {size + came - 1}, the signer signed {upto}: give a later bundle")
    connection.execute("DELETE FROM audit_event WHERE id = ANY(%s)", [list(told)])
    for old, number in told.items():
        connection.execute("UPDATE audit_detail SET event_id = %s WHERE event_id = %s", [number, old])
    return came, told


def _put_back(connection, tree: Sequencer, signed: Signed, outside: Outside) -> tuple[int, int, int]:
    """The checkpoints that were kept, into the table they came from: (put back, amended, left out).

    One that this log's key signed and that does not lead to this tree is a fork: raises CannotStart."""
    floor = _one(connection, LAST)[0]
    kept: dict[int, Kept] = {}
    left_out = 0
    for one in outside.checkpoints:  # of one size the last line counts
        if one.size > floor or one.cosignatures or one.tsr:
            kept[one.size] = one
    node, put_back, amended = tree.node(), 0, 0
    for size in sorted(kept):
        one = kept[size]
        try:
            told = Checkpoint.open(one.note, signed.verifier)
        except InvalidNote:
            left_out += 1
            continue
        if told.size != size:
            left_out += 1
            continue
        if size > signed.size or merkle.range_root(0, size, node) != told.root:
            raise CannotStart(
                f"a kept checkpoint of {size} leaves was signed with this log's key and does not lead to it: "
                "keep that file, it is the evidence of a second history"
            )
        lines, strange = _verified(one, outside.witnesses)
        at = outside.stamped(one.tsr, one.note.encode()) if one.tsr else None
        left_out += strange + (one.tsr is not None and at is None)
        token = one.tsr if at is not None else None
        if size > floor:
            proof = merkle.consistency_path(floor, size, node) if floor else []
            connection.execute(
                "INSERT INTO audit_checkpoint (size, root, note, proof, cosignatures, tsr, tsr_at, published_at) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                [size, told.root, one.note, b"".join(proof), lines, token, at, one.published_at],
            )
            floor, put_back = size, put_back + 1
        else:
            amended += _amend(connection, one, lines, token, at)
    return put_back, amended, left_out


def _amend(connection, one: Kept, lines: str, token: bytes | None, at) -> bool:
    """What came to a checkpoint after the backup was made."""
    row = connection.execute(HERE, [one.size]).fetchone()
    if row is None or row[0] != one.note:
        return False
    _note, had, lacks_token = row
    new = [line for line in lines.splitlines(keepends=True) if line not in had.splitlines(keepends=True)]
    if not new and not (lacks_token and token):
        return False
    connection.execute(
        "UPDATE audit_checkpoint SET cosignatures = cosignatures || %s, tsr = coalesce(tsr, %s), "
        "tsr_at = coalesce(tsr_at, %s) WHERE size = %s",
        ["".join(new), token, at, one.size],
    )
    return True


def _verified(one: Kept, witnesses: Sequence[Verifier]) -> tuple[str, int]:
    """The lines of known witnesses that verify, and how many others there were."""
    lines = one.cosignatures.splitlines(keepends=True)
    good = []
    for line in lines:
        try:
            if checkpoint.verify(one.note + line, *witnesses):
                good.append(line)
        except InvalidNote:
            continue
    return "".join(good), len(lines) - len(good)


class _unguarded:  # noqa: N801  used as a block
    """The owner's own guards off for the block, inside the transaction: nobody else can use the table meanwhile."""

    def __init__(self, connection):
        self.connection = connection

    def __enter__(self) -> None:
        self._set("DISABLE")

    def __exit__(self, kind: Any, *_rest) -> None:
        if kind is None:
            self._set("ENABLE")

    def _set(self, word: str) -> None:
        for table, trigger in GUARDED:
            self.connection.execute(f"ALTER TABLE {table} {word} TRIGGER {trigger}")


def _day(payload: str) -> date:
    """The day of a leaf's partition; any day will do for bytes that are no leaf."""
    try:
        return date.fromisoformat(json.loads(payload)["at"][:10])
    except (ValueError, KeyError, TypeError):
        return date(1970, 1, 1)


def _one(connection, query: str, *values):
    row = connection.execute(query, values or None).fetchone()
    if row is None:
        raise CannotStart("the log's tables are empty: run `manage.py migrate`")
    return row
