"""RFC 6962 against vectors of others, then against its own properties."""

import base64
import json
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
    except merkle.BadProof:
        return False
    return True


@pytest.mark.parametrize("case", vectors("merkle-inclusion.json"), ids=lambda c: c["file"])
def test_inclusion_is_judged_as_others_judge_it(case):
    path = [raw(h) for h in case["proof"] or []]
    dummy = len(raw(case["root"])) != 32 or len(raw(case["leafHash"])) != 32

    held = holds(
        merkle.verify_inclusion, case["leafIdx"], case["treeSize"], raw(case["leafHash"]), path, raw(case["root"])
    )

    assert held == (not case["wantErr"] and not dummy)


@pytest.mark.parametrize("case", vectors("merkle-consistency.json"), ids=lambda c: c["file"])
def test_consistency_is_judged_as_others_judge_it(case):
    path = [raw(h) for h in case["proof"] or []]
    dummy = len(raw(case["root1"])) != 32 or len(raw(case["root2"])) != 32

    held = holds(merkle.verify_consistency, case["size1"], case["size2"], raw(case["root1"]), raw(case["root2"]), path)

    assert held == (not case["wantErr"] and not dummy)


def test_the_reference_tree_has_the_published_roots():
    tree = vectors("ct-reference-tree.json")
    hashes = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in tree["leaves_hex"]]

    roots = [merkle.root_of(hashes[: n + 1]).hex() for n in range(len(hashes))]

    assert roots == tree["roots_hex"]
    assert merkle.root_of([]).hex() == tree["empty_root_hex"]


def test_our_proofs_are_those_of_go():
    hashes = leaves(300)
    node = merkle.nodes_of(hashes)
    for line in (VECTORS / "go-tlog.jsonl").read_text().splitlines():
        case = json.loads(line)
        theirs = [raw(h) for h in case["proof"]]

        if case["kind"] == "inclusion":
            ours = merkle.inclusion_proof(case["index"], case["size"], node)
            assert merkle.root_of(hashes[: case["size"]]) == raw(case["root"])
        else:
            ours = merkle.consistency_proof(case["size1"], case["size2"], node)

        assert ours == theirs, case


@given(st.integers(1, 700), st.data())
def test_a_leaf_is_proved_in_its_place_only(size, data):
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    root = merkle.root_of(hashes)

    path = merkle.inclusion_proof(index, size, merkle.nodes_of(hashes))

    assert holds(merkle.verify_inclusion, index, size, hashes[index], path, root)
    assert holds(merkle.verify_inclusion, other, size, hashes[index], path, root) == (other == index)


@given(st.integers(1, 700), st.data())
def test_a_tree_extends_its_beginning_and_no_other(size, data):
    hashes = leaves(size)
    old = data.draw(st.integers(1, size))
    forked = [*hashes[: old - 1], merkle.leaf_hash(b"another")]

    path = merkle.consistency_proof(old, size, merkle.nodes_of(hashes))

    root = merkle.root_of(hashes)
    assert holds(merkle.verify_consistency, old, size, merkle.root_of(hashes[:old]), root, path)
    assert not holds(merkle.verify_consistency, old, size, merkle.root_of(forked), root, path)


def test_an_empty_tree_proves_nothing():
    with pytest.raises(merkle.BadProof):
        merkle.verify_consistency(0, 5, merkle.EMPTY_ROOT, merkle.root_of(leaves(5)), [])


@given(st.lists(st.integers(1, 900), min_size=1, max_size=6))
def test_the_root_does_not_depend_on_batches_or_restarts(batches):
    hashes = leaves(sum(batches))
    stored: dict[tuple[int, int], bytes] = {}
    size = 0

    for batch in batches:
        edge = tiles.Edge.load(size, lambda level, n: stored[level, n])  # as after a restart
        stored.update(edge.grow(hashes[size : size + batch]))
        size += batch

        assert edge.root() == merkle.root_of(hashes[:size])

    node = tiles.node_reader(lambda level, n: stored[level, n])
    assert merkle.range_root(0, size, node) == merkle.root_of(hashes)
    assert merkle.inclusion_proof(0, size, node) == merkle.inclusion_proof(0, size, merkle.nodes_of(hashes))


def test_tiles_of_three_levels_give_the_same_root():
    hashes = leaves(70_000)
    edge, stored = tiles.Edge(), {}

    for start in range(0, len(hashes), 9_999):
        stored.update(edge.grow(hashes[start : start + 9_999]))

    assert edge.root() == merkle.root_of(hashes)
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
