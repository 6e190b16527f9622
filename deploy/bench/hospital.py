"""A made-up table of hospital stays for the bench: N rows x 14 columns, ten rows a subject on average, Parquet.

Every column is drawn on its own (one hash of the row's number and of the column's): correlated columns compress better
and make fewer classes, so that a release of them is easier than a real one. Three rows in a hundred are a minor's;
a few departments hold few people, so that classes are dropped.
"""

from pathlib import Path

from broker.releases.dialects import text_of

GROUP = 122_880  # rows of a row group, on both sides of every comparison
OBJECTING = 100  # one subject in so many objects
COLUMNS = (  # name, type and role in the recipe, the engine's type in the file, treatment
    ("subject_id", "text", "subject_key", "VARCHAR", {"kind": "pseudonym"}),
    ("age", "integer", "quasi_identifier", "INTEGER", {"kind": "band_age", "width": 5, "top": 90}),
    ("sex", "text", "quasi_identifier", "VARCHAR", {"kind": "category"}),
    ("postcode", "text", "geo", "VARCHAR", {"kind": "department"}),
    ("admitted_at", "timestamp", "timestamp", "TIMESTAMP", {"kind": "shift_days", "span": 365}),
    ("discharged_at", "timestamp", "timestamp", "TIMESTAMP", {"kind": "shift_days", "span": 365}),
    ("icd10", "text", "measure", "VARCHAR", {"kind": "keep"}),
    *((name, "number", "measure", "DOUBLE", {"kind": "keep"}) for name in ("m1", "m2", "m3", "m4", "m5", "m6")),
    ("note", "text", "measure", "VARCHAR", {"kind": "keep"}),
)
MEASURES = ((35, 41, 1), (40, 180, 0), (80, 200, 0), (3, 30, 1), (0.1, 12, 2), (40, 140, 1))  # low, high, decimals
K = 5


def recipe(*, duckdb: str, clip: bool = False) -> dict:
    """What is asked of the table: the release that the issue names; with `clip`, measures at their bounds (7.1)."""
    at_bounds = {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}
    columns = [
        {"name": name, "type": kind, "role": role,
         "treatment": at_bounds if clip and kind == "number" else treatment}
        for name, kind, role, _stored, treatment in COLUMNS
    ]  # fmt: skip
    names = [column["name"] for column in columns]
    return {
        "format": 1, "kind": "experimental", "convention": "CV-BENCH", "personal": True,
        "dataset": {"slug": "stays", "version": 1, "source_sha256": "", "rows": 0},
        "reading": {"format": "parquet", "types": [[name, stored] for name, _k, _r, stored, _t in COLUMNS]},
        "source_columns": names, "columns": columns, "subject_key": "subject_id", "identifiers": [], "consent": None,
        "minors": {"rule": "exclude", "age_column": "age"}, "quasi_identifiers": ["age", "sex", "postcode"], "k": K,
        "suppression_max_pct": 5, "blanked": [], "rank_by": {"column": "admitted_at", "order": "time"},
        "output": {"format": "parquet", "sealed": True}, "engine": {"plan": 0, "duckdb": duckdb}, "ruleset": "",
    }  # fmt: skip


def _draw(row: str, salt: int) -> str:
    """A number in [0, 1) of its own for each row and column. `hash(a, b)` would combine by xor: correlated columns."""
    return f"(CAST(hash(CAST({row} AS UBIGINT) * 128 + {salt}) >> 11 AS DOUBLE) / 9007199254740992.0)"


