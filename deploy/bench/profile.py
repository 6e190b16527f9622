"""`make bench WHAT=profile`: how long the examination of a million rows takes, in the worker's own process.

`profile_1m`: seconds from the order to the answer, reading of the CSV included, 14 columns of a million rows about
persons, one of them e-mail addresses and one a number of the person. Best of three: other work only adds to it.
"""

import resource
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from deploy.bench import Figures

ROWS, ROUNDS, SEED = 1_000_000, 3, 20261122
TABLE = f"""
    SELECT hash(i + {SEED}) % 200000 AS patient_id, i AS encounter_id, (18 + hash(i + 1) % 80)::INTEGER AS age,
           CASE WHEN hash(i + 2) % 2 = 0 THEN 'F' ELSE 'M' END AS sex,
           lpad((hash(i + 3) % 95 + 1)::VARCHAR, 2, '0') || lpad((hash(i + 4) % 300)::VARCHAR, 3, '0') AS postcode,
           (DATE '2020-01-01' + (hash(i + 5) % 1500)::INTEGER) AS admitted, (hash(i + 6) % 100000) / 100.0 AS dose,
           (hash(i + 7) % 40)::INTEGER AS stay, 'D' || (hash(i + 8) % 700) AS diagnosis,
           CASE WHEN hash(i + 9) % 10 > 0 THEN (hash(i + 10) % 250)::INTEGER END AS sugar,
           'ward ' || (hash(i + 11) % 30) AS ward, (hash(i + 12) % 1000000) / 1000.0 AS lab,
           'u' || hash(i) || '@exemple.fr' AS contact, md5(i::VARCHAR) AS code
    FROM range({ROWS}) AS t(i)
"""


def measure() -> Figures:
    from zones.tasks import MEMORY, run_apart

    figures, took, spent = Figures(), [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        duckdb.sql(f"COPY ({TABLE}) TO '{path}' (HEADER)")
        order = {
            "relation": f"read_csv('{path}', all_varchar = true, header = true)", "scratch": folder, "memory": MEMORY,
            "decimal": ".", "personal": True,
        }  # fmt: skip
        for _round in range(ROUNDS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            begun = time.perf_counter()
            told = run_apart(order)
            took.append(time.perf_counter() - begun)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        figures.settings["bytes"] = path.stat().st_size
    detected = {one["name"]: one["detected"]["kind"] for one in told["columns"] if "detected" in one}
    if told["rows"] != ROWS or detected != {"contact": "email"}:
        raise RuntimeError(f"the profile saw {told['rows']} rows and told {detected}")
    figures.add("profile_1m", min(took), "s")
    figures.add("profile_1m_median", statistics.median(took), "s")
    figures.add("profile_1m_processor", min(spent), "s")
    figures.settings |= {"rows": ROWS, "columns": len(told["columns"]), "rounds": ROUNDS, "memory_mib": MEMORY}
    return figures
