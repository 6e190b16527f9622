"""Ways of tampering with a log, drawn at random: what the application may try, what the database's owner can do.

The owner disables the triggers, writes through the parent table or through the partition, and, in half of the cases,
mends whatever else the database says (search index, tiles, roots, watermark) so that it agrees with itself. Nobody
but the signer has the key; whoever runs both may put an older copy of its file back, and have a fork truly signed.
"""

import itertools
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker import clock
from broker.audit import leaf, merkle, tiles
from broker.audit.checkpoint import Checkpoint, Signer
from broker.audit.signer import Signed
from broker.audit.verification import SEARCHED

Statement = tuple[str, list[Any]]
TABLES = ("audit_event", "audit_index", "audit_tile", "audit_checkpoint", "audit_sequencer")


@dataclass(frozen=True)
class Event:
    """A row of audit_event that became a leaf; `table` is its partition."""

    id: int
    generation: int
    xid: str
    at_day: Any
    payload: str
    table: str


@dataclass(frozen=True)
class Log:
    """A log as its database holds it, all in memory; `checkpoints` are (size, note)."""

    events: list[Event]
    checkpoints: list[tuple[int, str]]
    signer: Signer

    @classmethod
    def read(cls, rows: Callable[[str], list], signer: Signer) -> "Log":
        events = rows(
            "SELECT id, generation, xid::text AS place, at_day, payload, tableoid::regclass::text FROM audit_event "
            "ORDER BY generation, xid, id"
        )
        notes = rows("SELECT size, note FROM audit_checkpoint ORDER BY size")
        return cls([Event(*row) for row in events], notes, signer)

    @cached_property
    def last(self) -> Checkpoint:
        return Checkpoint.open(self.checkpoints[-1][1], self.signer.verifier)

    def memory(self, size: int) -> Signed:
        """The signer's file as it was when it had signed `size` leaves."""
        hashes = [merkle.leaf_hash(event.payload.encode()) for event in self.events[:size]]
        return Signed(self.signer.verifier, size, merkle.root(hashes))


@dataclass(frozen=True)
class Tampering:
    """`kind`; `role` who does it, `via` which table; `memory` is the signer's file as it is left.

    `in_bundle`: a bundle of the whole log shows it (the search index is in none).
    """

    kind: str
    role: str
    via: str
    statements: list[Statement]
    memory: Signed
    in_bundle: bool = True


KINDS = ("change", "removal", "insertion", "swap", "truncation", "fork", "replaced checkpoint", "older signer file")


def draw(log: Log, seed: int, count: int) -> Iterator[Tampering]:
    """`count` tamperings, the same for the same seed and log."""
    chance = random.Random(seed)
    for _ in range(count):
        kind = chance.choice(KINDS)
        # The application has no way to the signer's file.
        role = "owner" if kind == "older signer file" else chance.choice(["application", "owner"])
        yield _Draft(log, chance, kind, role, chance.choice(["parent", "partition"])).make()


