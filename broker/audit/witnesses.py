"""Witnesses: partners who cosign the log's checkpoints after having verified that each extends the one before.

The client's side of c2sp.org/tlog-witness; kit/witness.py is the other side. A cosignature (c2sp.org/tlog-cosignature)
is verified with the witness's key, which comes from the settings, before it is stored beside the checkpoint. A partner
who has no address comes to read the public pages, and hands its line back: anybody may post one, only a line that
verifies under a key of the settings is taken. It is no event of the log, or each cosignature would ask for another.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection as of_this_request
from django.db import transaction

from broker.audit import checkpoint, merkle, state, tiles
from broker.audit.checkpoint import COSIGNATURE, InvalidNote, Verifier, to_base64
from broker.audit.outside import DONE, WITNESS, Duty, Undone, post

log = logging.getLogger(__name__)

EVERY, AGAIN = 60, 60  # seconds between two cosignatures of one witness; between two tries when it is down
SKEW = 300  # seconds by which a witness's clock may differ from ours
PATIENCE = 10  # seconds
LAST = "SELECT size, note, cosignatures FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
SEEN = "SELECT size FROM audit_outside WHERE name = %s"
# A checkpoint that a witness has not cosigned yet is no news for so many seconds.
LATE = 5 * EVERY
LATE_PULLED = 26 * 3600  # one that comes to read does so once a day, and a little
STANDING = """
    SELECT held.size, held.done_at, coalesce(held.problem, ''),
        (SELECT c.published_at FROM audit_checkpoint c WHERE c.size > coalesce(held.size, 0)
            AND c.published_at < clock_timestamp() - wanted.late * interval '1 s' ORDER BY c.size LIMIT 1)
    FROM unnest(%s::text[], %s::int[]) WITH ORDINALITY AS wanted(name, late, place)
    LEFT JOIN audit_outside held USING (name)
    ORDER BY place
"""
HANDED_EVERY, HANDED_AT_ONCE = 2, 100  # seconds between two looks at what was handed back; lines of one
HANDED = """
    SELECT h.size, h.witness, h.line, c.note, c.cosignatures FROM audit_handed h JOIN audit_checkpoint c USING (size)
    ORDER BY h.handed_at LIMIT %s
"""
TAKEN = "DELETE FROM audit_handed WHERE size = %s AND witness = %s"
STORE = "UPDATE audit_checkpoint SET cosignatures = cosignatures || %s WHERE size = %s AND cosignatures = %s"


class NotCosigned(Undone):
    """The witness is down, refuses, or answers something else; the log goes on, and says since when."""


def parse(setting: Sequence[str]) -> dict[Verifier, str]:
    """The address of each witness by its key, from items `name+hash+key https://…`; "" for one that comes by itself,
    whose item is its key alone. Raises ImproperlyConfigured."""
    found = {}
    for item in setting:
        try:
            text, *rest = item.split()
            [url] = rest or [""]
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
    line, at = line_of(note, answer, witness)
    if abs(at - time.time()) > SKEW:
        raise NotCosigned(f"the clock of {witness.name} is {at - time.time():+.0f} s away from ours")
    return line, at


def line_of(note: str, answer: str, witness: Verifier) -> tuple[str, int]:
    """The one line of `witness` in `answer` that verifies over `note`, and its time. Raises NotCosigned."""
    try:
        at = checkpoint.verify(note + answer, witness).get(witness)
        signatures = checkpoint.parse(note + answer).signatures
    except InvalidNote as error:
        raise NotCosigned(f"the answer of {witness.name} is no cosignature: {error}") from error
    mine = [line for line in signatures if (line.name, line.hash) == (witness.name, witness.hash)]
    if at is None or len(mine) != 1:
        raise NotCosigned(f"{witness.name} did not cosign with the key that we hold")
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
    addresses = parse(settings.WITNESSES)
    keys, late = list(addresses), [LATE if url else LATE_PULLED for url in addresses.values()]
    with of_this_request.cursor() as cursor:
        cursor.execute(STANDING, [[WITNESS + key.name for key in keys], late])
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
        stored = connection.execute(STORE, [line, size, cosignatures]).rowcount
        return size if stored else None  # another line came meanwhile: asked again at the next turn

    return Duty(name, act, every=every, again=AGAIN)


def hand_back(published: state.Published, line: str) -> bool:
    """Take the cosignature that somebody brings for a published checkpoint: True when it is new, False when this
    witness's is already there. The sequencer's process then puts it beside the checkpoint. Raises NotCosigned."""
    if line.strip().count("\n"):
        raise NotCosigned("bring one line, that of one witness")
    witness, alone, at = _of_a_witness(published.note, line.strip() + "\n")
    if not published.published_at.timestamp() - SKEW <= at <= time.time() + SKEW:
        raise NotCosigned(f"{witness.name} tells a time at which this checkpoint was not there, or that has not come")
    if witness in checkpoint.verify(published.signed, witness):
        return False
    with transaction.atomic(), of_this_request.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_handed (size, witness, line) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [published.size, str(witness), alone],
        )
        return cursor.rowcount == 1


def _of_a_witness(note: str, line: str) -> tuple[Verifier, str, int]:
    """The witness of the settings whose line this is, the line alone, its time. Raises NotCosigned."""
    refused = NotCosigned("no witness of this log's settings signed this line")
    for witness in parse(settings.WITNESSES):
        try:
            return (witness, *line_of(note, line, witness))
        except NotCosigned as error:
            refused = error if line.startswith(f"— {witness.name} ") else refused
    raise refused


def handed(known: Sequence[Verifier]) -> Duty:
    """Put what witnesses handed back beside its checkpoint, verified once more: the table says nothing by itself."""
    keys = {str(witness): witness for witness in known}

    def act(connection: psycopg.Connection) -> None:
        for size, text, line, note, cosignatures in connection.execute(HANDED, [HANDED_AT_ONCE]).fetchall():
            witness = keys.get(text)
            if witness is None or _put_beside(connection, witness, size, note, cosignatures, line):
                connection.execute(TAKEN, [size, text])

    return Duty("handed", act, every=HANDED_EVERY, again=AGAIN)


def _put_beside(connection, witness: Verifier, size: int, note: str, cosignatures: str, line: str) -> bool:
    """Whether nothing is left to do with this line; False when another came meanwhile, and this one's turn is next."""
    try:
        alone, _at = line_of(note, line, witness)
    except NotCosigned as error:
        log.warning("what was handed back is not kept: %s", error)
        return True
    if cosignatures and witness in checkpoint.verify(note + cosignatures, witness):
        return True
    if connection.execute(STORE, [alone, size, cosignatures]).rowcount != 1:
        return False
    seen = connection.execute(SEEN, [WITNESS + witness.name]).fetchone()
    if seen is None or seen[0] is None or seen[0] < size:
        connection.execute(DONE, [WITNESS + witness.name, size])
    return True
