"""Witnesses: partners who cosign the log's checkpoints after having verified that each extends the one before.

The client's side of c2sp.org/tlog-witness; kit/witness.py is the other side. A cosignature (c2sp.org/tlog-cosignature)
is verified with the witness's key, which comes from the settings, before it is stored beside the checkpoint.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection as of_this_request

from broker.audit import checkpoint, merkle, tiles
from broker.audit.checkpoint import COSIGNATURE, InvalidNote, Verifier, to_base64
from broker.audit.outside import WITNESS, Duty, Undone, post

EVERY, AGAIN = 60, 60  # seconds between two cosignatures of one witness; between two tries when it is down
SKEW = 300  # seconds by which a witness's clock may differ from ours
PATIENCE = 10  # seconds
LAST = "SELECT size, note, cosignatures FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
SEEN = "SELECT size FROM audit_outside WHERE name = %s"
# A checkpoint that a witness has not cosigned yet is no news for so many seconds.
LATE = 5 * EVERY
STANDING = """
    SELECT held.size, held.done_at, coalesce(held.problem, ''),
        (SELECT c.published_at FROM audit_checkpoint c WHERE c.size > coalesce(held.size, 0)
            AND c.published_at < clock_timestamp() - %s * interval '1 s' ORDER BY c.size LIMIT 1)
    FROM unnest(%s::text[]) WITH ORDINALITY AS wanted(name, place) LEFT JOIN audit_outside held USING (name)
    ORDER BY place
"""
STORE = "UPDATE audit_checkpoint SET cosignatures = cosignatures || %s WHERE size = %s"


class NotCosigned(Undone):
    """The witness is down, refuses, or answers something else; the log goes on, and says since when."""


def parse(setting: Sequence[str]) -> dict[Verifier, str]:
    """The address of each witness by its key, from items `name+hash+key https://…`. Raises ImproperlyConfigured."""
    found = {}
    for item in setting:
        try:
            text, url = item.split()
            witness = Verifier.parse(text)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"TERRAIN_WITNESSES: {item[:60]!r} is not a key and an address: {error}"
            ) from error
        if witness.kind != COSIGNATURE:
            raise ImproperlyConfigured(f"TERRAIN_WITNESSES: the key of {witness.name} is a log's, not a witness's")
        found[witness] = url.rstrip("/")
    return found


def request(old: int, proof: Sequence[bytes], note: str) -> str:
    """The body that asks a witness to cosign, and anybody to verify: an old size, the proof that the signed checkpoint
    extends it, the checkpoint."""
    return "\n".join([f"old {old}", *map(to_base64, proof), "", note])


def cosigned(note: str, answer: str, witness: Verifier) -> tuple[str, int]:
    """The witness's line in `answer`, and the time it tells (seconds since 1970). Raises NotCosigned.

    Lines of other keys are left out: this witness vouches for its own.
    """
    try:
        at = checkpoint.verify(note + answer, witness).get(witness)
        signatures = checkpoint.parse(note + answer).signatures
    except InvalidNote as error:
        raise NotCosigned(f"the answer of {witness.name} is no cosignature: {error}") from error
    mine = [line for line in signatures if (line.name, line.hash) == (witness.name, witness.hash)]
    if at is None or len(mine) != 1:
        raise NotCosigned(f"{witness.name} did not cosign with the key that we hold")
    if abs(at - time.time()) > SKEW:
        raise NotCosigned(f"the clock of {witness.name} is {at - time.time():+.0f} s away from ours")
    return f"— {witness.name} {to_base64(mine[0].hash + mine[0].raw)}\n", at


def ask(url: str, witness: Verifier, *, note: str, size: int, old: int, read: merkle.Node) -> str:
    """The cosignature line of `witness` over the checkpoint `note` of `size` leaves. Raises NotCosigned.

    `old` is the last size it is known to have cosigned; when it remembers another, it is asked again from that one.
    """
    for _ in range(2):
        path = merkle.consistency_path(old, size, read) if old else []
        status, answer = post(
            f"{url}/add-checkpoint", request(old, path, note).encode(), kind="text/plain", patience=PATIENCE
        )
        text = answer.decode(errors="replace")
        if status == 200:
            return cosigned(note, text, witness)[0]
        if status != 409:
            break
        if not text.strip().isdecimal():
            raise NotCosigned(f"{witness.name} remembers something unreadable: {text[:60]!r}")
        old = int(text)
        if old > size:
            raise NotCosigned(
                f"{witness.name} has cosigned {old} leaves and this log publishes {size}: it was restored behind a "
                "published checkpoint, or rewritten"
            )
    raise NotCosigned(f"{witness.name} refuses ({status}): {text[:200].strip()}")


@dataclass(frozen=True, slots=True)
class Cosigner:
    """How a witness stands: the last size it cosigned and when, what is wrong with it, and since when the log goes on
    without its eyes (None while it follows)."""

    key: Verifier
    size: int | None
    cosigned_at: datetime | None
    problem: str
    unwitnessed_since: datetime | None

    @property
    def name(self) -> str:
        return self.key.name


def standing() -> list[Cosigner]:
    """The witnesses of the settings, in their order, in one query."""
    keys = list(parse(settings.WITNESSES))
    with of_this_request.cursor() as cursor:
        cursor.execute(STANDING, [LATE, [WITNESS + key.name for key in keys]])
        return [Cosigner(key, *row) for key, row in zip(keys, cursor.fetchall(), strict=True)]


def duty(witness: Verifier, url: str, *, every: float = EVERY) -> Duty:
    """Have the last checkpoint cosigned by `witness`, once a minute when there is a new one."""
    name = WITNESS + witness.name

    def act(connection: psycopg.Connection) -> int | None:
        last = connection.execute(LAST).fetchone()
        if last is None:
            return None
        size, note, cosignatures = last
        if cosignatures and witness in checkpoint.verify(note + cosignatures, witness):
            return None
        seen = connection.execute(SEEN, [name]).fetchone()

        def read(level: int, n: int) -> bytes:
            row = connection.execute("SELECT hashes FROM audit_tile WHERE (level, n) = (%s, %s)", [level, n]).fetchone()
            if row is None:
                raise NotCosigned(f"there is no tile {level}/{n} to prove anything with")
            return bytes(row[0])

        line = ask(
            url, witness, note=note, size=size, old=min(seen[0], size) if seen and seen[0] else 0,
            read=tiles.node_reader(read),
        )  # fmt: skip
        connection.execute(STORE, [line, size])
        return size

    return Duty(name, act, every=every, again=AGAIN)
