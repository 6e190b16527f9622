"""The Merkle tree of RFC 6962, pure: leaves, roots, proofs of inclusion and of consistency, and their verification.

Every hash that is computed with is 32 bytes of SHA-256: a proof that holds another length is refused, and so is a
proof of consistency from an empty tree, which would prove nothing. Sizes and indexes are counts of leaves. Trees of
which all leaf hashes are at hand are given as a sequence; larger ones as a `Node`, a reader of stored subtrees.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""`node(level, index)`: the hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""


class InvalidProof(ValueError):
    """A proof that proves nothing; the message says why."""


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 section 2.1: the prefix keeps a leaf from passing for a node."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, or over roots of equal complete subtrees of which the last may be smaller."""
    level = list(leaf_hashes)
    if not level:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    while len(level) > 1:
        above = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def inclusion_proof(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """The path from leaf `index` to the root of these leaves. Raises ValueError when there is no such leaf."""
    return inclusion_path(index, len(leaf_hashes), nodes_of(leaf_hashes))


def consistency_proof(old_size: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """The proof that the first `old_size` (>= 1) of these leaves are the beginning of them all. Raises ValueError."""
    return consistency_path(old_size, len(leaf_hashes), nodes_of(leaf_hashes))


def nodes_of(leaf_hashes: Sequence[bytes]) -> Node:
    """The `Node` of a tree whose leaf hashes are all at hand."""

    def node(level: int, index: int) -> bytes:
        return root(leaf_hashes[index << level : (index + 1) << level])

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


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """`inclusion_proof` in a stored tree of `size` leaves. RFC 6962 section 2.1.1."""
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


def consistency_path(old_size: int, new_size: int, node: Node) -> list[bytes]:
    """`consistency_proof` in a stored tree of `new_size` leaves. RFC 6962 section 2.1.2."""
    if not 0 < old_size <= new_size:
        raise ValueError(f"no proof of consistency goes from {old_size} to {new_size} leaves")
    path, start, end, whole = [], 0, new_size, True
    while end != old_size:
        half = start + _split(end - start)
        if old_size <= half:
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
            raise InvalidProof(f"a hash holds {HASH_BYTES} bytes, not {len(value)}")


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises InvalidProof unless `proof` leads from `leaf_hash` at `index` to `root`. RFC 9162 section 2.1.3.2."""
    _check_hashes(leaf_hash, root, *proof)
    if not 0 <= index < size:
        raise InvalidProof(f"there is no leaf {index} in a tree of {size}")
    place, last, value = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise InvalidProof("the proof is too long")
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise InvalidProof("the proof is too short")
    if value != root:
        raise InvalidProof("the proof leads to another root")


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raises InvalidProof unless the tree of `old_size` leaves is the beginning of that of `new_size`.

    RFC 9162 section 2.1.4.2. Nothing is hashed for two trees of one size: their roots are compared as they are.
    """
    if not 0 < old_size <= new_size:
        raise InvalidProof(f"no proof of consistency goes from {old_size} to {new_size} leaves")
    if old_size == new_size:
        if proof:
            raise InvalidProof("the proof is too long")
        if old_root != new_root:
            raise InvalidProof("two trees of one size have different roots")
        return
    _check_hashes(old_root, new_root, *proof)
    hashes = list(proof)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise InvalidProof("the proof is too short")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise InvalidProof("the proof is too long")
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise InvalidProof("the proof is too short")
    if first != old_root:
        raise InvalidProof("the proof leads to another old root")
    if second != new_root:
        raise InvalidProof("the proof leads to another new root")
