"""RFC 6962 against vectors of others, then against its own properties."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit import merkle, tiles

VECTORS = Path(__file__).parent.parent / "vectors" / "tlog"


def vectors(name):
    return json.loads((VECTORS / name).read_text())


def raw(text):
    return base64.b64decode(text or "")


def leaves(count, seed=b"zone"):
    return [merkle.leaf_hash(b"%s-%d" % (seed, i)) for i in range(count)]


def holds(verify, *arguments):
    try:
        verify(*arguments)
    except merkle.InvalidProof:
        return False
    return True


@pytest.mark.parametrize("case", vectors("merkle-inclusion.json"), ids=lambda c: c["file"])
def test_inclusion_is_judged_as_others_judge_it(case):
    path = [raw(h) for h in case["proof"] or []]

    held = holds(
        merkle.verify_inclusion, raw(case["leafHash"]), case["leafIdx"], case["treeSize"], path, raw(case["root"])
    )

    assert held == (not case["wantErr"])


@pytest.mark.parametrize("case", vectors("merkle-consistency.json"), ids=lambda c: c["file"])
def test_consistency_is_judged_as_others_judge_it(case):
    path = [raw(h) for h in case["proof"] or []]

    held = holds(merkle.verify_consistency, case["size1"], case["size2"], path, raw(case["root1"]), raw(case["root2"]))

    assert held == (not case["wantErr"])


def test_the_reference_tree_has_the_published_roots():
    tree = vectors("ct-reference-tree.json")
    hashes = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in tree["leaves_hex"]]

    roots = [merkle.root(hashes[: n + 1]).hex() for n in range(len(hashes))]

    assert roots == tree["roots_hex"]
    assert merkle.root([]).hex() == tree["empty_root_hex"]


def test_our_proofs_are_those_of_go_and_hold():
    hashes = leaves(300)
    for line in (VECTORS / "go-tlog-vectors-300.jsonl").read_text().splitlines():
        case = json.loads(line)
        theirs = [raw(h) for h in case["proof"]]

        if case["kind"] == "inclusion":
            size, index = case["size"], case["index"]
            ours = merkle.inclusion_proof(index, hashes[:size])
            assert merkle.root(hashes[:size]) == raw(case["root"])
            merkle.verify_inclusion(raw(case["leafHash"]), index, size, theirs, raw(case["root"]))
        else:
            old, new = case["size1"], case["size2"]
            ours = merkle.consistency_proof(old, hashes[:new])
            merkle.verify_consistency(old, new, theirs, raw(case["root1"]), raw(case["root2"]))

        assert ours == theirs, case


@given(st.integers(1, 700), st.data())
def test_a_leaf_is_proved_in_its_place_only(size, data):
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    root = merkle.root(hashes)

    path = merkle.inclusion_proof(index, hashes)

    assert holds(merkle.verify_inclusion, hashes[index], index, size, path, root)
    assert holds(merkle.verify_inclusion, hashes[index], other, size, path, root) == (other == index)


@given(st.integers(1, 700), st.data())
def test_a_tree_extends_its_beginning_and_no_other(size, data):
    hashes = leaves(size)
    old = data.draw(st.integers(1, size))
    forked = [*hashes[: old - 1], merkle.leaf_hash(b"another")]

    path = merkle.consistency_proof(old, hashes)

    root = merkle.root(hashes)
    assert holds(merkle.verify_consistency, old, size, path, merkle.root(hashes[:old]), root)
    assert not holds(merkle.verify_consistency, old, size, path, merkle.root(forked), root)


def test_an_empty_tree_proves_nothing():
    root = merkle.root(leaves(5))

    for old, new, proof, before, after in [
        (0, 5, [], merkle.EMPTY_ROOT, root),
        (0, 5, [root], merkle.EMPTY_ROOT, root),
        (0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT),
    ]:
        with pytest.raises(merkle.InvalidProof, match="no proof of consistency goes from 0"):
            merkle.verify_consistency(old, new, proof, before, after)
    with pytest.raises(ValueError):
        merkle.consistency_proof(0, leaves(5))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_another_length_is_refused_wherever_it_stands(length):
    hashes, odd = leaves(6), b"x" * length
    root, path, way = merkle.root(hashes), merkle.inclusion_proof(2, hashes), merkle.consistency_proof(3, hashes)
    before = merkle.root(hashes[:3])

    for arguments in [
        (odd, 2, 6, path, root),
        (hashes[2], 2, 6, path, odd),
        (odd, 0, 1, [], odd),
        *[(hashes[2], 2, 6, [*path[:i], odd, *path[i + 1 :]], root) for i in range(len(path))],
    ]:
        with pytest.raises(merkle.InvalidProof, match="32 bytes"):
            merkle.verify_inclusion(*arguments)
    for arguments in [
        (3, 6, way, odd, root),
        (3, 6, way, before, odd),
        *[(3, 6, [*way[:i], odd, *way[i + 1 :]], before, root) for i in range(len(way))],
    ]:
        with pytest.raises(merkle.InvalidProof, match="32 bytes"):
            merkle.verify_consistency(*arguments)


def test_strangers_import_it_without_django():
    script = (
        "import sys; from broker.audit import checkpoint, merkle; "
        "print(merkle.root([merkle.leaf_hash(b'')]).hex(), checkpoint.to_base64(b'x'), 'django' in sys.modules)"
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("DJANGO_SETTINGS_MODULE", "SECRET_KEY")}

    done = subprocess.run([sys.executable, "-c", script], env=bare, capture_output=True, text=True)

    assert done.stdout.split() == [merkle.leaf_hash(b"").hex(), "eA==", "False"], done.stderr


@given(st.lists(st.integers(1, 900), min_size=1, max_size=6))
def test_the_root_does_not_depend_on_batches_or_restarts(batches):
    hashes = leaves(sum(batches))
    stored: dict[tuple[int, int], bytes] = {}
    size = 0

    for batch in batches:
        edge = tiles.Edge.load(size, lambda level, n: stored[level, n])  # as after a restart
        stored.update(edge.grow(hashes[size : size + batch]))
        size += batch

        assert edge.root() == merkle.root(hashes[:size])

    node = tiles.node_reader(lambda level, n: stored[level, n])
    assert merkle.range_root(0, size, node) == merkle.root(hashes)
    assert merkle.inclusion_path(0, size, node) == merkle.inclusion_proof(0, hashes)
    assert merkle.consistency_path(1, size, node) == merkle.consistency_proof(1, hashes)


def test_tiles_of_three_levels_give_the_same_root():
    hashes = leaves(70_000)
    edge, stored = tiles.Edge(), {}

    for start in range(0, len(hashes), 9_999):
        stored.update(edge.grow(hashes[start : start + 9_999]))

    assert edge.root() == merkle.root(hashes)
    assert max(level for level, _ in stored) == 2
    again = tiles.Edge.load(70_000, lambda level, n: stored[level, n])
    assert again.root() == edge.root()


@given(st.integers(0, 10**10))
def test_a_tile_number_is_read_as_it_is_written(n):
    assert tiles.number_of(tiles.name_of(n)) == n


def test_tile_numbers_are_written_as_c2sp_writes_them():
    assert tiles.name_of(1234067) == "x001/x234/067"
    assert tiles.number_of("1/2") is None
    assert tiles.number_of("x000/001") is None


def test_the_root_needs_no_tile_beyond_the_edge():
    stored, edge = {}, tiles.Edge()
    for size in (1, 255, 256, 257, 65_536, 65_537, 70_000):
        stored |= edge.grow(leaves(size)[edge.size :])
        read = []

        root = merkle.range_root(
            0,
            size,
            tiles.node_reader(lambda level, n: read.append((level, n)) or stored[level, n]),  # noqa: B023
        )

        assert root == edge.root()
        assert set(read) <= set(tiles.edge_of(size)), size
