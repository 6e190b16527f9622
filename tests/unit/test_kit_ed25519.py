"""The verifier's own Ed25519 against the edge cases of C2SP/CCTV and against the `cryptography` package."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.kit import verify

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "tlog" / "ed25519.json").read_text())
REFUSED = {"low_order_A", "non_canonical_A", "non_canonical_R"}


def ours(key, message, signature):
    try:
        verify.ed25519(key, message, signature)
    except verify.Wrong:
        return False
    return True


def theirs(key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("case", VECTORS, ids=lambda c: str(c["number"]))
def test_edge_cases_are_refused_and_nothing_passes_that_openssl_refuses(case):
    key, signature, message = bytes.fromhex(case["key"]), bytes.fromhex(case["sig"]), case["msg"].encode()
    flags = set(case["flags"] or [])

    accepted = ours(key, message, signature)

    if flags & REFUSED:
        assert not accepted
    else:
        assert accepted == theirs(key, message, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 63), st.integers(0, 255))
def test_a_signature_passes_and_an_altered_one_does_not(seed, message, place, flip):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), bytearray(private.sign(message))
    signature[place] ^= flip

    assert ours(key, message, bytes(signature)) == (flip == 0)
