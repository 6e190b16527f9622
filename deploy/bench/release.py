"""How long a release takes: the demo's own, and large tables against a plain copy and two common ways to do without us.

`demo_release_request_to_ready`: from the named person's request to the state "ready", by a worker that was already
running: gate, queue, unsealing, build in its own process, sealing, receipts, index of subjects (101,766 stays).

`full_over_copy_10m`: the process of the engine, as the worker starts it (objections, pseudonyms, shift, bands, k by
subjects, identifiers searched, sort, SHA-256, age), over a process in which the same engine copies the same Parquet
file into another; threads, memory, zstd, row group and input are the same. Rounds are interleaved, medians compared.
`full_over_copy_cpu_10m`: the same by processor time of the two processes, which a busy machine disturbs less.
`full_peak_memory_10m`: the most that the engine's process held in memory, as the kernel counts.
`plan_preview_1m`: the same process, asked what a release of the million rows would be: figures, no file.
`growth_50m_over_10m`: only where both are measured (`make bench WHAT=release ROWS=10,50`).
`*_over_full_cpu_1m`: processor time of a loop over csv and hmac, and of presidio-anonymizer's hash, over the build's.

ROWS: millions of rows of the tables to measure, "1,10" unless told. MINUTES: after so many on one table no further
round is begun (8 unless told, one round at least): the rounds made stand among the settings. Each is told as it ends.
"""

import csv
import datetime
import hashlib
import hmac
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from deploy.bench import Figures, hospital

RUNS = 5
ROUNDS = 5
THREADS = 2
MEMORY_MIB = 2048
MILLION = 1_000_000
KEY, TOKEN_KEY = "5e" * 32, "7a" * 32


def measure() -> Figures:
    from django.conf import settings

    from tests import releasing

    figures = Figures()
    folder = Path(settings.VAR)
    (folder / "keys").mkdir(mode=0o700, exist_ok=True)
    ready = releasing.convention_on_stays(folder, lines=None, releases_per_month=100)
    _request_to_ready(figures, ready)
    large(figures, folder / "large", sizes=sorted({int(n) for n in os.environ.get("ROWS", "1,10").split(",")}))
    return figures


def _request_to_ready(figures: Figures, ready) -> None:
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "procrastinate", "worker", "--queues", "builds", "--concurrency", "1"],
        env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _ready(ready)  # the worker has started and read its modules
        taken, steps = [], {}
        for _run in range(RUNS):
            seconds, steps = _ready(ready)
            taken.append(seconds)
    finally:
        worker.terminate()
        worker.wait()
    figures.add("demo_release_request_to_ready", statistics.median(taken), "s")
    figures.add("demo_release_request_to_ready_slowest", max(taken), "s")
    figures.settings |= {
        "rows": 101_766,
        "runs": RUNS,
        "memory_mib": os.environ.get("TERRAIN_BUILD_MEMORY_MIB", "1024"),
    }
    figures.notes += [f"  {at:5.2f} s  {step}" for step, at in steps.items()]


def _ready(ready) -> tuple[float, dict[str, float]]:
    """Seconds from the request to ready, and when each step was first seen."""
    begun = time.perf_counter()
    release = ready.ask()
    steps = {"décision enregistrée, tâche déposée": time.perf_counter() - begun}
    while release.status in ("queued", "building"):
        time.sleep(0.02)
        release.refresh_from_db()
        steps.setdefault(release.progress.get("step", ""), time.perf_counter() - begun)
        if time.perf_counter() - begun > 120:
            raise RuntimeError(f"the release is {release.status} after 120 s: {release.progress}")
    if release.status != "ready":
        raise RuntimeError(release.problem)
    return time.perf_counter() - begun, steps


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took: wall and processor seconds, the most it held in memory (bytes), its last line."""

    wall: float
    cpu: float
    peak: int
    said: str


def _process(command: list[str], *, given: str = "") -> Run:
    """Run `command` with `given` on its standard input. Raises RuntimeError when it does not end well."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    process.stdin.write(given)
    process.stdin.close()
    said = process.stdout.read()
    _pid, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"{command[1:3]} ended with {process.returncode}: {said[-500:]}")
    last = said.splitlines()[-1] if said else ""
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, last)


@dataclass(slots=True)
class Table:
    """A made-up table on disk and what the engine is told of it."""

    folder: Path
    rows: int
    source: Path
    opposed: list[str]
    recipient: str

    def build(self, recipe: dict, **more) -> Run:
        scratch = self.folder / "scratch"
        job = {
            "recipe": recipe, "source": str(self.source), "output": str(self.folder / "out.age"),
            "scratch": str(scratch), "recipients": [self.recipient], "pseudonym_key": KEY, "token_key": TOKEN_KEY,
            "opposed": self.opposed, "consented": [], "memory_mib": MEMORY_MIB, "threads": THREADS,
            **more,
        }  # fmt: skip
        try:
            return _process([sys.executable, "-m", "broker.releases.engine"], given=json.dumps(job))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def copy(self) -> Run:
        return _process([sys.executable, "-c", COPY, str(self.source), str(self.folder / "copy"), str(hospital.GROUP)])


