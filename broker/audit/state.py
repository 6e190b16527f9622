"""How the log stands: its size, its last signed checkpoint, how late it runs. Readable by the application's role."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from broker.audit import checkpoint as checkpoints
from broker.audit import merkle, tiles
from broker.audit.checkpoint import Checkpoint, InvalidNote, Verifier

UNSEQUENCED = """
    SELECT extract(epoch FROM clock_timestamp() - waiting.recorded_at)
    FROM audit_sequencer, LATERAL (
        SELECT recorded_at FROM audit_event
        WHERE (generation, xid, id) > (last_generation, last_xid, last_id)
        ORDER BY generation, xid, id LIMIT 1
    ) AS waiting
"""


def lag() -> float:
    """Age in real seconds of the oldest event that is not yet in the tree; 0 when all are. For rule G42."""
    with connection.cursor() as cursor:
        cursor.execute(UNSEQUENCED)
        row = cursor.fetchone()
    return max(0.0, float(row[0])) if row else 0.0


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint as it was published; `tsr` is its RFC 3161 token, when an authority gave one, `cosignatures` the
    lines of the witnesses that cosigned it."""

    size: int
    root: bytes
    note: str
    published_at: datetime
    tsr: bytes | None
    tsr_at: datetime | None
    cosignatures: str

    @property
    def signed(self) -> str:
        """The note with the lines of every signer, the log's and its witnesses'."""
        return self.note + self.cosignatures

    @property
    def cosigners(self) -> list[str]:
        """The names of the witnesses that cosigned it, each verified when its line was stored."""
        return [line.split(" ")[1] for line in self.cosignatures.splitlines()]


COLUMNS = "size, root, note, published_at, tsr, tsr_at, cosignatures"
PUBLISHED = f"SELECT {COLUMNS} FROM audit_checkpoint"


def published(row) -> Published:
    """The checkpoint of a row of COLUMNS."""
    size, root, note, published_at, tsr, tsr_at, cosignatures = row
    return Published(size, bytes(root), note, published_at, bytes(tsr) if tsr else None, tsr_at, cosignatures)


def checkpoint(size: int | None = None) -> Published | None:
    """The last published checkpoint, or the one of exactly `size` leaves."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{PUBLISHED} WHERE %(size)s::bigint IS NULL OR size = %(size)s ORDER BY size DESC LIMIT 1",
            {"size": size},
        )
        row = cursor.fetchone()
    return published(row) if row else None


def witnessed(size: int) -> Published | None:
    """The last checkpoint of at most `size` leaves that a witness cosigned."""
    return _one("cosignatures <> '' AND size <= %s ORDER BY size DESC LIMIT 1", size)


def first_holding(leaf_index: int) -> Published | None:
    """The first published checkpoint that this leaf is in; None while it waits for one."""
    return _one("size > %s ORDER BY size LIMIT 1", leaf_index)


def checkpoint_on(at: datetime) -> Published | None:
    """The last checkpoint that was published by then."""
    return _one("published_at <= %s ORDER BY size DESC LIMIT 1", at)


def _one(condition: str, value) -> Published | None:
    with connection.cursor() as cursor:
        cursor.execute(f"{PUBLISHED} WHERE {condition}", [value])
        row = cursor.fetchone()
    return published(row) if row else None


def genesis() -> dict | None:
    """The first leaf: the log's name, its public key, its policy; None before the sequencer's first start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM audit_event WHERE generation = 0 ORDER BY generation, xid, id LIMIT 1")
        row = cursor.fetchone()
    return json.loads(row[0]) if row else None


def verifier() -> Verifier | None:
    """The public key that the genesis record names."""
    first = genesis()
    return Verifier.parse(first["keys"][0]) if first else None


def read_tile(level: int, n: int) -> bytes:
    """A tile's bytes. Raises LookupError when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT hashes FROM audit_tile WHERE level = %s AND n = %s", [level, n])
        row = cursor.fetchone()
    if row is None:
        raise LookupError(f"there is no tile {level}/{n}")
    return bytes(row[0])


def read_edge(*sizes: int) -> Callable[[int, int], bytes]:
    """A reader of the tiles on the right edges of trees of these sizes, all read at once, however high they are."""
    edge = sorted({tile for size in sizes for tile in tiles.edge_of(size)})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT level, n, hashes FROM audit_tile JOIN unnest(%s::int[], %s::bigint[]) AS edge(level, n) "
            "USING (level, n)",
            [[level for level, _n in edge], [n for _level, n in edge]],
        )
        kept = {(level, n): bytes(hashes) for level, n, hashes in cursor.fetchall()}
    return lambda level, n: kept[level, n] if (level, n) in kept else read_tile(level, n)


@dataclass(frozen=True, slots=True)
class Standing:
    """What can be said of the log on a public page. `problems` is empty when nothing is missing and nothing altered."""

    size: int
    since: datetime
    checkpoint: Published
    problems: list[str]
    verified_at: datetime | None  # when the whole log was last recomputed from its events
    verified_size: int
    stamped_at: datetime | None
    continues: Checkpoint | None  # the last one of a log that had to be closed, as leaf 0 names it


def _continued(first: dict) -> Checkpoint | None:
    note = first["policy"].get("continues")
    return Checkpoint.parse(checkpoints.parse(note).text) if note else None


def standing() -> Standing | None:
    """How the log stands, checked at this call as far as is quick: the signature, the tree's edge, the last full
    verification. None before the first checkpoint."""
    last, first = checkpoint(), genesis()
    if last is None or first is None:
        return None
    problems = []
    try:
        signed = Checkpoint.open(last.note, Verifier.parse(first["keys"][0]))
        if (signed.size, signed.root) != (last.size, last.root):
            problems.append("the last checkpoint is signed for something else")
        if merkle.range_root(0, last.size, tiles.node_reader(read_edge(last.size))) != last.root:
            problems.append("the tiles do not lead to the signed root")
    except (InvalidNote, LookupError) as error:
        problems.append(str(error))
    with connection.cursor() as cursor:
        cursor.execute("SELECT verified_at, size, problems FROM audit_verification ORDER BY id DESC LIMIT 1")
        verified = cursor.fetchone()
        cursor.execute("SELECT max(tsr_at) FROM audit_checkpoint")
        stamped_at = cursor.fetchone()[0]
    if verified:
        problems += verified[2]
    return Standing(
        last.size, datetime.fromisoformat(first["at"]), last, problems, verified[0] if verified else None,
        verified[1] if verified else 0, stamped_at, _continued(first),
    )  # fmt: skip
