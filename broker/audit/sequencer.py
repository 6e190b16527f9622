"""The sequencer: puts final events into the tree, in one order that anyone can compute again.

An event is final when every transaction that could still commit before it has ended: xid < pg_snapshot_xmin. The
order is (generation, xid, id), never id alone, since ids commit out of order. A batch is one transaction (leaves,
tiles, index, rollup, watermark); only once it is committed is the signer asked, and the checkpoint stored. A crash
anywhere leaves rows that wait, or tiles to be signed: both are taken up at the next start.

Takes a psycopg connection (autocommit) of the role `terrain_seq`, direct, never through a transaction pooler.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

import psycopg
import rfc8785

from broker import clock
from broker.audit import checkpoint, leaf, merkle, tiles
from broker.audit.checkpoint import Checkpoint, InvalidNote
from broker.audit.signer import Signed, SignerDown, SignerError

log = logging.getLogger(__name__)

LOCK = 0x7E22A1  # one sequencer a database
PATIENCE = 2  # seconds: the server learns a moment later that a sequencer before this one has gone
BATCH = 5_000
RETENTION = "convention + 5 ans"  # legal-gate section 10

# The two scalar selects are read once a batch, not once a row.
FINAL = """
    SELECT e.id, e.generation, e.xid::text AS place, e.payload FROM audit_event e
    WHERE (e.generation, e.xid, e.id) > (%s, %s::xid8, %s)
      AND (e.generation < (SELECT generation FROM audit_sequencer)
           OR e.xid < (SELECT pg_snapshot_xmin(pg_current_snapshot())))
    ORDER BY e.generation, e.xid, e.id LIMIT %s
"""
# PostgreSQL cannot guess how much a comparison of rows leaves: it would read and sort the whole rest for one batch,
# where walking the index of each partition side by side reads the batch alone.
IN_ORDER = "SET {} enable_sort = off"
COPY = """
    COPY audit_index (leaf_index, event_id, generation, xid, at, ulid, zone, actor, org, conv, obj, act, out, sub, purp)
    FROM STDIN