class _Draft:
    def __init__(self, log: Log, chance: random.Random, kind: str, role: str, via: str):
        self.log, self.chance, self.kind, self.role, self.via = log, chance, kind, role, via
        self.events = list(log.events)
        self.statements: list[Statement] = []
        self.memory = log.memory(log.last.size)
        self.in_bundle = True
        self.numbers = itertools.count(1_000_000)

    def make(self) -> Tampering:
        getattr(self, "_" + self.kind.replace(" ", "_"))()
        return Tampering(self.kind, self.role, self.via, self.statements, self.memory, self.in_bundle)

    def run(self, query: str, *values: Any) -> None:
        self.statements.append((query, list(values)))

    def table(self, event: Event) -> str:
        return event.table if self.via == "partition" else "audit_event"

    def place(self) -> int:
        return self.chance.randrange(len(self.events))

    def rewrite(self, place: int, payload: str) -> None:
        event = self.events[place]
        self.run(f"UPDATE {self.table(event)} SET payload = %s WHERE id = %s", payload, event.id)
        self.events[place] = replace(event, payload=payload)

    # --- the kinds ---
    def _change(self) -> None:
        place = self.place()
        payload = self.events[place].payload
        at = self.chance.randrange(len(payload))
        other = self.chance.choice([sign for sign in string.ascii_letters + string.digits if sign != payload[at]])
        self.rewrite(place, payload[:at] + other + payload[at + 1 :])
        self.mend_or_not()

    def _removal(self) -> None:
        event = self.events.pop(self.place())
        self.run(f"DELETE FROM {self.table(event)} WHERE id = %s", event.id)
        self.mend_or_not()

    def _insertion(self) -> None:
        self.add(self.chance.randrange(len(self.events) - 1))  # after the last one it would be an event like others
        self.mend_or_not()

    def add(self, before: int) -> None:
        """An event after that of place `before`: of the same transaction, with a later id."""
        near = self.events[before]
        event = replace(near, id=next(self.numbers), payload=self.invented(near))
        self.run(
            f"INSERT INTO {self.table(near)} (id, generation, xid, at_day, payload) OVERRIDING SYSTEM VALUE "
            "VALUES (%s, %s, %s::xid8, %s, %s)",
            event.id, event.generation, event.xid, event.at_day, event.payload,
        )  # fmt: skip
        self.events.insert(before + 1, event)

    def invented(self, near: Event) -> str:
        ours = leaf.ulid(clock.now())
        return near.payload.replace(leaf.parse(near.payload)["id"], ours)

    def _swap(self) -> None:
        one, two = self.chance.sample(range(len(self.events)), 2)
        first, second = self.events[one].payload, self.events[two].payload
        self.rewrite(one, second)
        self.rewrite(two, first)
        self.mend_or_not()

    def _truncation(self) -> None:
        if self.chance.random() < 0.5:
            self.cut(self.chance.randrange(1, len(self.events)))
            self.mend_or_not()
        else:
            self.cut_back()
            self.mend()

    def cut(self, size: int) -> None:
        gone, self.events = self.events[size:], self.events[:size]
        for table in sorted({self.table(event) for event in gone}):
            self.run(f"DELETE FROM {table} WHERE id = ANY(%s)", [event.id for event in gone])

    def cut_back(self) -> int:
        """To an older checkpoint of its own: a whole log in itself. Returns its size."""
        size = self.chance.choice(self.log.checkpoints[:-1])[0]
        self.cut(size)
        self.run("DELETE FROM audit_checkpoint WHERE size > %s", size)
        return size

    def _fork(self) -> None:
        """Another history from some leaf on; signed by nobody, by another key, or by our own."""
        since = self.chance.randrange(1, len(self.events))
        for place in range(since, len(self.events)):
            self.rewrite(place, self.invented(self.events[place]))
        if grown := self.chance.random() < 0.5:
            self.add(len(self.events) - 1)
        self.mend(sign=self.chance.choice([None, self.somebody(), self.log.signer]), grown=grown)

    def _replaced_checkpoint(self) -> None:
        size, note = place = self.chance.choice(self.log.checkpoints)
        root = Checkpoint.open(note, self.log.signer.verifier).root
        others = [c for c in self.log.checkpoints if c != place]
        odd = self.chance.randbytes(32)
        way = self.chance.choice(["root", "older note", "another key", "another log", "proof", "size", "removed"])
        self.in_bundle = size == self.log.last.size and way not in ("root", "proof", "removed")
        if way == "root":
            self.run("UPDATE audit_checkpoint SET root = %s WHERE size = %s", odd, size)
        elif way == "older note":
            self.run("UPDATE audit_checkpoint SET note = %s WHERE size = %s", self.chance.choice(others)[1], size)
        elif way == "another key":
            signed = self.somebody().sign(Checkpoint(self.log.signer.name, size, odd).text())
            self.run("UPDATE audit_checkpoint SET root = %s, note = %s WHERE size = %s", odd, signed, size)
        elif way == "another log":
            elsewhere = Signer("ailleurs.test/log", self.log.signer.private)
            signed = elsewhere.sign(Checkpoint(elsewhere.name, size, root).text())
            self.run("UPDATE audit_checkpoint SET note = %s WHERE size = %s", signed, size)
        elif way == "proof":
            self.run("UPDATE audit_checkpoint SET proof = proof || %s WHERE size = %s", odd, size)
        elif way == "size":
            free = set(range(1, len(self.events))) - {s for s, _ in self.log.checkpoints}
            self.run("UPDATE audit_checkpoint SET size = %s WHERE size = %s", self.chance.choice(sorted(free)), size)
        else:  # not the last one: the sequencer would have it signed again, to the same bytes
            self.run("DELETE FROM audit_checkpoint WHERE size = %s", self.chance.choice(self.log.checkpoints[:-1])[0])

    def _older_signer_file(self) -> None:
        """Alone; with the database cut back to it; and then with another history, signed with the true key."""
        if self.chance.random() < 0.4:
            self.memory = self.log.memory(self.chance.choice(self.log.checkpoints[:-1])[0])
            self.in_bundle = False
            return
        self.memory = self.log.memory(self.cut_back())
        if self.chance.random() < 0.4:
            self.mend()
            return
        for _ in range(self.chance.randrange(1, 2 * len(self.log.events))):
            self.add(len(self.events) - 1)
        self.mend(sign=self.log.signer, grown=True)

    def somebody(self) -> Signer:
        return Signer(self.log.signer.name, Ed25519PrivateKey.from_private_bytes(self.chance.randbytes(32)))

    # --- what a careful forger mends ---
    def mend_or_not(self) -> None:
        if self.chance.random() < 0.5:
            self.mend()

    def mend(self, *, sign: Signer | None = None, grown: bool = False) -> None:
        """Everything the database says besides the events; `sign` renews the last note, on the size reached."""
        if self.role == "application" and self.kind != "replaced checkpoint":
            return  # refused at the first statement; the others are tried as kinds of their own
        hashes = [merkle.leaf_hash(event.payload.encode()) for event in self.events]
        edge, last = tiles.Edge(), self.events[-1]
        stored = edge.grow(hashes)
        self.run("DELETE FROM audit_index")
        columns = "leaf_index, event_id, generation, xid, at, ulid, zone, actor, org, conv, obj, act, out, sub, purp"
        rows = [
            dict(
                zip(
                    columns.split(", "), [n, e.id, e.generation, e.xid, *SEARCHED(leaf.columns(e.payload))], strict=True
                )
            )
            for n, e in enumerate(self.events)
        ]
        self.run(
            f"INSERT INTO audit_index ({columns}) "
            f"SELECT {columns} FROM json_populate_recordset(NULL::audit_index, %s::json)",
            json.dumps(rows, default=lambda raw: "\\x" + raw.hex()),
        )
        self.run("DELETE FROM audit_tile")
        for (level, n), held in stored.items():
            self.run("INSERT INTO audit_tile (level, n, hashes) VALUES (%s, %s, %s)", level, n, held)
        self.run(
            "UPDATE audit_sequencer SET size = %s, last_generation = %s, last_xid = %s::xid8, last_id = %s",
            len(hashes), last.generation, last.xid, last.id,
        )  # fmt: skip
        before = 0
        for size, _ in self.log.checkpoints:
            if size > len(hashes):
                self.run("DELETE FROM audit_checkpoint WHERE size = %s", size)
                continue
            proof = b"".join(merkle.consistency_proof(before, hashes[:size])) if before else b""
            self.run("UPDATE audit_checkpoint SET root = %s, proof = %s WHERE size = %s",
                     merkle.root(hashes[:size]), proof, size)  # fmt: skip
            before = size
        sizes = [size for size, _ in self.log.checkpoints if size <= before]
        if grown:
            sizes.append(len(hashes))
            proof = b"".join(merkle.consistency_proof(before, hashes)) if before else b""
            note = self.somebody().sign(self.said(hashes))
            self.run("INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (%s, %s, %s, %s)",
                     len(hashes), merkle.root(hashes), note, proof)  # fmt: skip
        if sign is None:
            return
        for size in sizes:
            self.run("UPDATE audit_checkpoint SET note = %s WHERE size = %s", sign.sign(self.said(hashes[:size])), size)
        if sign is self.log.signer:
            self.memory = Signed(sign.verifier, len(hashes), merkle.root(hashes))

    def said(self, hashes: list[bytes]) -> str:
        return Checkpoint(self.log.signer.name, len(hashes), merkle.root(hashes)).text()
