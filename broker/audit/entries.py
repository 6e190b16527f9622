"""Bundles of signed entries, outside the database: what a restored log is refilled from (`audit_restore --refill`).

A folder of immutable files, as c2sp.org/tlog-tiles lays entries out: `entries/x001/x234/067` holds leaves 256 * n on,
each after its length (two bytes, the highest first); the last one, not yet full, is `entries/….p/<how many>` and goes
once a longer one is there. `checkpoint` is the signed one they lead to, `checkpoints/` holds all of them (see `kept`).
A file is written whole or not at all, and only
when its entries are those that the tree was signed with. Entries alone, never the erasable details.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from broker.audit import merkle, tiles
from broker.audit.files import write_whole
from broker.audit.kept import Checkpoints
from broker.audit.outside import BUNDLES, Duty, Undone

EVERY, AGAIN = 1, 30  # seconds between two looks; after a failure
LAST = "SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
PAYLOADS = """
    SELECT e.payload FROM audit_index i
    JOIN audit_event e ON (e.generation, e.xid, e.id) = (i.generation, i.xid, i.event_id)
    WHERE i.leaf_index >= %s AND i.leaf_index < %s ORDER BY i.leaf_index
"""
TILE = "SELECT hashes FROM audit_tile WHERE level = 0 AND n = %s"


class Unreadable(ValueError):
    """A bundle that does not hold what its name says."""


class Entries:
    """The folder. One process writes into it."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.root = self.folder / "entries"

    def size(self) -> int:
        """How many entries it holds, from the first on."""
        whole = 0
        while self._path(whole).exists():  # doubling, then halving: a year's bundles are not listed at each start
            whole = whole * 2 + 1
        low, high = whole // 2, whole
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._path(middle).exists() else (low, middle)
        return low * tiles.WIDTH + max(self._partials(low), default=0)

    def leaves(self) -> Iterator[tuple[int, str]]:
        """(place, payload) of every entry, in the order of the log. Raises Unreadable."""
        n = 0
        while self._path(n).exists():
            yield from enumerate(self._read(self._path(n), tiles.WIDTH), n * tiles.WIDTH)
            n += 1
        if partials := self._partials(n):
            width = max(partials)
            yield from enumerate(self._read(self._partial(n) / str(width), width), n * tiles.WIDTH)

    def write(self, n: int, payloads: Sequence[str]) -> None:
        """Bundle `n`: 1 to 256 entries. A shorter one of the same number goes once this one is on the disk."""
        raw = [payload.encode() for payload in payloads]
        content = b"".join(len(entry).to_bytes(2, "big") + entry for entry in raw)
        path = self._path(n) if len(raw) == tiles.WIDTH else self._partial(n) / str(len(raw))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content)
        if len(raw) == tiles.WIDTH:
            shutil.rmtree(self._partial(n), ignore_errors=True)
        for width in self._partials(n):
            if width < len(raw):
                (self._partial(n) / str(width)).unlink()

    def _path(self, n: int) -> Path:
        return self.root / tiles.name_of(n)

    def _partial(self, n: int) -> Path:
        path = self._path(n)
        return path.with_name(path.name + ".p")

    def _partials(self, n: int) -> list[int]:
        folder = self._partial(n)
        return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []

    @staticmethod
    def _read(path: Path, count: int) -> list[str]:
        content, found, place = path.read_bytes(), [], 0
        while place < len(content):
            end = place + 2 + int.from_bytes(content[place : place + 2], "big")
            found.append(content[place + 2 : end].decode())
            place = end
        if place != len(content) or len(found) != count:
            raise Unreadable(f"{path} does not hold {count} whole entries: take another copy of this file")
        return found


def duty(folder: Path, *, every: float = EVERY) -> Duty:
    """Write what was signed since the last time."""
    kept, checkpoints = Entries(folder), Checkpoints(folder)
    held: int | None = None

    def act(connection: psycopg.Connection) -> int | None:
        nonlocal held
        last = connection.execute(LAST).fetchone()
        if last is None:
            return None
        size, note = last
        try:
            held = kept.size() if held is None else held
            if held == size:
                checkpoints.follow(connection)  # a cosignature or a token may have come
                return None
            if held > size:
                raise Undone(
                    f"the bundles hold {held} entries and this log has signed {size}: it was restored behind them "
                    "(manage.py audit_restore --refill), or the folder is another log's"
                )
            for n in range(held // tiles.WIDTH, -(-size // tiles.WIDTH)):
                held = None  # read from the folder again should anything fail
                kept.write(n, _signed(connection, n, min(size, (n + 1) * tiles.WIDTH)))
            write_whole(kept.folder / "checkpoint", note.encode())
            checkpoints.follow(connection)
        except OSError as error:
            raise Undone(f"the folder of bundles cannot be written: {error}") from error
        held = size
        return size

    return Duty(BUNDLES, act, every=every, again=AGAIN)


def _signed(connection: psycopg.Connection, n: int, end: int) -> list[str]:
    """The entries of tile `n` up to leaf `end`. Raises Undone unless they are those that the tree was made of."""
    payloads = [payload for (payload,) in connection.execute(PAYLOADS, [n * tiles.WIDTH, end])]
    tile = connection.execute(TILE, [n]).fetchone()
    hashes = b"".join(merkle.leaf_hash(payload.encode()) for payload in payloads)
    width = (end - n * tiles.WIDTH) * merkle.HASH_BYTES
    if tile is None or len(hashes) != width or bytes(tile[0])[:width] != hashes:
        raise Undone(f"the entries of tile {n} are not those that were signed: run manage.py audit_verify")
    return payloads
