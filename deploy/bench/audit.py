"""`make bench WHAT=audit`: what the log costs, beside a plain INSERT of the same bytes, in the same run.

BENCH_EVENTS is the size of the log that is searched and verified (200,000 unless told); figures named `_1m` are given
only at a million events or, where the work is linear, scaled to a million and said so in the notes. Beyond a million
(`make bench-long`: ten) only sequencing and searches are measured.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import psycopg

from deploy.bench import Figures
from deploy.bench.__main__ import owner_url
from deploy.postgres import Cluster, binaries

EVENTS = int(os.environ.get("BENCH_EVENTS", 200_000))
ROUNDS, ROUND_SECONDS = 9, 2
MILLION = 1_000_000
# One event as the application writes it, about 550 bytes.
PAYLOAD = json.dumps(
    {
        "act": "zone.create", "actor": {"auth": "mfa", "id": "p:" + "0" * 32, "kind": "person"},
        "at": "2026-11-22T10:00:00.000000Z", "basis": "", "conv": "cv:CV-2026-0001@1", "d": "sha256:" + "0" * 64,
        "id": "01KANXXXXXXXXXXXXXXXXXXXXX", "ip": "10.0.0.0/24", "n": None,
        "obj": {"id": "1", "type": "zone", "ver": ""}, "on_behalf": "", "org": "org:1", "out": "allow", "policy": "",
        "purp": "", "reason": [], "req": "0" * 32, "sub": None, "tool": "terrain/1", "v": 1, "zone": "zone:z1",
    },
    separators=(",", ":"),
)  # fmt: skip

# Events as the application writes them, one in 86 ms (a million a day): 200 persons, 5,000 objects, one in ten about
# a subject, one in twenty refused.
GENERATE = """
    INSERT INTO audit_event (at_day, payload)
    SELECT current_date, '{"act":"data.download","actor":{"auth":"mfa","id":"p:' || md5((i %% 200)::text)
      || '","kind":"person"},"at":"'
      || to_char(now() AT TIME ZONE 'UTC' - make_interval(secs => (%(n)s::int - i) * 0.086),
                 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z","basis":"","conv":"cv:CV-2026-'
      || lpad((i %% 300)::text, 4, '0') || '@1","d":null,"id":"01KAN' || upper(substring(md5(i::text) FOR 21))
      || '","ip":"10.0.0.0/24","n":null,"obj":{"id":"' || i %% 5000 || '","type":"release","ver":""},'
      || '"on_behalf":"","org":"org:' || i %% 120 || '","out":"' || CASE WHEN i %% 20 = 0 THEN 'deny' ELSE 'allow' END
      || '","policy":"","purp":"experimentation","reason":[],"req":"' || md5('r' || i) || '","sub":'
      || CASE WHEN i %% 10 = 0 THEN '"p:' || md5('s' || i %% 50000) || '"' ELSE 'null' END || ','
      || '"tool":"terrain/1","v":1,"zone":"zone:z' || i %% 12 || '"}'
    FROM generate_series(%(first)s::int, %(last)s::int) AS i
"""

# What a month's report reads: one organisation's acts by outcome and purpose.
MONTH = """
    SELECT act, out, purp, sum(n) FROM audit_rollup_day
    WHERE day > current_date - 31 AND org = %s GROUP BY act, out, purp ORDER BY sum(n) DESC
"""


def p95(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=100)[94]


def _row(connection: psycopg.Connection, query: str, values: Sequence = ()) -> tuple:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None, query  # noqa: S101
    return row


def measure() -> Figures:
    figures = Figures()
    scratch = Path(tempfile.mkdtemp(prefix="terrain-bench-"))
    try:
        with psycopg.connect(owner_url(), autocommit=True) as owner:
            for name in ("fsync", "synchronous_commit", "shared_buffers"):
                figures.settings[name] = _row(owner, f"SHOW {name}")[0]
            figures.settings["events"] = EVENTS
            if EVENTS <= MILLION:
                appends(figures, owner, scratch)
                record_cost(figures)
            sequence(figures, owner, scratch)
            searches(figures)
            proofs(figures)
            if EVENTS <= MILLION:
                verification(figures, scratch)
                latency(figures, scratch)
    finally:
        shutil.rmtree(scratch)
    return figures


def appends(figures: Figures, owner: psycopg.Connection, scratch: Path) -> None:
    """pgbench, one INSERT a transaction, the two tables in turn; the median of the paired ratios."""
    owner.execute("CREATE TABLE bench_plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                  "at timestamptz NOT NULL DEFAULT clock_timestamp(), payload text NOT NULL)")  # fmt: skip
    scripts = {}
    for name, insert in (
        ("plain", "INSERT INTO bench_plain (payload) VALUES"),
        ("event", "INSERT INTO audit_event (at_day, payload) VALUES"),
    ):
        values = f"('{PAYLOAD}')" if name == "plain" else f"(current_date, '{PAYLOAD}')"
        scripts[name] = scratch / f"{name}.sql"
        scripts[name].write_text(f"{insert} {values};\n")
    pgbench = binaries() / "pgbench"
    if not pgbench.exists():
        figures.notes.append("no pgbench beside this PostgreSQL: append ratios not measured")
        return
    url = os.environ["DATABASE_URL"]
    for writers in (4, 16):
        ratios = []
        for _ in range(ROUNDS):
            rate = {name: _pgbench(pgbench, url, script, writers) for name, script in scripts.items()}
            ratios.append(rate["event"] / rate["plain"])
        figures.add(f"append_over_insert_{writers}_writers", statistics.median(ratios), "x")
    figures.add("wal_over_insert", statistics.median(_wal_ratios(owner, url, scripts)), "x")


def _wal_ratios(owner: psycopg.Connection, url: str, scripts: dict[str, Path]) -> list[float]:
    """Bytes of WAL of an event over those of a plain INSERT, by rounds of 500 in turn.

    The WAL is the cluster's: a round in which the server vacuumed the rows of the rounds before is not the median.
    """
    ratios = []
    with psycopg.connect(url, autocommit=True) as writer:
        for _ in range(ROUNDS):
            written = {}
            for name, script in scripts.items():
                insert = script.read_text()
                before = _row(owner, "SELECT pg_current_wal_insert_lsn()")[0]
                for _ in range(500):
                    writer.execute(insert)
                written[name] = _row(owner, "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [before])[0]
            ratios.append(float(written["event"] / written["plain"]))
    return ratios


def _pgbench(program: Path, url: str, script: Path, writers: int) -> float:
    done = subprocess.run(
        [str(program), "-n", "-c", str(writers), "-j", "2", "-T", str(ROUND_SECONDS), "-f", str(script), url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rates = [line for line in done.stdout.splitlines() if line.startswith("tps =")]
    if not rates:
        raise RuntimeError(f"pgbench ended no transaction in {ROUND_SECONDS} s: this machine is too busy to measure")
    return float(rates[0].split()[2])


def record_cost(figures: Figures) -> None:
    """One business row a transaction, with and without `record`, in turn; the difference of the medians."""
    from django.db import connection, transaction

    from broker.audit.actions import record
    from broker.audit.actor import Actor

    actor = Actor("user:1", auth="mfa", org="org:1")
    took: dict[bool, list[float]] = {True: [], False: []}
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute("CREATE TABLE bench_business (v text)")
    for turn in range(1200):
        recorded = bool(turn % 2)
        began = time.perf_counter()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO bench_business VALUES ('x')")
            if recorded:
                record("zone.create", by=actor, obj=("zone", "1"), zone="zone:1", detail={"motif": "mesure"})
        took[recorded].append((time.perf_counter() - began) * 1000)
    figures.add(
        "record_through_application_added_median", statistics.median(took[True]) - statistics.median(took[False]), "ms"
    )


def _sequencer(scratch: Path):
    from broker import clock
    from broker.audit.sequencer import Sequencer
    from broker.audit.signer import Signing

    url = Cluster(Path(__file__).resolve().parent.parent.parent / "var" / "bench").url("terrain_seq", "bench")
    link = psycopg.connect(url, autocommit=True)
    sequencer = Sequencer(link, Signing(scratch / "signer", "terrain.bench/log"))
    sequencer.start(at=clock.now())
    return sequencer


def sequence(figures: Figures, owner: psycopg.Connection, scratch: Path) -> None:
    """EVENTS events already committed: leaves a second until index, tiles and checkpoints stand; bytes in all."""
    sequencer = _sequencer(scratch)
    sequencer.catch_up()
    size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname ~ '^audit_' AND relkind = 'r'"
    before, placed = int(_row(owner, size)[0]), sequencer.size
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as writer:
        for first in range(1, EVENTS + 1, 20_000):
            last = min(first + 19_999, EVENTS)
            writer.execute(GENERATE, {"n": EVENTS, "first": first, "last": last})
        payload = _row(writer, "SELECT avg(octet_length(payload)) FROM audit_event WHERE id > %s", [placed])
    began = time.perf_counter()
    sequencer.catch_up()
    seconds = time.perf_counter() - began
    figures.add("sequence_and_index", (sequencer.size - placed) / seconds, "leaves/s")
    owner.execute("VACUUM (ANALYZE) audit_event")
    owner.execute("VACUUM (ANALYZE) audit_index")
    figures.add("bytes_per_event", (int(_row(owner, size)[0]) - before) / EVENTS, "B")
    figures.settings["payload_bytes_mean"] = round(float(payload[0]))
    sequencer.connection.close()


def searches(figures: Figures) -> None:
    """The first page of each kind of question, 60 times in turn; p95 of all, and of each kind in the notes."""
    from datetime import UTC, datetime, timedelta

    from django.db import connection

    from broker.audit import search

    now = datetime.now(UTC)
    took: dict[str, list[float]] = {}
    for turn in range(60):
        began_at = now - timedelta(hours=3 + turn % 20)
        queries = {
            "actor": search.Query(actor=(_token(str(turn % 200)),)),
            "subject": search.Query(sub=(_token(f"s{(turn + 1) * 10}"),)),
            "object": search.Query(obj=(f"release:{turn * 7}",)),
            "hour": search.Query(since=began_at, until=began_at + timedelta(hours=1)),
            "refusals": search.Query(out=("deny", "error")),
            "zone and act": search.Query(zone=(f"zone:z{turn % 12}",), act=("data.download",)),
        }
        for kind, query in queries.items():
            began = time.perf_counter()
            found = search.page(query)
            took.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
            if turn == 0 and not found.entries:
                figures.notes.append(f"a search of the bench finds nothing: {query}")
    size = {MILLION: "1m", 10 * MILLION: "10m"}.get(EVENTS, str(EVENTS))
    figures.add(f"search_first_page_p95_{size}", p95([ms for kind in took.values() for ms in kind]), "ms")
    figures.notes.append("first page, p95 in ms: " + ", ".join(f"{kind} {p95(ms):.1f}" for kind, ms in took.items()))
    reports = []
    for turn in range(60):
        began = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(MONTH, [f"org:{turn % 120}"])
            cursor.fetchall()
        reports.append((time.perf_counter() - began) * 1000)
    figures.add(f"month_report_p95_{size}", p95(reports), "ms")


def _token(text: str) -> bytes:
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


def proofs(figures: Figures) -> None:
    """One inclusion proof over HTTP, 200 times, at places spread over the log; p95."""
    from django.test import Client

    from broker.audit import state

    published = state.checkpoint()
    assert published is not None  # noqa: S101
    size, client, took = published.size, Client(), []
    for turn in range(200):
        began = time.perf_counter()
        answer = client.get(f"/log/preuve/{turn * 7919 % size}")
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200  # noqa: S101
    figures.add("inclusion_proof_http_p95", p95(took), "ms")
    figures.notes.append("inclusion_proof_http_p95: the whole Django request, without the socket")


def verification(figures: Figures, scratch: Path) -> None:
    """The bundle of the whole log, then its own script alone: seconds for a million leaves, scaled from those there."""
    from broker.audit import bundle

    with (scratch / "dossier.zip").open("wb") as out:
        began = time.perf_counter()
        made = bundle.write(out, None, most_whole=sys.maxsize)
        figures.add(f"bundle_of_{made.entries}_entries", time.perf_counter() - began, "s")
    with zipfile.ZipFile(scratch / "dossier.zip") as archive:
        archive.extractall(scratch / "dossier")
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "verify.py"], cwd=scratch / "dossier", check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    figures.add("verify_1m_leaves", statistics.median(seconds) * MILLION / made.entries, "s")
    figures.notes.append(f"verify_1m_leaves: {statistics.median(seconds):.2f} s for {made.entries} leaves, scaled")


def latency(figures: Figures, scratch: Path) -> None:
    """About 1,000 commits a second for ten seconds: from each commit to the first checkpoint that holds its leaf."""
    sequencer, stop = _sequencer(scratch), threading.Event()
    begun = sequencer.size

    def turn():
        while not stop.is_set():
            if not sequencer.catch_up():
                stop.wait(0.2)

    def write():
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as writer:
            began = time.monotonic()
            for number in range(2500):
                writer.execute("INSERT INTO audit_event (at_day, payload) VALUES (current_date, %s)", [PAYLOAD])
                time.sleep(max(0.0, began + number / 250 - time.monotonic()))

    working = threading.Thread(target=turn)
    working.start()
    writers = [threading.Thread(target=write) for _ in range(4)]
    began = time.monotonic()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rate = 10_000 / (time.monotonic() - began)
    time.sleep(1)
    stop.set()
    working.join()
    row = _row(
        sequencer.connection,
        "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM c.published_at - e.recorded_at)) "
        "FROM audit_index i JOIN audit_event e ON (e.generation, e.xid, e.id) = (i.generation, i.xid, i.event_id) "
        "CROSS JOIN LATERAL "
        "(SELECT published_at FROM audit_checkpoint WHERE size > i.leaf_index ORDER BY size LIMIT 1) c "
        "WHERE i.leaf_index >= %s",
        [begun],
    )
    figures.add("commit_to_checkpoint_p99_at_1000_per_s", float(row[0]), "s")
    figures.notes.append(f"commit_to_checkpoint: {rate:.0f} commits/s reached, writers and sequencer in one process")
    sequencer.connection.close()
