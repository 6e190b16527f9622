"""The offline verifier runs on any Python 3.9 alone, and judges proofs as the vectors of others do."""

import ast
import base64
import json
import sys
from pathlib import Path

import pytest

from broker.audit import merkle
from broker.audit.bundle import KIT
from broker.audit.kit import verify

VECTORS = Path(__file__).parent.parent / "vectors" / "tlog"
SOURCE = (KIT / "verify.py").read_text()
LATER_THAN_3_9 = {"strict", "bit_count", "pairwise", "batched", "StrEnum", "UTC", "slots", "kw_only"}


def raw(text):
    return base64.b64decode(text or "")


def holds(verifier, *arguments):
    try:
        verifier(*arguments)
    except verify.Wrong:
        return False
    return True


def test_it_is_written_in_python_3_9_with_the_standard_library_alone():
    tree = ast.parse(SOURCE, feature_version=(3, 9))

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    assert imported <= sys.stdlib_module_names
    assert not names & LATER_THAN_3_9
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and _is_union(node)]


def _is_union(node):
    """`int | None` in an annotation that is evaluated: Python 3.10."""
    return isinstance(node.op, ast.BitOr) and isinstance(node.right, ast.Constant) and node.right.value is None


@pytest.mark.parametrize("name", ["merkle-inclusion.json", "merkle-consistency.json"])
def test_proofs_are_judged_as_others_judge_them(name):
    for case in json.loads((VECTORS / name).read_text()):
        path = [raw(value) for value in case["proof"] or []]

        if "leafIdx" in case:
            held = holds(
                verify.inclusion, case["leafIdx"], case["treeSize"], raw(case["leafHash"]), path, raw(case["root"])
            )
        else:
            held = holds(verify.consistency, case["size1"], case["size2"], raw(case["root1"]), raw(case["root2"]), path)

        short = len(raw(case.get("root2") or case.get("root"))) != 32  # no checkpoint can carry such a root
        assert held == (not case["wantErr"] and not short), case["file"]


def test_nothing_is_proved_from_an_empty_log():
    hashes = [merkle.leaf_hash(b"%d" % i) for i in range(5)]

    for size in (0, 5):
        with pytest.raises(verify.Wrong, match="aucune preuve ne va de 0"):
            verify.consistency(0, size, merkle.EMPTY_ROOT, merkle.root(hashes[:size]), [])


def test_a_hash_that_is_not_32_bytes_is_refused():
    hashes = [merkle.leaf_hash(b"%d" % i) for i in range(5)]
    root, path, way = merkle.root(hashes), merkle.inclusion_proof(2, hashes), merkle.consistency_proof(3, hashes)

    for arguments in [(0, 1, b"", [], b""), (2, 5, hashes[2], [*path, b""], root), (2, 5, hashes[2], path, root[:31])]:
        with pytest.raises(verify.Wrong, match="mal formée"):
            verify.inclusion(*arguments)
    for arguments in [(1, 1, b"", b"", []), (3, 5, merkle.root(hashes[:3]), root, [way[0][:31], *way[1:]])]:
        with pytest.raises(verify.Wrong, match="mal formée"):
            verify.consistency(*arguments)
