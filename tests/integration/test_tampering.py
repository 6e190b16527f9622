"""Invariant 9: ten thousand random tamperings, a fixed seed, none missed; five hundred of them judged by Go too.

The application's attempts are refused by the database, every statement of them. What the owner does is done, found by
the database's verifier (with the signer's memory and the checkpoint that an auditor kept), and undone; of one in
seven a bundle is delivered, and found by the offline verifier.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction

from broker import clock
from broker.audit import bundle, leaf, verification
from broker.audit.kit import verify
from broker.audit.signer import Signing
from broker.errors import TerrainError
from tests import golang, postgres
from tests.logs import ORIGIN, one, rows, sequencing, write
from tests.tampering import TABLES, Log, Tampering, draw

SEED, COUNT, BY_GO = 20261123, 10_000, 500
EVERY = 7  # one tampering in so many is delivered as a bundle


@pytest.fixture
def log(committed, tmp_path):
    """13 leaves over three partitions, four checkpoints: small, so that ten thousand are played in a minute."""
    with sequencing(committed, tmp_path / "signer") as sequencer:
        now, long_ago = clock.real_now().date(), date(1999, 12, 31)
        for turn, day in enumerate([long_ago, now, now + timedelta(31), long_ago]):
            write(1, obj=("dataset", str(turn), "1"), zone="zone:a")
            for _ in range(2):
                append(day)
            sequencer.catch_up()
    return Log.read(rows, Signing(tmp_path / "signer", ORIGIN).signer)


def append(day: date) -> None:
    """One more event, of that day's partition, as the application."""
    (payload,) = one("SELECT payload FROM audit_event WHERE generation = 1 ORDER BY id DESC LIMIT 1")
    fresh = payload.replace(leaf.parse(payload)["id"], leaf.ulid(clock.now()))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO audit_event (at_day, payload) VALUES (%s, %s)", [day, fresh])


@dataclass
class Judged:
    """How each tampering ended: counts by (kind, role, table, how found), and those that somebody missed."""

    counts: Counter = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def of(self, tampering: Tampering, number: int, who: str, found: bool) -> None:
        self.counts[tampering.kind, tampering.role, tampering.via, who] += found
        if not found:
            self.missed.append(f"{who} missed number {number}, {tampering.kind} by the {tampering.role}")

    def settle(self) -> None:
        assert not self.missed, f"{len(self.missed)} missed: {self.missed[:5]}"

    def totals(self) -> Counter:
        """How many each judge found."""
        found: Counter = Counter()
        for (*_, who), n in self.counts.items():
            found[who] += n
        return found

    def table(self) -> str:
        lines = [f"{kind:<20}{role:<13}{via:<11}{who:<22}{n:>6}" for (kind, role, via, who), n in self.counts.items()]
        return "\n".join(sorted(lines))


def by_database(log: Log, tampering: Tampering) -> list[str]:
    """What the daily verification finds, with the signer's memory and a kept checkpoint."""
    seen = verification.seen(tampering.memory, [log.last])
    _, published, found = verification.examine(connection.connection, log.signer.verifier, seen)
    return found + verification.older_copy(tampering.memory, published)


def by_script(log: Log, archive: bytes) -> list[str]:
    """What verify.py finds in a delivered bundle, with the key and a checkpoint obtained elsewhere."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        content = {name: opened.read(name) for name in opened.namelist()}
    key = f"{log.signer.verifier}\n".encode()
    return verify.check(verify.Files(content), trusted_key=key, old=log.checkpoints[-1][1].encode())[0]


def delivered(log: Log) -> bytes | None:
    """The bundle of the whole log as the database stands, since the kept checkpoint where it is still known.

    None where no bundle can be made any more (no checkpoint is left, the genesis record or a tile cannot be read).
    """
    for since in (log.last.size, None):
        out = io.BytesIO()
        try:
            bundle.write(out, None, since=since)
            return out.getvalue()
        except (TerrainError, ValueError, LookupError):
            continue
    return None


@contextmanager
def as_owner():
    """Django's own connection as the owner of the tables, triggers disabled, and nothing kept of what is done."""
    role = connection.settings_dict["USER"]
    connection.close()
    connection.settings_dict["USER"] = "terrain_owner"
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_sort = off")
                for table in partitions():
                    cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield
            transaction.set_rollback(True)
    finally:
        connection.close()
        connection.settings_dict["USER"] = role


def together(tampering: Tampering) -> None:
    """Every statement of it in one message: ten thousand take a minute, not three."""
    cursor = psycopg.ClientCursor(connection.connection)
    cursor.execute("; ".join(cursor.mogrify(query, values) for query, values in tampering.statements))


def partitions() -> list[str]:
    found = rows(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = ANY(%s)", list(TABLES)
    )
    return [*TABLES, *(name for (name,) in found)]


