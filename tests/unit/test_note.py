"""Signed notes and checkpoints: what is accepted is what was signed, byte for byte."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from broker.audit import merkle, note

SIGNER = note.Signer("terrain.example/log1", Ed25519PrivateKey.from_private_bytes(b"7" * 32))
CHECKPOINT = note.Checkpoint(SIGNER.name, 12, merkle.leaf_hash(b"x"))
SIGNED = SIGNER.sign(CHECKPOINT.text())


def test_a_signed_checkpoint_is_read_back():
    assert note.Checkpoint.open(SIGNED, SIGNER.verifier) == CHECKPOINT


def test_the_published_example_of_go_is_read_as_go_reads_it():
    """The verifier key and the note of the documentation of golang.org/x/mod/sumdb/note."""
    verifier = note.Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signed = f"{text}\n— PeterNeumann {signature}\n"

    assert note.open_note(signed, verifier) == text
    assert str(verifier) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@given(st.integers(0, len(SIGNED.encode()) - 1), st.integers(1, 255))
def test_no_altered_byte_passes(place, flip):
    raw = bytearray(SIGNED.encode())
    raw[place] ^= flip

    with pytest.raises(ValueError):  # BadNote, or bytes that are no text
        note.Checkpoint.open(raw.decode(), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "terrain.example/log1\n012\n" + note.to_base64(b"r" * 32) + "\n",
        "terrain.example/log1\n12\n" + note.to_base64(b"r" * 31) + "\n",
        "other/log\n12\n" + note.to_base64(b"r" * 32) + "\n",
        "terrain.example/log1\n12\n",
    ],
    ids=["leading zero", "short root", "another log", "no root"],
)
def test_a_signed_text_that_is_no_checkpoint_of_this_log_is_refused(text):
    with pytest.raises(note.BadNote):
        note.Checkpoint.open(SIGNER.sign(text), SIGNER.verifier)


def test_a_line_of_another_key_is_carried_and_not_judged():
    witness = note.Signer("vigie.example", Ed25519PrivateKey.from_private_bytes(b"8" * 32))
    cosigned = SIGNED + witness.sign(CHECKPOINT.text()).rpartition("\n\n")[2]

    assert note.Checkpoint.open(cosigned, SIGNER.verifier) == CHECKPOINT
    assert note.open_note(cosigned, witness.verifier) == CHECKPOINT.text()
    with pytest.raises(note.BadNote):
        note.open_note(SIGNED, witness.verifier)


def test_a_proof_file_is_read_as_written():
    path = [merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")]

    written = note.proof_file(3, path, SIGNED)

    assert note.parse_proof(written) == (3, path, SIGNED)