def make(engine, rows: int, target: Path) -> list[str]:
    """Write the table at `target`; returns the subjects who object. Memory stays bounded: 1 M subjects in 10 M rows."""
    subjects = rows // 10
    measures = ", ".join(
        f"round({low} + ({high - low}) * ({_draw('r', 20 + n)} + {_draw('r', 40 + n)} + {_draw('r', 60 + n)}) / 3, "
        f"{decimals}) AS m{n + 1}"
        for n, (low, high, decimals) in enumerate(MEASURES)
    )
    engine.execute(f"""
        CREATE OR REPLACE TEMP TABLE person AS SELECT s, sex, born, postcode,
          (CASE sex WHEN 'M' THEN '1' ELSE '2' END) || lpad(CAST(born % 100 AS VARCHAR), 2, '0')
          || lpad(CAST(1 + s % 12 AS VARCHAR), 2, '0')
          || lpad(CAST((s * 7919 + 104729) % 10000000000 AS VARCHAR), 10, '0') AS subject_id
        FROM (SELECT s, CASE WHEN {_draw("s", 1)} < 0.48 THEN 'M' ELSE 'F' END AS sex,
                CAST(1930 + floor(77 * pow({_draw("s", 2)}, 0.9)) AS INTEGER) AS born,
                lpad(CAST(CAST(1 + floor(95 * pow({_draw("s", 3)}, 1.4)) AS INTEGER) AS VARCHAR), 2, '0')
                || lpad(CAST(CAST(floor(1000 * pow({_draw("s", 4)}, 2)) AS INTEGER) AS VARCHAR), 3, '0') AS common,
                CASE WHEN {_draw("s", 5)} < 60.0 / {subjects}
                  THEN '97' || CAST(1 + s % 8 AS VARCHAR) || '00' END AS far,
                coalesce(far, common) AS postcode
              FROM range({subjects}) every(s)) drawn""")
    engine.execute(f"""
        COPY (SELECT subject_id, CAST(year(admitted_at) - born AS INTEGER) AS age, sex, postcode, admitted_at,
                admitted_at + to_minutes(CAST(60 - 4000 * ln(1e-9 + {_draw("r", 7)}) AS BIGINT)) AS discharged_at,
                icd10, m1, stay.m2, m3, m4, m5, m6, note
              FROM (SELECT r, CAST(floor({subjects} * pow({_draw("r", 5)}, 1.2)) AS BIGINT) AS s,
                      TIMESTAMP '2021-01-01'
                        + to_minutes(CAST(r * 1576800.0 / {rows} + {_draw("r", 6)} * 600 AS BIGINT)) AS admitted_at,
                      chr(CAST(65 + floor(26 * pow({_draw("r", 8)}, 1.5)) AS INTEGER))
                        || lpad(CAST(CAST(floor(100 * pow({_draw("r", 9)}, 1.6)) AS INTEGER) AS VARCHAR), 2, '0')
                        || '.' || CAST(CAST(floor(10 * {_draw("r", 10)}) AS INTEGER) AS VARCHAR) AS icd10,
                      {measures},
                      'UF' || CAST(CAST(1000 + floor(400 * {_draw("r", 11)}) AS INTEGER) AS VARCHAR) || '-LIT'
                        || lpad(CAST(CAST(floor(60 * {_draw("r", 12)}) AS INTEGER) AS VARCHAR), 2, '0') || '-'
                        || chr(CAST(65 + floor(6 * {_draw("r", 13)}) AS INTEGER)) AS note
                    FROM range({rows}) every(r)) stay JOIN person USING (s))
        TO {text_of(str(target))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP})""")
    chosen = f"SELECT subject_id FROM person WHERE hash(CAST(s AS UBIGINT) * 128 + 99) % {OBJECTING} = 0"
    found = [row[0] for row in engine.execute(chosen).fetchall()]
    engine.execute("DROP TABLE person")
    return found


def classes(engine, source: Path) -> tuple[int, int]:
    """Classes of the quasi-identifiers as they are released, and how many of them hold fewer than k subjects."""
    return engine.execute(f"""
        SELECT count(*), count(*) FILTER (n < {K}) FROM (
          SELECT count(DISTINCT subject_id) AS n FROM read_parquet({text_of(str(source))}) WHERE age >= 18
          GROUP BY least(age // 5, 18), sex, substr(postcode, 1, CASE WHEN postcode[1:2] = '97' THEN 3 ELSE 2 END))
    """).fetchone()
