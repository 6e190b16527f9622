"""Signed notes, checkpoints and proof files, byte for byte as C2SP lays them down.

Sources: c2sp.org/signed-note (Ed25519, signature type 1), c2sp.org/tlog-checkpoint, c2sp.org/tlog-proof. A line of
another key (a witness's cosignature, one day ML-DSA-44) is carried and not judged.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from broker.audit.merkle import HASH_BYTES

ED25519 = b"\x01"
PROOF_MAGIC = "c2sp.org/tlog-proof@v1"


class BadNote(ValueError):
    """A note, a key or a checkpoint that cannot be believed; the message says why."""


def to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def from_base64(text: str) -> bytes:
    """The bytes of canonical base64. Raises BadNote: a flipped padding bit would otherwise pass unseen."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote(f"this is not base64: {text[:40]!r}") from error
    if to_base64(value) != text:
        raise BadNote(f"this base64 is not canonical: {text[:40]!r}")
    return value


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the name of its log, written `name+hash+key`."""

    name: str
    key: bytes

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    def __str__(self):
        return f"{self.name}+{self.hash.hex()}+{to_base64(ED25519 + self.key)}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        try:
            name, digest, encoded = text.strip().split("+", 2)
        except ValueError as error:
            raise BadNote("a public key is written name+hash+key") from error
        raw = from_base64(encoded)
        if raw[:1] != ED25519 or len(raw) != 33:
            raise BadNote("this public key is not Ed25519")
        verifier = cls(name, raw[1:])
        if not name or any(c.isspace() or c == "+" for c in name) or verifier.hash.hex() != digest:
            raise BadNote("the public key does not fit its own hash")
        return verifier


@dataclass(frozen=True, slots=True)
class Signer:
    """The private half; lives in the signer's process alone."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """`text` as a signed note. Raises BadNote when it is not one or more whole lines."""
        _check_text(text)
        signature = self.verifier.hash + self.private.sign(text.encode())
        return f"{text}\n— {self.name} {to_base64(signature)}\n"


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(c) < 0x20 and c != "\n" for c in text):
        raise BadNote("the text of a note is made of whole lines without control signs")


def open_note(note: str, verifier: Verifier) -> str:
    """The text of a note that `verifier` signed. Raises BadNote."""
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    if not blank or not signatures.endswith("\n"):
        raise BadNote("a note is a text, an empty line, then lines of signatures")
    _check_text(text)
    found = False
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—" or not name or not encoded:
            raise BadNote(f"this is not a line of signature: {line[:60]!r}")
        raw = from_base64(encoded)
        if name != verifier.name or raw[:4] != verifier.hash:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.key).verify(raw[4:], text.encode())
        except (InvalidSignature, ValueError) as error:
            raise BadNote("the signature does not fit the text") from error
        found = True
    if not found:
        raise BadNote(f"no line is signed by {verifier.name} with this key")
    return text


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
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0]:
            raise BadNote("a checkpoint is an origin, a size and a root")
        origin, size, root = lines[:3]
        if not (size.isascii() and size.isdecimal()) or str(int(size)) != size:
            raise BadNote("the size of a checkpoint is a plain decimal number")
        raw = from_base64(root)
        if len(raw) != HASH_BYTES:
            raise BadNote(f"a root holds {HASH_BYTES} bytes")
        return cls(origin, int(size), raw)

    @classmethod
    def open(cls, note: str, verifier: Verifier) -> "Checkpoint":
        """The checkpoint of a signed note. Raises BadNote, also when it is another log's."""
        checkpoint = cls.parse(open_note(note, verifier))
        if checkpoint.origin != verifier.name:
            raise BadNote(f"this checkpoint is that of {checkpoint.origin}")
        return checkpoint


def proof_file(index: int, path: Sequence[bytes], checkpoint: str) -> str:
    """A tlog-proof: the place of one leaf, its path, and the signed checkpoint it leads to."""
    return "\n".join([PROOF_MAGIC, f"index {index}", *map(to_base64, path), "", checkpoint])


def parse_proof(text: str) -> tuple[int, list[bytes], str]:
    """(index, path, signed checkpoint) of a tlog-proof. Raises BadNote."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) < 2 or lines[0] != PROOF_MAGIC:
        raise BadNote("this is not a tlog-proof file")
    lines = lines[1:]
    if lines[0].startswith("extra "):
        lines = lines[1:]
    word, _, number = lines[0].partition(" ")
    if word != "index" or not (number.isascii() and number.isdecimal()) or str(int(number)) != number:
        raise BadNote("a tlog-proof names the index of its leaf")
    return int(number), [from_base64(line) for line in lines[1:]], checkpoint
