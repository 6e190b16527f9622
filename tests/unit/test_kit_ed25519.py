"""Ed25519, the offline verifier's own and the product's, against C2SP/CCTV and against the `cryptography` package."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from broker.audit import checkpoint
from broker.audit.kit import verify

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "tlog" / "cctv-ed25519vectors.json").read_text())
# What a strict verifier without cofactor catches; a component of small order alone does no harm.
REFUSED = {"low_order_A", "non_canonical_A", "non_canonical_R", "low_order_residue"}


def accepts(judge, key, message, signature):
    try:
        judge(key, message, signature)
    except (verify.Wrong, checkpoint.InvalidNote):
        return False
    return True


@pytest.mark.parametrize("judge", [verify.ed25519, checkpoint.verify_ed25519], ids=["kit", "product"])
def test_edge_cases_are_accepted_and_refused_as_their_flags_say(judge):
    judged = {True: 0, False: 0}
    for case in VECTORS:
        key, signature, message = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"]), case["msg"].encode()

        accepted = accepts(judge, key, message, signature)

        assert accepted == (not REFUSED & set(case["flags"] or [])), case["number"]
        judged[accepted] += 1
    assert judged == {True: 86, False: 828}


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 63), st.integers(0, 255))
def test_a_signature_passes_and_an_altered_one_does_not(seed, message, place, flip):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), bytearray(private.sign(message))
    signature[place] ^= flip

    assert accepts(verify.ed25519, key, message, bytes(signature)) == (flip == 0)
    assert accepts(checkpoint.verify_ed25519, key, message, bytes(signature)) == (flip == 0)
