"""Receipts: what the caller of a recorded verb takes away, before the event has its place in the tree.

A receipt says, signed: this event, of this leaf hash, was committed at this moment. Should the leaf never be in the
log, it proves that the platform broke its word. Four lines as a signed note (c2sp.org/signed-note):

    <log's origin>/receipts
    <the event's ULID>
    <leaf hash, base64>
    <time, UTC>

The key is derived from SECRET_KEY: the signer's own never leaves its process. Its public half is itself an entry of
the log (`log.key`, written by the sequencer's process when it starts), so that a receipt outlives a change of key.
"""

import base64
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection

from broker.audit import actions, checkpoint, merkle
from broker.audit.actor import SYSTEM
from broker.audit.checkpoint import InvalidNote, Signer, Verifier
from broker.audit.context import committed

HEADER = "Terrain-Receipt"
MOST = 4  # receipts of one answer: the last committed ones, the outermost verb's among them
KIND = "receipt_key"


@dataclass(frozen=True, slots=True)
class Receipt:
    ulid: str
    leaf_hash: bytes
    at: datetime


@functools.lru_cache(maxsize=4)
def _signer(secret: str, origin: str) -> Signer:
    seed = HKDF(SHA256(), 32, salt=None, info=b"terrain receipts 1").derive(secret.encode())
    return Signer(f"{origin}/receipts", Ed25519PrivateKey.from_private_bytes(seed))


def signer() -> Signer:
    return _signer(settings.SECRET_KEY, settings.LOG_ORIGIN)


def issue(ulid: str, leaf_hash: bytes, at: str) -> str:
    """The receipt of one committed event; `at` as the leaf writes it."""
    key = signer()
    return key.sign(f"{key.name}\n{ulid}\n{checkpoint.to_base64(leaf_hash)}\n{at}\n")


def read(note: str, key: Verifier) -> Receipt:
    """What a receipt says, its signature verified. Raises InvalidNote."""
    lines = checkpoint.open_note(note, key).splitlines()
    if len(lines) != 4 or lines[0] != key.name:
        raise InvalidNote("this is no receipt of that key")
    leaf_hash = checkpoint.from_base64(lines[2])
    if len(leaf_hash) != merkle.HASH_BYTES:
        raise InvalidNote("a leaf hash has 32 bytes")
    try:
        return Receipt(lines[1], leaf_hash, datetime.fromisoformat(lines[3]))
    except ValueError as error:
        raise InvalidNote(f"the time of this receipt cannot be read: {lines[3]!r}") from error


def header(payloads: list[tuple[str, str, str]]) -> str:
    """The answer's header: the last receipts, each in base64, separated by commas."""
    notes = [issue(ulid, merkle.leaf_hash(payload.encode()), at) for ulid, payload, at in payloads[-MOST:]]
    return ", ".join(base64.b64encode(note.encode()).decode() for note in notes)


def from_header(value: str) -> list[str]:
    """The receipts of a header, as signed notes."""
    return [base64.b64decode(part.strip(), validate=True).decode() for part in value.split(",")]


class Middleware:
    """Hands the receipts of what a request committed to whoever asked. What it rolled back has none."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with committed() as payloads:
            answer = self.get_response(request)
            if payloads:
                answer[HEADER] = header(payloads)
            return answer


def announce(cursor) -> str | None:
    """Write the public key into the log, unless it is there; its text when it was written.

    Before the first start of the sequencer there is no log: its process calls this once it has started.
    """
    key = str(signer().verifier)
    cursor.execute("SELECT 1 FROM audit_index WHERE obj = %s LIMIT 1", [f"{KIND}:{key}"])
    if cursor.fetchone():
        return None
    cursor.execute(
        "SELECT 1 FROM audit_sequencer s, audit_event e WHERE (e.generation, e.xid, e.id) > "
        "(s.last_generation, s.last_xid, s.last_id) AND position(%s IN e.payload) > 0 LIMIT 1",
        [key],
    )
    if cursor.fetchone():
        return None
    actions.write(cursor, "log.key", by=SYSTEM, obj=(KIND, key))
    return key


def known_keys() -> Iterator[Verifier]:
    """Every key that the log says signed receipts, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT obj FROM audit_index WHERE act = 'log.key' AND starts_with(obj, %s) ORDER BY leaf_index",
            [f"{KIND}:"],
        )
        for (obj,) in cursor.fetchall():
            yield Verifier.parse(obj.removeprefix(f"{KIND}:"))


def place_of(receipt: Receipt) -> int | None:
    """The leaf that keeps the receipt's promise; None when the event has no place yet, or never had."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.leaf_index, e.payload FROM audit_index i JOIN audit_event e "
            "ON (e.generation, e.xid, e.id) = (i.generation, i.xid, i.event_id) "
            "WHERE i.ulid = %s AND i.at = %s",  # the time leads to the month, and to few of its rows
            [receipt.ulid, receipt.at],
        )
        for place, payload in cursor.fetchall():
            if merkle.leaf_hash(payload.encode()) == receipt.leaf_hash:
                return place
    return None
