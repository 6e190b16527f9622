"""How long a release takes: the demo's own (101,766 stays, through the queue and a worker), and a million rows.

`demo_release_request_to_ready`: from the named person's request to the state "ready", by a worker that was already
running: gate, queue, unsealing, build in its own process, sealing, receipts, index of subjects.
`full_over_copy_1m`: the whole build over a plain COPY of the same columns into the same format, same engine limits.
"""

import gzip
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from deploy.bench import Figures

RUNS = 5
COPIES = 10  # of the 101,766 stays


def measure() -> Figures:
    from django.conf import settings

    from tests import releasing

    figures = Figures()
    folder = Path(settings.VAR)
    (folder / "keys").mkdir(mode=0o700, exist_ok=True)
    ready = releasing.convention_on_stays(folder, lines=None, releases_per_month=100)
    _request_to_ready(figures, ready)
    _over_copy(figures, ready, folder)
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


def _over_copy(figures: Figures, ready, folder: Path) -> None:
    import duckdb

    from broker.releases import engine
    from broker.releases.models import Release
    from broker.releases.plan import Plan

    recipe = Release.objects.filter(convention=ready.convention, status="ready").first().recipe
    source = _million(ready.source, folder / "million.csv", recipe["source_columns"])
    rows = sum(1 for _line in source.open("rb")) - 1
    full, plain = [], []
    for run in range(3):
        job = {
            "recipe": recipe, "source": str(source), "output": str(folder / "million.out"),
            "scratch": str(folder / f"scratch-{run}"), "recipients": [str(ready.convention.environment.age_recipient)],
            "pseudonym_key": "5e" * 32, "token_key": "7a" * 32, "opposed": [], "memory_mib": 1024, "threads": 2,
        }  # fmt: skip
        begun = time.perf_counter()
        last = engine.run(job, lambda line: None)
        full.append(time.perf_counter() - begun)
        if "result" not in last:
            raise RuntimeError(str(last))
        shutil.rmtree(folder / f"scratch-{run}")
        begun = time.perf_counter()
        with duckdb.connect() as copy:
            copy.execute("SET threads = 2; SET memory_limit = '1024MiB'")
            copy.execute(Plan(recipe, path=str(source)).source().sql)
            kept = ", ".join(f'"{c["name"]}"' for c in recipe["columns"])
            copy.execute(f"COPY (SELECT {kept} FROM source) TO '{folder}/plain' (FORMAT parquet, COMPRESSION zstd)")
        plain.append(time.perf_counter() - begun)
    figures.add("full_over_copy_1m", statistics.median(full) / statistics.median(plain), "x")
    figures.add("full_1m", statistics.median(full), "s")
    figures.settings["rows_1m"] = rows


def _million(source: Path, target: Path, names: list[str]) -> Path:
    """The stays, copied with other numbers of stay and patient."""
    stay, patient = names.index("encounter_id"), names.index("patient_nbr")
    with gzip.open(source, "rt", encoding="utf-8") as lines, target.open("w", encoding="utf-8") as out:
        header, *rows = lines.read().splitlines()
        out.write(header + "\n")
        for copy in range(COPIES):
            for row in rows:
                cells = row.split(",")
                cells[stay], cells[patient] = f"{copy}{cells[stay]}", f"{copy}{cells[patient]}"
                out.write(",".join(cells) + "\n")
    return target
