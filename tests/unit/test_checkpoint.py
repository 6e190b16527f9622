"""Signed notes and checkpoints: what is accepted is what was signed, byte for byte."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from broker.audit import checkpoint, merkle

SIGNER = checkpoint.Signer("terrain.example/log1", Ed25519PrivateKey.from_private_bytes(b"7" * 32))
CHECKPOINT = checkpoint.Checkpoint(SIGNER.name, 12, merkle.leaf_hash(b"x"))
SIGNED = SIGNER.sign(CHECKPOINT.text())


def test_a_signed_checkpoint_is_read_back():
    assert checkpoint.Checkpoint.open(SIGNED, SIGNER.verifier) == CHECKPOINT


def test_the_published_example_of_go_is_read_as_go_reads_it():
    """The verifier key and the note of the documentation of golang.org/x/mod/sumdb/note."""
    verifier = checkpoint.Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signed = f"{text}\n— PeterNeumann {signature}\n"

    assert checkpoint.open_note(signed, verifier) == text
    assert str(verifier) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@given(st.integers(0, len(SIGNED.encode()) - 1), st.integers(1, 255))
def test_no_altered_byte_passes(place, flip):
    raw = bytearray(SIGNED.encode())
    raw[place] ^= flip

    with pytest.raises(ValueError):  # InvalidNote, or bytes that are no text
        checkpoint.Checkpoint.open(raw.decode(), SIGNER.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "terrain.example/log1\n012\n" + checkpoint.to_base64(b"r" * 32) + "\n",
        "terrain.example/log1\n12\n" + checkpoint.to_base64(b"r" * 31) + "\n",
        "other/log\n12\n" + checkpoint.to_base64(b"r" * 32) + "\n",
        "terrain.example/log1\n12\n",
    ],
    ids=["leading zero", "short root", "another log", "no root"],
)
def test_a_signed_text_that_is_no_checkpoint_of_this_log_is_refused(text):
    with pytest.raises(checkpoint.InvalidNote):
        checkpoint.Checkpoint.open(SIGNER.sign(text), SIGNER.verifier)


def test_a_line_of_another_key_is_carried_and_not_judged():
    witness = checkpoint.Signer("vigie.example", Ed25519PrivateKey.from_private_bytes(b"8" * 32))
    cosigned = SIGNED + witness.sign(CHECKPOINT.text()).rpartition("\n\n")[2]

    assert checkpoint.Checkpoint.open(cosigned, SIGNER.verifier) == CHECKPOINT
    assert checkpoint.open_note(cosigned, witness.verifier) == CHECKPOINT.text()
    with pytest.raises(checkpoint.InvalidNote):
        checkpoint.open_note(SIGNED, witness.verifier)


def test_a_proof_file_is_read_as_written():
    path = [merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")]

    written = checkpoint.proof_file(3, path, SIGNED)

    assert checkpoint.parse_proof(written) == (3, path, SIGNED)


WITNESS = checkpoint.Signer("vigie.example", Ed25519PrivateKey.from_private_bytes(b"8" * 32), checkpoint.COSIGNATURE)
AT = 1_795_392_000


def test_a_cosignature_tells_its_time():
    cosigned = SIGNED + WITNESS.line(CHECKPOINT.text(), AT)

    signed = checkpoint.verify(cosigned, SIGNER.verifier, WITNESS.verifier)

    assert signed == {SIGNER.verifier: None, WITNESS.verifier: AT}
    assert checkpoint.verify(SIGNED, WITNESS.verifier) == {}
    assert checkpoint.Verifier.parse(str(WITNESS.verifier)) == WITNESS.verifier


def test_a_cosignature_is_written_as_c2sp_lays_it_down():
    """c2sp.org/tlog-cosignature: type 4, eight bytes of time, then the signature of a text that names it."""
    line = WITNESS.line(CHECKPOINT.text(), AT)

    raw = checkpoint.from_base64(line.split(" ")[2].strip())
    key = WITNESS.private.public_key()
    assert raw[:4] == hashlib.sha256(b"vigie.example\n\x04" + key.public_bytes_raw()).digest()[:4]
    assert int.from_bytes(raw[4:12], "big") == AT
    key.verify(raw[12:], b"cosignature/v1\ntime %d\n" % AT + CHECKPOINT.text().encode())


def test_a_cosignature_of_another_time_or_text_is_refused():
    line = WITNESS.line(CHECKPOINT.text(), AT)
    raw = bytearray(checkpoint.from_base64(line.split(" ")[2].strip()))
    raw[11] ^= 1
    moved = f"— vigie.example {checkpoint.to_base64(bytes(raw))}\n"
    other = WITNESS.line(checkpoint.Checkpoint(SIGNER.name, 13, CHECKPOINT.root).text(), AT)

    for forged in (moved, other):
        with pytest.raises(checkpoint.InvalidNote, match="does not fit"):
            checkpoint.verify(SIGNED + line + forged, WITNESS.verifier)


def test_a_note_is_signed_by_several():
    second = checkpoint.Signer("terrain.example/log2", Ed25519PrivateKey.from_private_bytes(b"9" * 32))

    note = checkpoint.sign("un texte\n", SIGNER, second)

    assert checkpoint.verify(note, second.verifier, SIGNER.verifier) == {SIGNER.verifier: None, second.verifier: None}
    assert [line.name for line in checkpoint.parse(note).signatures] == [SIGNER.name, second.name]
    for wrong in [lambda: checkpoint.sign("un texte\n"), lambda: checkpoint.sign("sans fin", SIGNER)]:
        with pytest.raises(checkpoint.InvalidNote):
            wrong()
    with pytest.raises(checkpoint.InvalidNote, match="tells"):
        SIGNER.line("un texte\n", AT)
    with pytest.raises(checkpoint.InvalidNote, match="tells"):
        WITNESS.line("un texte\n")


@pytest.mark.parametrize(
    "note",
    [
        "un texte\n— a AAAAAAAA\n",
        "un texte\n\n— a AAAAAAAA",
        "un texte\n\n- a AAAAAAAA\n",
        "un texte\n\n— a+b AAAAAAAA\n",
        "un texte\n\n— a AAAA\n",
        "un texte\n\n— a AAAAAAB=\n",
        "un\ttexte\n\n— a AAAAAAAA\n",
        "un texte\n\n" + "— a AAAAAAAA\n" * 101,
    ],
    ids=["no blank", "cut", "a hyphen", "plus", "too short", "odd base64", "control", "too many"],
)
def test_what_is_no_note_is_not_read(note):
    with pytest.raises(checkpoint.InvalidNote):
        checkpoint.parse(note)


def test_a_key_that_fits_any_text_is_refused():
    weak = checkpoint.Verifier("faible.example", bytes(32))
    note = f"un texte\n\n— {weak.name} {checkpoint.to_base64(weak.hash + bytes(64))}\n"

    with pytest.raises(checkpoint.InvalidNote, match="degenerate"):
        checkpoint.verify(note, weak)
