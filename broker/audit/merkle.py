"""The Merkle tree of RFC 6962, pure: leaves, roots, proofs of inclusion and of consistency, and their verification.

Every hash is 32 bytes of SHA-256; a proof that holds a hash of another length is refused, and so is a proof of
consistency from an empty tree, which would prove nothing. Sizes and indexes are counts of leaves.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""`node(level, index)`: the hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""


class BadProof(ValueError):
    """A proof that proves nothing; the message says why."""


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 section 2.1: the prefix keeps a leaf from passing for a node."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, or over roots of equal complete subtrees of which the last may be smaller."""
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    while len(level) > 1:
        above = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def nodes_of(hashes: Sequence[bytes]) -> Node:
    """The `Node` of a tree whose leaf hashes are all at hand."""

    def node(level: int, index: int) -> bytes:
        return root_of(hashes[index << level : (index + 1) << level])

    return node


def _split(count: int) -> int:
    """The largest power of two below `count` (>= 2)."""
    return 1 << (count - 1).bit_length() - 1


def range_root(start: int, end: int, node: Node) -> bytes:
    """The root of leaves start..end-1, where `start` is a multiple of the size of the subtree."""
    count = end - start
    if count <= 0:
        return EMPTY_ROOT
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    half = _split(count)
    return node_hash(range_root(start, start + half, node), range_root(start + half, end, node))


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The path from leaf `index` to the root of `size` leaves. RFC 6962 section 2.1.1."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    path, start, end = [], 0, size
    while end - start > 1:
        half = start + _split(end - start)
        if index < half:
            path.append(range_root(half, end, node))
            end = half
        else:
            path.append(range_root(start, half, node))
            start = half
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of that of `new`. RFC 6962 section 2.1.2."""
    if not 0 < old <= new:
        raise ValueError(f"no proof of consistency goes from {old} to {new} leaves")
    path, start, end, whole = [], 0, new, True
    while end != old:
        half = start + _split(end - start)
        if old <= half:
            path.append(range_root(half, end, node))
            end = half
        else:
            path.append(range_root(start, half, node))
            start, whole = half, False
    if not whole:
        path.append(range_root(start, end, node))
    return path[::-1]


def _check_hashes(*hashes: bytes) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise BadProof(f"a hash holds {HASH_BYTES} bytes, not {len(value)}")


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Raises BadProof unless `path` leads from the leaf hash `leaf` at `index` to `root`. RFC 9162 section 2.1.3.2."""
    _check_hashes(leaf, root, *path)
    if not 0 <= index < size:
        raise BadProof(f"there is no leaf {index} in a tree of {size}")
    place, last, value = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise BadProof("the proof is too long")
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof("the proof is too short")
    if value != root:
        raise BadProof("the proof leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raises BadProof unless the tree of `old` leaves is the beginning of that of `new`. RFC 9162 section 2.1.4.2."""
    _check_hashes(old_root, new_root, *path)
    if not 0 < old <= new:
        raise BadProof(f"no proof of consistency goes from {old} to {new} leaves")
    if old == new:
        if path:
            raise BadProof("the proof is too long")
        if old_root != new_root:
            raise BadProof("two trees of one size have different roots")
        return
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise BadProof("the proof is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise BadProof("the proof is too long")
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof("the proof is too short")
    if first != old_root:
        raise BadProof("the proof leads to another old root")
    if second != new_root:
        raise BadProof("the proof leads to another new root")