COPY = f"""
import sys
import duckdb
source, target, group = sys.argv[1:]
with duckdb.connect() as engine:
    engine.execute("SET threads = {THREADS}; SET memory_limit = '{MEMORY_MIB}MiB'; SET enable_progress_bar = false")
    engine.execute(f"SET temp_directory = '{{target}}.spill'")
    engine.execute(f"COPY (FROM read_parquet('{{source}}')) TO '{{target}}' "
                   f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {{group}})")
"""


def large(figures: Figures, folder: Path, *, sizes: list[int]) -> None:
    """Tables of so many millions of rows."""
    import duckdb

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    figures.settings |= {"threads": THREADS, "memory_mib_large": MEMORY_MIB, "rows_millions": sizes}
    walls = {}
    try:
        for millions in sizes:
            table = _table(figures, folder, millions)
            walls[millions] = _over_copy(figures, table, rounds=1 if millions == 50 else ROUNDS)
            if millions == 1:
                _by_other_means(figures, table)
                _previewed(figures, table)
            table.source.unlink()
        if {10, 50} <= set(walls):
            figures.add("growth_50m_over_10m", walls[50] / walls[10], "x")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures.settings["duckdb"] = duckdb.__version__


def _table(figures: Figures, folder: Path, millions: int) -> Table:
    import pyrage

    source = folder / f"stays-{millions}m.parquet"
    # In a process of its own: the kernel counts a child's memory from what its parent held when it began.
    made = _process([sys.executable, "-m", "deploy.bench.release", "table", str(source), str(millions * MILLION)])
    objecting, classes, small = json.loads(made.said)
    if not 1000 <= classes < 10_000:
        raise RuntimeError(f"{classes} classes of quasi-identifiers: not a table to measure with")
    tokens = [hmac.digest(TOKEN_KEY.encode(), one.encode(), "sha256").hex() for one in objecting]
    figures.notes.append(
        f"  {millions} M rows: {classes} classes ({small} small), {len(tokens)} subjects object, "
        f"{source.stat().st_size / 1e6:.0f} MB of Parquet"
    )
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    return Table(folder, millions * MILLION, source, sorted(tokens), recipient)


def _over_copy(figures: Figures, table: Table, *, rounds: int) -> float:
    """Interleaved rounds of the copy and of the build; the median wall time of the build."""
    import duckdb

    size = f"{table.rows // MILLION}m"
    asked = hospital.recipe(duckdb=duckdb.__version__)
    copies, builds = [], []
    begun, minutes = time.perf_counter(), float(os.environ.get("MINUTES", "8"))
    while len(builds) < rounds and (not builds or time.perf_counter() - begun < 60 * minutes):
        copies.append(table.copy())
        builds.append(table.build(asked))
        last = (("copy", copies[-1]), ("full", builds[-1]))
        told = ", ".join(f"{name} {run.wall:.2f} s (processor {run.cpu:.2f} s)" for name, run in last)
        print(f"  {size}: {told}, {builds[-1].peak / 2**30:.2f} GiB", file=sys.stderr, flush=True)
    figures.settings[f"rounds_{size}"] = len(builds)
    plain, full = (statistics.median(run.wall for run in runs) for runs in (copies, builds))
    plain_cpu, full_cpu = (statistics.median(run.cpu for run in runs) for runs in (copies, builds))
    figures.add(f"full_over_copy_{size}", full / plain, "x")
    figures.add(f"full_over_copy_cpu_{size}", full_cpu / plain_cpu, "x")
    figures.add(f"full_{size}", full, "s")
    figures.add(f"copy_{size}", plain, "s")
    figures.add(f"full_cpu_{size}", full_cpu, "s")
    figures.add(f"copy_cpu_{size}", plain_cpu, "s")
    figures.add(f"full_peak_memory_{size}", max(run.peak for run in builds) / 2**30, "GiB")
    if table.rows == MILLION:
        bounded = [table.build(hospital.recipe(duckdb=duckdb.__version__, clip=True)).wall for _round in range(3)]
        figures.add(f"full_clipped_over_full_{size}", statistics.median(bounded) / full, "x")
    result = json.loads(builds[-1].said)["result"]
    figures.notes += [
        f"  {size}: copies " + " ".join(f"{run.wall:.2f}" for run in copies) + " s, builds "
        + " ".join(f"{run.wall:.2f}" for run in builds) + " s",
        f"  {size}: {result['rows_out']} rows out, dropped {result['dropped']}, k {result['k_min']}",
    ]  # fmt: skip
    return full


