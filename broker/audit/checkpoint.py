"""Signed notes, checkpoints and proof files, byte for byte as C2SP lays them down. Pure, free of Django.

Sources: c2sp.org/signed-note (signature type 1, Ed25519), c2sp.org/tlog-cosignature (type 4, Ed25519 with a time),
c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof. A note may bear the lines of several signers, the log's and its
witnesses'; a line of a key that the reader does not hold (one day ML-DSA-44, type 6) is carried and not judged.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.audit.merkle import HASH_BYTES

ED25519, COSIGNATURE = 1, 4  # types of signature: the first byte of an encoded key
MOST_SIGNATURES = 100
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
PROOF_MAGIC = "c2sp.org/tlog-proof@v1"
_PRIME = 2**255 - 19
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
# The y of the points of order 1, 2, 4 and 8: under such a key, one signature fits any text.
_LOW_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})


class InvalidNote(ValueError):
    """A note, a key or a checkpoint that cannot be believed; the message says why."""


def to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def from_base64(text: str) -> bytes:
    """The bytes of canonical base64. Raises InvalidNote: a flipped padding bit would otherwise pass unseen."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidNote(f"this is not base64: {text[:40]!r}") from error
    if to_base64(value) != text:
        raise InvalidNote(f"this base64 is not canonical: {text[:40]!r}")
    return value


def verify_ed25519(key: bytes, text: bytes, signature: bytes) -> None:
    """RFC 8032, without cofactor, canonical encodings only, no key of small order. Raises InvalidNote.

    OpenSSL judges the equation, the signature's encoding and s < L; it lets odd keys pass, which are judged here.
    """
    y = int.from_bytes(key, "little") & (1 << 255) - 1
    if len(key) != 32 or y >= _PRIME or y in _LOW_ORDER:
        raise InvalidNote("this public key is degenerate")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise InvalidNote("the signature does not fit the text") from error


def _check_name(name: str) -> None:
    if not name or any(c.isspace() or c == "+" for c in name):
        raise InvalidNote(f"a key's name is one word without +, not {name[:40]!r}")


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the name of its log or its witness, written `name+hash+key`."""

    name: str
    key: bytes
    kind: int = ED25519

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:4]

    def __str__(self):
        return f"{self.name}+{self.hash.hex()}+{to_base64(bytes([self.kind]) + self.key)}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        try:
            name, digest, encoded = text.strip().split("+", 2)
        except ValueError as error:
            raise InvalidNote("a public key is written name+hash+key") from error
        _check_name(name)
        raw = from_base64(encoded)
        if raw[:1] not in (bytes([ED25519]), bytes([COSIGNATURE])) or len(raw) != 33:
            raise InvalidNote("this public key is not Ed25519")
        verifier = cls(name, raw[1:], raw[0])
        if verifier.hash.hex() != digest:
            raise InvalidNote("the public key does not fit its own hash")
        return verifier

    def verify(self, text: str, signature: bytes) -> int | None:
        """The time (seconds since 1970) that a cosignature tells; None for a signature, which tells none.

        `signature` is that of a line of this key. Raises InvalidNote.
        """
        if self.kind == ED25519:
            verify_ed25519(self.key, text.encode(), signature)
            return None
        at = int.from_bytes(signature[:8], "big")
        verify_ed25519(self.key, _cosigned(text, at), signature[8:])
        return at


@dataclass(frozen=True, slots=True)
class Signer:
    """The private half of a key; lives in the process of the signer, or of the witness, alone."""

    name: str
    private: Ed25519PrivateKey
    kind: int = ED25519

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.private.public_key().public_bytes_raw(), self.kind)

    def line(self, text: str, at: int | None = None) -> str:
        """The line that this key adds under `text`; `at`, in seconds since 1970, for a cosignature and for it only."""
        _check_text(text)
        _check_name(self.name)
        if (at is not None) != (self.kind == COSIGNATURE):
            raise InvalidNote("a cosignature tells its time, a signature tells none")
        if at is None:
            raw = self.private.sign(text.encode())
        else:
            raw = at.to_bytes(8, "big") + self.private.sign(_cosigned(text, at))
        return f"— {self.name} {to_base64(self.verifier.hash + raw)}\n"

    def sign(self, text: str) -> str:
        """`text` as a signed note. Raises InvalidNote when it is not one or more whole lines."""
        return f"{text}\n{self.line(text)}"


def _check_text(text: str) -> None:
    if not text.endswith("\n") or CONTROL.search(text):
        raise InvalidNote("the text of a note is made of whole lines without control signs")


@dataclass(frozen=True, slots=True)
class Signature:
    """One line under a note: whose, the four bytes that name the key, what that key wrote."""

    name: str
    hash: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it is written; nothing is believed yet."""

    text: str
    signatures: tuple[Signature, ...]