def attempt(database: str, log: Log, drawn: list[tuple[int, Tampering]], judged: Judged) -> None:
    """Every statement of the application's attempts, each in a transaction of its own."""
    with psycopg.connect(postgres.cluster().url("terrain_app", database), autocommit=True) as link:
        for number, tampering in drawn:
            refused = 0
            for query, values in tampering.statements:
                try:
                    link.execute(query, values)
                except psycopg.errors.InsufficientPrivilege:
                    refused += 1
            judged.of(tampering, number, "refused", refused == len(tampering.statements))


def play(
    database: str,
    log: Log,
    count: int,
    folder: Path,
    *,
    database_judge: Callable[[Log, Tampering], list[str]] = by_database,
    script_judge: Callable[[Log, bytes], list[str]] = by_script,
) -> tuple[Judged, list[tuple[int, Tampering, Path]]]:
    """Draw and play `count` tamperings; (how they were judged, the bundles kept for Go)."""
    judged, seen_in_bundle = Judged(), 0
    archives: list[tuple[int, Tampering, Path]] = []
    drawn = list(enumerate(draw(log, SEED, count)))
    attempt(database, log, [(n, t) for n, t in drawn if t.role == "application"], judged)
    with as_owner():
        whole = Tampering("none", "owner", "parent", [], log.memory(log.last.size))
        assert by_database(log, whole) == []
        assert by_script(log, delivered(log) or b"") == []
        for number, tampering in drawn:
            if tampering.role == "application":
                continue
            with transaction.atomic():
                together(tampering)
                judged.of(tampering, number, "database verifier", bool(database_judge(log, tampering)))
                seen_in_bundle += tampering.in_bundle
                if tampering.in_bundle and seen_in_bundle % EVERY == 0:
                    archive = delivered(log)
                    if archive is None:
                        seen_in_bundle -= 1  # the next one is delivered instead
                        transaction.set_rollback(True)
                        continue
                    judged.of(tampering, number, "verify.py", bool(script_judge(log, archive)))
                    if len(archives) < BY_GO:
                        path = folder / f"{number}.zip"
                        path.write_bytes(archive)
                        archives.append((number, tampering, path))
                transaction.set_rollback(True)
        assert by_database(log, whole) == []
    assert rows("SELECT payload FROM audit_event ORDER BY generation, xid, id") == [(e.payload,) for e in log.events]
    return judged, archives


def judge_by_go(program, log: Log, folder: Path, archives, judged: Judged) -> None:
    (folder / "key").write_text(f"{log.signer.verifier}\n")
    (folder / "kept").write_text(log.checkpoints[-1][1])
    trusted = ["-key", str(folder / "key"), "-old", str(folder / "kept")]
    said = golang.judge(program, [path for _, _, path in archives], *trusted)
    for (number, tampering, _), line in zip(archives, said, strict=True):
        judged.of(tampering, number, "Go", line.startswith("FAIL "))


def test_ten_thousand_tamperings_are_all_found(committed, log, tmp_path, capsys):
    judged, archives = play(committed, log, COUNT, tmp_path)
    lacking = golang.lacking()
    if not lacking:
        judge_by_go(golang.build(tmp_path), log, tmp_path, archives, judged)

    with capsys.disabled():
        print(f"\nseed {SEED}\n{judged.table()}" + (f"\nnot judged by Go: {lacking}" if lacking else ""))
    judged.settle()
    totals = judged.totals()
    assert totals["refused"] + totals["database verifier"] == COUNT
    assert totals["verify.py"] >= BY_GO
    assert totals["Go"] == (0 if lacking else BY_GO)


def test_a_verifier_that_accepts_everything_fails_this_test(committed, log, tmp_path):
    accepting = tmp_path / "accepting"
    accepting.write_text('#!/bin/sh\nshift 4\nfor path; do echo "OK $path: fine"; done\n')
    accepting.chmod(0o755)

    judged, archives = play(committed, log, 200, tmp_path, database_judge=lambda *_: [], script_judge=lambda *_: [])
    judge_by_go(accepting, log, tmp_path, archives, judged)

    asked = Counter(line.split(" missed ")[0] for line in judged.missed)
    assert asked == {
        "database verifier": 200 - sum(judged.counts.values()),
        "verify.py": len(archives),
        "Go": len(archives),
    }
    with pytest.raises(AssertionError, match="missed"):
        judged.settle()


def test_a_careful_forger_is_found_by_what_was_kept_outside_alone(committed, log, tmp_path):
    """Cut back, or forked and signed by the true key, the database agrees with itself in every word."""
    at_peace: Counter = Counter()
    with as_owner():
        for tampering in draw(log, SEED, 300):
            if tampering.role == "owner" and tampering.kind in ("truncation", "fork", "older signer file"):
                with transaction.atomic():
                    together(tampering)
                    _, _, found = verification.examine(connection.connection, log.signer.verifier)
                    at_peace[tampering.kind] += found == []
                    assert by_database(log, tampering), tampering.kind
                    transaction.set_rollback(True)

    assert min(at_peace[kind] for kind in ("truncation", "fork", "older signer file")) >= 5, at_peace