def _previewed(figures: Figures, table: Table) -> None:
    """The process that shows the release before it is asked for, with the memory and the floor of the worker's."""
    import duckdb

    from broker.releases import previews

    asked = hospital.recipe(duckdb=duckdb.__version__)
    told = {"floor": previews.FLOOR, "coarser": previews.coarser(asked)}
    more = {"preview": told, "memory_mib": previews.MEMORY_MIB}
    runs = [table.build(asked, **more) for _round in range(ROUNDS)]
    figures.add("plan_preview_1m", statistics.median(run.wall for run in runs), "s")
    figures.add("plan_preview_cpu_1m", statistics.median(run.cpu for run in runs), "s")


def _by_other_means(figures: Figures, table: Table) -> None:
    """Processor time of what people write without an engine, over the build's. Both start from a CSV, in this process'
    children: the reading of Parquet is not counted against them, nor is sealing."""
    import duckdb

    clear = table.folder / "clear.csv"
    with duckdb.connect() as engine:
        engine.execute(f"COPY (FROM read_parquet('{table.source}')) TO '{clear}' (HEADER)")
    (table.folder / "opposed.json").write_text(json.dumps(table.opposed))
    build = statistics.median(table.build(hospital.recipe(duckdb=duckdb.__version__)).cpu for _run in range(3))
    for name in ("naive_loop", "presidio"):
        run = _process([sys.executable, "-m", "deploy.bench.release", name, str(table.folder)])
        figures.add(f"{name}_over_full_cpu_1m", run.cpu / build, "x")
        figures.add(f"{name}_cpu_1m", run.cpu, "s")
    clear.unlink()


def naive_loop(folder: Path) -> None:
    """The same release as one writes it with the standard library: csv, hmac, datetime."""
    opposed = set(json.loads((folder / "opposed.json").read_text()))
    kept, subjects = [], defaultdict(set)
    with (folder / "clear.csv").open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            subject = row.pop("subject_id").encode()
            if hmac.new(TOKEN_KEY.encode(), subject, hashlib.sha256).hexdigest() in opposed or int(row["age"]) < 18:
                continue
            told = hmac.new(KEY.encode(), subject, hashlib.sha256).hexdigest()
            shift = datetime.timedelta(days=int(told[32:40], 16) % 365 - 182)
            order = row["admitted_at"]
            for name in ("admitted_at", "discharged_at"):
                row[name] = (datetime.datetime.fromisoformat(row[name]) + shift).isoformat(" ")
            low = int(row["age"]) // 5 * 5
            row["age"] = "90+" if low >= 90 else f"{low}-{low + 4}"
            row["postcode"] = row["postcode"][: 3 if row["postcode"][:2] in ("97", "98") else 2]
            row["pseudonym"] = told[:32]
            subjects[row["age"], row["sex"], row["postcode"]].add(told)
            kept.append((told, order, len(kept), row))
    kept.sort(key=lambda one: one[:3])
    with (folder / "naive.csv").open("w", newline="", encoding="utf-8") as out:
        lines_out = csv.DictWriter(out, ["pseudonym", "event_rank", *(name for name, *_rest in hospital.COLUMNS[1:])])
        lines_out.writeheader()
        last, rank = "", 0
        for told, _order, _line, row in kept:
            if len(subjects[row["age"], row["sex"], row["postcode"]]) >= hospital.K:
                rank = rank + 1 if told == last else 1
                last = told
                lines_out.writerow({**row, "event_rank": rank})
    hashlib.sha256((folder / "naive.csv").read_bytes()).hexdigest()


def presidio(folder: Path) -> None:
    """The subject of each row hashed by presidio-anonymizer, the row written again; nothing else of a release."""
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import OperatorConfig, RecognizerResult

    engine = AnonymizerEngine()
    operators = {"SUBJECT": OperatorConfig("hash", {"hash_type": "sha256", "salt": KEY[:32]})}
    with (
        (folder / "clear.csv").open(newline="", encoding="utf-8") as lines,
        (folder / "presidio.csv").open("w", newline="", encoding="utf-8") as out,
    ):
        rows, written = csv.reader(lines), csv.writer(out)
        written.writerow(next(rows))
        for row in rows:
            found = RecognizerResult("SUBJECT", 0, len(row[0]), 1.0)
            row[0] = engine.anonymize(text=row[0], analyzer_results=[found], operators=operators).text
            written.writerow(row)


def make_table(source: Path) -> None:
    """Make the table at `source`, of as many rows as the next argument says; tell who objects, how many classes of
    quasi-identifiers there are, and how many of those are small."""
    import duckdb

    with duckdb.connect() as engine:
        engine.execute(f"SET threads = {THREADS}; SET memory_limit = '4GiB'; SET enable_progress_bar = false")
        engine.execute(f"SET temp_directory = '{source}.spill'")
        objecting = hospital.make(engine, int(sys.argv[3]), source)
        print(json.dumps([objecting, *hospital.classes(engine, source)]))


if __name__ == "__main__":
    {"naive_loop": naive_loop, "presidio": presidio, "table": make_table}[sys.argv[1]](Path(sys.argv[2]))
