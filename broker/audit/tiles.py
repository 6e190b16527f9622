"""Tiles of 256 hashes (c2sp.org/tlog-tiles): how the tree is stored, grown and read. Pure.

Tile n of level L holds hashes n*256 to n*256+255 of the complete subtrees of 256**L leaves. The last tile of a
level may be partial; a full tile never changes.
"""

from collections.abc import Callable, Iterable

from broker.audit import merkle
from broker.audit.merkle import HASH_BYTES, Node

WIDTH = 256
HEIGHT = 8


def split(tile: bytes) -> list[bytes]:
    return [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]


def node_reader(read: Callable[[int, int], bytes]) -> Node:
    """The `Node` of a tree stored as tiles; `read(level, n)` gives a tile's bytes (at least as far as needed)."""
    tiles: dict[tuple[int, int], bytes] = {}

    def node(level: int, index: int) -> bytes:
        above, inside = divmod(level, HEIGHT)
        first = index << inside
        n, place = divmod(first, WIDTH)
        if (above, n) not in tiles:
            tiles[above, n] = read(above, n)
        hashes = tiles[above, n][place * HASH_BYTES : (place + (1 << inside)) * HASH_BYTES]
        if len(hashes) != HASH_BYTES << inside:
            raise LookupError(f"tile {above}/{n} does not hold hash {place}")
        return merkle.root(split(hashes))

    return node


def edge_of(size: int) -> list[tuple[int, int]]:
    """The partial tile (level, n) of each level of a tree of `size` leaves: all that its root is computed from."""
    found, count, level = [], size, 0
    while count:
        n, width = divmod(count, WIDTH)
        if width:
            found.append((level, n))
        count, level = n, level + 1
    return found


class Edge:
    """The right edge of the tree: the partial tile of each level. Grows by leaf hashes, gives the root at any time."""

    def __init__(self, size: int = 0, partial: Iterable[list[bytes]] = ()):
        self.size = size
        self.partial = [list(hashes) for hashes in partial]

    @classmethod
    def load(cls, size: int, read: Callable[[int, int], bytes]) -> "Edge":
        """The edge of a stored tree of `size` leaves. Raises LookupError when a tile is missing or too short."""
        partial, count, level = [], size, 0
        while count:
            n, width = divmod(count, WIDTH)
            hashes = split(read(level, n))[:width] if width else []
            if len(hashes) != width:
                raise LookupError(f"tile {level}/{n} holds {len(hashes)} hashes of {width}")
            partial.append(hashes)
            count, level = n, level + 1
        return cls(size, partial)

    def grow(self, hashes: list[bytes]) -> dict[tuple[int, int], bytes]:
        """Add leaf hashes; return every tile that changed, whole."""
        changed: dict[tuple[int, int], bytes] = {}
        start, level = self.size, 0
        self.size += len(hashes)
        while hashes:
            if level == len(self.partial):
                self.partial.append([])
            n = start // WIDTH
            held = self.partial[level] + hashes
            above = []
            for first in range(0, len(held), WIDTH):
                chunk = held[first : first + WIDTH]
                changed[level, n + first // WIDTH] = b"".join(chunk)
                if len(chunk) == WIDTH:
                    above.append(merkle.root(chunk))
            self.partial[level] = held[len(above) * WIDTH :]
            hashes, start, level = above, n, level + 1
        return changed

    def root(self) -> bytes:
        carry: list[bytes] = []
        for hashes in self.partial:
            if hashes or carry:
                carry = [merkle.root([*hashes, *carry])]
        return merkle.root(carry)


def name_of(n: int) -> str:
    """Tile number 1234067 is written x001/x234/067."""
    parts = [f"{n % 1000:03d}"]
    while n := n // 1000:
        parts.append(f"x{n % 1000:03d}")
    return "/".join(reversed(parts))


def number_of(name: str) -> int | None:
    """The number that `name_of` wrote, or None."""
    *front, last = name.split("/")
    if any(len(part) != 4 or part[0] != "x" for part in front):
        return None
    digits = [part[1:] for part in front] + [last]
    if any(len(d) != 3 or not (d.isascii() and d.isdecimal()) for d in digits):
        return None
    n = int("".join(digits))
    return n if name_of(n) == name else None
