"""The auditor's kit: a zip that proves what it says without us. Contents and limits: kit/LISEZMOI.md.

The whole log carries no proof an entry, since its root says all; a selection carries leaf 0 (which names the key)
and one tlog-proof for each entry.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction

from broker import clock
from broker.audit import checkpoint, merkle, search, state, tiles, witnesses
from broker.audit.sequencer import IN_ORDER
from broker.errors import BadInput, WrongState

KIT = Path(__file__).parent / "kit"
MOST = 10_000  # entries of a selection
MOST_WHOLE = 200_000  # entries of the whole log by the page; beyond, `manage.py audit_bundle`
CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Made:
    """What a bundle holds: its form, its entries, the checkpoint it leads to."""

    form: str
    entries: int
    size: int
    root: str


class _Zip:
    """A zip that remembers the SHA-256 of what it took."""

    def __init__(self, out: IO[bytes]):
        self.zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
        self.digests: dict[str, str] = {}

    def add(self, name: str, content: str | bytes) -> None:
        raw = content.encode() if isinstance(content, str) else content
        self.digests[name] = hashlib.sha256(raw).hexdigest()
        self.zip.writestr(name, raw)

    def add_lines(self, name: str, lines) -> None:
        """A long file, line by line."""
        digest = hashlib.sha256()
        with self.zip.open(name, "w", force_zip64=True) as file:
            for line in lines:
                file.write(line)
                digest.update(line)
        self.digests[name] = digest.hexdigest()

    def close(self) -> None:
        self.zip.writestr("MANIFEST.sha256", "".join(f"{d}  {name}\n" for name, d in sorted(self.digests.items())))
        self.zip.close()


def write(
    out: IO[bytes],
    query: search.Query | None,
    *,
    question: dict[str, Any] | None = None,
    since: int | None = None,
    details: bool = False,
    most_whole: int = MOST_WHOLE,
) -> Made:
    """Write the bundle of `query` (None: the whole log) to `out`, up to the last published checkpoint.

    `question` is told in dossier.json; `since` is the size of a checkpoint published earlier, from which a proof of
    consistency is wanted; `details` adds the erasable details. Raises WrongState before the first checkpoint,
    BadInput for a bundle that would be too large or a `since` that was never published.
    """
    last, verifier = state.checkpoint(), state.verifier()
    if last is None or verifier is None:
        raise WrongState("Le journal n'a encore aucun checkpoint signé : réessayez dans un instant.")
    if query is None and last.size > most_whole:
        raise BadInput(
            f"Le journal entier compte {last.size} entrées : demandez-le à l'exploitant (manage.py audit_bundle), "
            "ou précisez votre question."
        )
    if query is not None and search.count(query, below=last.size, most=MOST + 1) > MOST:
        raise BadInput(f"Plus de {MOST} entrées répondent à cette question : précisez la période ou l'acteur.")
    old = state.checkpoint(since) if since is not None else None
    if since is not None and (old is None or old.size > last.size):
        raise BadInput(f"Aucun checkpoint n'a été publié à la taille {since} : reprenez celle du vôtre, 2e ligne.")
    node = tiles.node_reader(state.read_tile)
    bundle = _Zip(out)
    form = "whole" if query is None else "selection"
    entries: list[tuple[int, str, str, int]] = []

    def lines():
        found = _whole(last.size) if query is None else _selected(query, last.size)
        for index, event_id, payload in found:
            raw = payload.encode()
            ulid = _ulid(payload)
            entries.append((index, merkle.leaf_hash(raw).hex(), ulid, event_id))
            yield raw + b"\n"

    bundle.add_lines("entries.jsonl", lines())
    bundle.add("index.tsv", "".join(f"{index}\t{digest}\t{ulid}\n" for index, digest, ulid, _ in entries))
    bundle.add("checkpoint", last.signed)
    bundle.add("cle-publique.txt", f"{verifier}\n")
    if query is not None:
        for index, *_ in entries:
            path = merkle.inclusion_path(index, last.size, node)
            bundle.add(f"preuves/{index}.tlog-proof", checkpoint.proof_file(index, path, last.signed))
    if old is not None:
        path = merkle.consistency_path(old.size, last.size, node)
        hashes = [old.root, *path]
        bundle.add("coherence.txt", "".join(f"{line}\n" for line in [old.size, *map(checkpoint.to_base64, hashes)]))
    if not last.cosignatures and (seen := state.witnessed(last.size)):
        path = merkle.consistency_path(seen.size, last.size, node)
        bundle.add("temoins/checkpoint", seen.signed)
        bundle.add("temoins/coherence", witnesses.request(seen.size, path, last.signed))
    if stamped := _stamped(last.size):
        bundle.add("horodatage/checkpoint", stamped[0])
        bundle.add("horodatage/checkpoint.tsr", bytes(stamped[1]))
    if details:
        bundle.add_lines("details.jsonl", _details(entries))
    about = {
        "form": form,
        "question": question or {},
        "origin": verifier.name,
        "size": last.size,
        "entries": len(entries),
        "made_at": clock.now().isoformat(),
    }
    bundle.add("dossier.json", json.dumps(about, ensure_ascii=False, indent=1, default=str) + "\n")
    for name in ("LISEZMOI.md", "README.md", "schema.json", "verify.go", "verify.py"):
        bundle.add(name, (KIT / name).read_bytes())
    bundle.close()
    return Made(form, len(entries), last.size, last.root.hex())


def _whole(size: int):
    """(index, event id, payload) of the first `size` leaves, read in the order that made them leaves."""
    mark, index = (-1, "0", 0), 0
    while index < size:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(IN_ORDER.format("LOCAL"))
            cursor.execute(
                "SELECT e.id, e.generation, e.xid::text AS place, e.payload FROM audit_event e "
                "WHERE (e.generation, e.xid, e.id) > (%s, %s::xid8, %s) ORDER BY e.generation, e.xid, e.id LIMIT %s",
                [*mark, min(CHUNK, size - index)],
            )
            rows = cursor.fetchall()
        if not rows:
            return  # a removed event: the verifier will say so
        for event_id, _, _, payload in rows:
            yield index, event_id, payload
            index += 1
        mark = (rows[-1][1], rows[-1][2], rows[-1][0])


def _selected(query: search.Query, size: int):
    """The entries of `query`, after leaf 0, which names the key."""
    first = next(search.ascending(search.Query(), below=1, most=1))
    yield first.leaf_index, first.event_id, first.payload
    for entry in search.ascending(query, below=size, most=MOST):
        if entry.leaf_index:
            yield entry.leaf_index, entry.event_id, entry.payload


def _ulid(payload: str) -> str:
    try:
        return str(json.loads(payload)["id"])
    except (ValueError, KeyError, TypeError):
        return ""


def _stamped(size: int):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT note, tsr FROM audit_checkpoint WHERE tsr IS NOT NULL AND size <= %s ORDER BY size DESC LIMIT 1",
            [size],
        )
        return cursor.fetchone()


def _details(entries):
    places = {event_id: index for index, _, _, event_id in entries}
    numbers = sorted(places)
    for start in range(0, len(numbers), CHUNK):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT event_id, salt, body FROM audit_detail WHERE event_id = ANY(%s) ORDER BY event_id",
                [numbers[start : start + CHUNK]],
            )
            rows = cursor.fetchall()
        for event_id, salt, body in rows:
            row = {"leaf_index": places[event_id], "salt": bytes(salt).hex(), "body": body}
            yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