"""


class CannotStart(Exception):
    """The log and the signer disagree, or another sequencer works; the message says what to do."""


def closed_log(note: str, origin: str) -> str:
    """`note` when it is a signed checkpoint of another log than `origin`. Raises CannotStart.

    Its signature is for readers to verify: the closed log's key is not here.
    """
    try:
        closed = Checkpoint.parse(checkpoint.parse(note).text)
    except InvalidNote as error:
        raise CannotStart(f"TERRAIN_LOG_CONTINUES holds no signed checkpoint: {error}") from error
    if closed.origin == origin:
        raise CannotStart(f"TERRAIN_LOG_CONTINUES names this very log, {origin}: give the new one another LOG_ORIGIN")
    return note


@lru_cache(maxsize=1024)
def paris_day(hour: str) -> str:
    """The day in Paris of an hour of UTC ("2026-11-22T23" is of 2026-11-23): a new day begins there on a whole hour."""
    try:
        return datetime.fromisoformat(f"{hour}:00").replace(tzinfo=UTC).astimezone(clock.PARIS).date().isoformat()
    except OverflowError:  # the last hours of the year 9999
        return hour[:10]


class Signatory(Protocol):
    def state(self) -> Signed: ...
    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str: ...


def take_lock(connection: psycopg.Connection) -> bool:
    """Take the log's lock until `connection` ends; false where somebody else holds it."""
    connection.execute(f"SET lock_timeout = '{PATIENCE}s'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        connection.execute("RESET lock_timeout")
    return True


class Sequencer:
    def __init__(
        self,
        connection: psycopg.Connection,
        signer: Signatory,
        *,
        batch: int = BATCH,
        witnesses: Sequence[str] = (),
        continues: str = "",
    ):
        self.connection = connection
        self.signer = signer
        self.batch = batch
        self.witnesses = witnesses  # their keys, for the genesis record
        self.continues = continues  # the last checkpoint of a closed log, for the genesis record of the next

    def start(self, *, at: datetime) -> None:
        """Take the lock, read the edge again, check it against the signer, write the genesis record if there is none.

        `at` is the project's time. Raises CannotStart, SignerDown.
        """
        if not take_lock(self.connection):
            raise CannotStart("another sequencer holds this log: stop it first")
        self.connection.execute(IN_ORDER.format("SESSION"))
        self._check_cluster()
        self.load()
        remembered = self.signer.state()
        self.check(self.signed, self.signed_root, "the last published checkpoint")
        self.check(remembered.size, remembered.root, "the signer's memory")
        if remembered.size < self.signed:
            raise CannotStart(
                f"the signer's memory holds {remembered.size} leaves and a checkpoint of {self.signed} was published: "
                "an older copy of signed.json was put back. Put back the last one; if it is lost, compare the last "
                "checkpoint with the one that was mailed, then write its size and its root into signed.json."
            )
        if self.size == 0 and not self._row("SELECT 1 FROM audit_event WHERE generation = 0"):
            self._write_genesis(remembered, at)

    def load(self) -> None:
        """Read the watermark, the tree's edge and the last checkpoint. Raises CannotStart."""
        generation, xid, number, self.size = self._one(
            "SELECT last_generation, last_xid::text, last_id, size FROM audit_sequencer"
        )
        self.mark = (generation, xid, number)
        try:
            self.edge = tiles.Edge.load(self.size, self._tile)
        except LookupError as error:
            raise CannotStart(f"the tiles do not hold the {self.size} leaves of the watermark: {error}") from error
        last = self._row("SELECT size, root FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
        self.signed, self.signed_root = (last[0], bytes(last[1])) if last else (0, merkle.EMPTY_ROOT)

    def _check_cluster(self) -> None:
        """The order of events rests on the transaction numbers of one cluster."""
        here = self._one("SELECT system_identifier::text FROM pg_control_system()")[0]
        known = self._one("SELECT cluster FROM audit_sequencer")[0]
        if known is None:
            self.connection.execute("UPDATE audit_sequencer SET cluster = %s WHERE cluster IS NULL", [here])
        elif known != here:
            raise CannotStart(
                "this database was restored into another cluster, whose transactions are numbered anew. Stop the "
                "site, then run `manage.py audit_restore` as the database's owner (terrain_owner): it begins a new "
                "generation and says which events it found without a place."
            )

    def check(self, size: int, root: bytes, whose: str) -> None:
        """Raises CannotStart unless the tree extends the tree of `size` leaves and `root`."""
        if size > self.size:
            raise CannotStart(
                f"{whose} holds {size} leaves and the database {self.size}: it was restored behind a signed "
                "checkpoint. Refill it from the bundles stored outside (`manage.py audit_restore --refill`); if that "
                "is impossible, close this log and open a second one on an empty log (another LOG_ORIGIN, another "
                "folder of the signer) that names its last checkpoint: TERRAIN_LOG_CONTINUES holds its file."
            )
        if size and merkle.range_root(0, size, self.node()) != root:
            raise CannotStart(f"{whose} and the tiles disagree on the first {size} leaves: the log was altered")

    def _write_genesis(self, signer: Signed, at: datetime) -> None:
        """Leaf 0: generation 0 stands before every event, whenever the log is first started."""
        policy: dict[str, Any] = {"retention": RETENTION, "witnesses": list(self.witnesses)}
        if self.continues:
            policy["continues"] = closed_log(self.continues, signer.verifier.name)
        record = {
            "v": 0,
            "id": leaf.ulid(at),
            "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "act": "log.genesis",
            "origin": signer.verifier.name,
            "keys": [str(signer.verifier)],
            "policy": policy,
            "tool": "terrain/1",
        }
        self.connection.execute(
            "INSERT INTO audit_event (generation, at_day, payload) VALUES (0, %s, %s)",
            [at.date(), rfc8785.dumps(record).decode()],
        )

    def step(self) -> int:
        """Put one batch of final events into the tree; return how many there were. One transaction."""
        with self.connection.transaction():
            rows = self.connection.execute(FINAL, [*self.mark, self.batch]).fetchall()
            if not rows:
                return 0
            start = self.size
            edge = tiles.Edge(self.edge.size, self.edge.partial)
            changed = edge.grow([merkle.leaf_hash(row[3].encode()) for row in rows])
            counts: Counter = Counter()
            unread: list[int] = []
            with self.connection.cursor() as cursor:
                with cursor.copy(COPY) as copy:
                    for index, (number, generation, xid, payload) in enumerate(rows, start):
                        c = leaf.columns(payload)
                        copy.write_row(
                            (index, number, generation, xid, c.at, c.ulid, c.zone, c.actor, c.org, c.conv, c.obj,
                             c.act, c.out, c.sub, c.purp)
                        )  # fmt: skip
                        if c is leaf.UNPARSED:
                            unread.append(index)
                        else:
                            counts[paris_day(c.at[:13]), c.zone, c.org, c.conv, c.act, c.out, c.purp] += 1
                cursor.executemany(
                    "INSERT INTO audit_tile (level, n, hashes) VALUES (%s, %s, %s) "
                    "ON CONFLICT (level, n) DO UPDATE SET hashes = EXCLUDED.hashes",
                    [(level, n, hashes) for (level, n), hashes in changed.items()],
                )
                cursor.executemany(
                    "INSERT INTO audit_rollup_day AS held (day, zone, org, conv, act, out, purp, n) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
                    "ON CONFLICT (day, zone, org, conv, act, out, purp) DO UPDATE SET n = held.n + EXCLUDED.n",
                    [(*key, n) for key, n in sorted(counts.items())],
                )
                number, generation, xid, _ = rows[-1]
                cursor.execute(
                    "UPDATE audit_sequencer SET last_generation = %s, last_xid = %s::xid8, last_id = %s, size = %s "
                    "WHERE size = %s",
                    [generation, xid, number, edge.size, start],
                )
                if cursor.rowcount != 1:
                    raise CannotStart("another sequencer moved this log: stop it first")
        if unread:
            log.error("%d leaves from %d on cannot be read: hashed, indexed as unparsed", len(unread), unread[0])
        self.edge, self.size, self.mark = edge, edge.size, (generation, xid, number)
        return len(rows)

    def node(self) -> merkle.Node:
        """A reader of the stored tree."""
        return tiles.node_reader(self._tile)

    def sign(self) -> str | None:
        """Have the committed tree signed, and store the checkpoint with its proof; None when nothing is new.

        Raises SignerDown (ask again later) and SignerError (stop: the tree is no extension of what was signed).
        """
        if self.size == self.signed:
            return None
        node = self.node()
        remembered = self.signer.state()
        self.check(remembered.size, remembered.root, "the signer's memory")
        root = self.edge.root()
        since = merkle.consistency_path(remembered.size, self.size, node) if remembered.size else []
        note = self.signer.sign(self.size, root, since)
        if Checkpoint.open(note, remembered.verifier) != Checkpoint(remembered.verifier.name, self.size, root):
            raise SignerError("the signer signed something else")
        proof = merkle.consistency_path(self.signed, self.size, node) if self.signed else []
        self.connection.execute(
            "INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (%s, %s, %s, %s)",
            [self.size, root, note, b"".join(proof)],
        )
        self.signed, self.signed_root = self.size, root
        return note

    def catch_up(self) -> int:
        """Every final event, then a signature; return how many events. What the process does at each turn."""
        total = 0
        while added := self.step():
            total += added
            if added == self.batch:
                self._try_to_sign()
        self._try_to_sign()
        return total

    def waiting(self) -> float:
        """Seconds since the oldest event that is not yet in the tree was recorded; 0 when all are."""
        row = self._row(
            "SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM audit_event "
            "WHERE (generation, xid, id) > (%s, %s::xid8, %s) ORDER BY generation, xid, id LIMIT 1",
            *self.mark,
        )
        return float(row[0]) if row else 0.0

    def _try_to_sign(self) -> None:
        try:
            self.sign()
        except SignerDown as error:
            log.warning("%d leaves wait for a signature: %s", self.size - self.signed, error)

    def _tile(self, level: int, n: int) -> bytes:
        row = self._row("SELECT hashes FROM audit_tile WHERE level = %s AND n = %s", level, n)
        if row is None:
            raise LookupError(f"there is no tile {level}/{n}")
        return bytes(row[0])

    def _row(self, query: str, *values):
        return self.connection.execute(query, values).fetchone()

    def _one(self, query: str, *values):
        row = self._row(query, *values)
        if row is None:
            raise CannotStart("the log's tables are empty: run `manage.py migrate`")
        return row