def parse(note: str) -> Note:
    """The text of a note and its lines of signature. Raises InvalidNote when it is not written as one."""
    text, blank, lines = note.rpartition("\n\n")
    text += "\n"
    if not blank or not lines.endswith("\n"):
        raise InvalidNote("a note is a text, an empty line, then lines of signatures")
    _check_text(text)
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—" or not name or not encoded:
            raise InvalidNote(f"this is not a line of signature: {line[:60]!r}")
        _check_name(name)
        raw = from_base64(encoded)
        if len(raw) < 5:
            raise InvalidNote(f"this line of signature is too short: {line[:60]!r}")
        signatures.append(Signature(name, raw[:4], raw[4:]))
    if len(signatures) > MOST_SIGNATURES:
        raise InvalidNote(f"a note bears at most {MOST_SIGNATURES} signatures")
    return Note(text, tuple(signatures))


def sign(text: str, *signers: Signer) -> str:
    """`text` as a note signed by each of `signers` (at least one). Raises InvalidNote."""
    if not signers:
        raise InvalidNote("a note is signed by somebody")
    return f"{text}\n" + "".join(signer.line(text) for signer in signers)


def verify(note: str, *verifiers: Verifier) -> dict[Verifier, int | None]:
    """Which of `verifiers` signed, with the time that each told (None: none). Empty when none did.

    Raises InvalidNote for a note that is not one, and as soon as one line of one of these keys does not fit the text.
    """
    parsed, signed = parse(note), {}
    keys = {(verifier.name, verifier.hash): verifier for verifier in verifiers}
    for line in parsed.signatures:
        if verifier := keys.get((line.name, line.hash)):
            signed[verifier] = verifier.verify(parsed.text, line.raw)
    return signed


def open_note(note: str, verifier: Verifier) -> str:
    """The text of a note that `verifier` signed. Raises InvalidNote."""
    if verifier not in verify(note, verifier):
        raise InvalidNote(f"no line is signed by {verifier.name} with this key")
    return parse(note).text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the log's name, its number of leaves, its root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """The checkpoint of an unsigned text; lines that follow are extensions. Raises InvalidNote."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise InvalidNote("a checkpoint is an origin, a size and a root, each on its line")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdecimal()) or str(int(size[:20])) != size:
            raise InvalidNote("the size of a checkpoint is a plain decimal number")
        raw = from_base64(root)
        if len(raw) != HASH_BYTES:
            raise InvalidNote(f"a root holds {HASH_BYTES} bytes")
        return cls(origin, int(size), raw)

    @classmethod
    def open(cls, note: str, verifier: Verifier) -> "Checkpoint":
        """The checkpoint of a note that the log's key signed. Raises InvalidNote, also when it is another log's."""
        checkpoint = cls.parse(open_note(note, verifier))
        if checkpoint.origin != verifier.name:
            raise InvalidNote(f"this checkpoint is that of {checkpoint.origin}")
        return checkpoint


def proof_file(index: int, path: Sequence[bytes], checkpoint: str) -> str:
    """A tlog-proof: the place of one leaf, its path, and the signed checkpoint it leads to."""
    return "\n".join([PROOF_MAGIC, f"index {index}", *map(to_base64, path), "", checkpoint])


def parse_proof(text: str) -> tuple[int, list[bytes], str]:
    """(index, path, signed checkpoint) of a tlog-proof. Raises InvalidNote."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or lines[0] != PROOF_MAGIC:
        raise InvalidNote("this is not a tlog-proof file")
    lines = lines[1:]
    if lines[0].startswith("extra "):
        lines = lines[1:]
    word, _, number = lines[0].partition(" ") if lines else ("", "", "")
    if word != "index" or not (number.isascii() and number.isdecimal()) or str(int(number[:20])) != number:
        raise InvalidNote("a tlog-proof names the index of its leaf")
    return int(number), [from_base64(line) for line in lines[1:]], checkpoint
