"""The build of one release, in a process of its own: `python -m broker.releases.engine`, its job on standard input.

No Django, no database, no key store: what it needs comes with the job (a JSON object), keys included, so that they
stand in no command line, file or environment. Lines of JSON go out on standard output: {"step", "percent"} while it
works, then one {"result": ...}, {"refused": code, "facts": ...} or {"failed": what}.

    job: recipe, source (path of the clear UTF-8 copy; of a recipe of format 2 `sources`: {table: path}), output (path
         to write), scratch (a folder of its own),
         recipients (age public keys; empty = not sealed), pseudonym_key, token_key (64 hexadecimal characters each),
         opposed, consented (hexadecimal tokens), marks (texts written into the file: licence, watermark), memory_mib,
         threads

Clear output is never a file when it is sealed: COPY -> FIFO -> SHA-256 -> age. Scratch (spill files hold clear
identifiers) is mode 0700 and removed at the end, whatever happened.
"""

import csv
import errno
import hashlib
import itertools
import json
import math
import os
import resource
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow
import pyrage

from broker.releases import formulas, packages, sorting, treating
from broker.releases.coarser import CoarserPlan
from broker.releases.dialects import name_of, text_of
from broker.releases.plan import Plan, Statement
from broker.releases.tables import TablePlan, TablesPlan, path_of

BLOCK = 64  # bytes: block of SHA-256; the keys are exactly as long
CHUNK = 1 << 20
PARTS = 64  # the memory of a build over that of a part of its rows: several are held while one is written


# A job with "match" writes no file; see `Match`.


class Unbuildable(Exception):
    """The recipe cannot be carried out on these data: a code, and figures without any value of the data."""

    def __init__(self, code: str, **facts):
        super().__init__(code)
        self.code, self.facts = code, facts


def pads(key: str) -> tuple[bytes, bytes]:
    """The inner and outer pads of HMAC for a 64-character key. Source: RFC 2104."""
    raw = key.encode("ascii")
    if len(raw) != BLOCK:
        raise ValueError("a key is 64 hexadecimal characters")
    return bytes(b ^ 0x36 for b in raw), bytes(b ^ 0x5C for b in raw)


class Tee:
    """Reads a pipe and hashes what passes."""

    def __init__(self, source):
        self.source, self.sha256, self.size = source, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        part = self.source.read(CHUNK if size < 0 else size)
        self.sha256.update(part)
        self.size += len(part)
        return part


class HashedFile:
    """Writes a file and hashes what is written."""

    def __init__(self, path: Path):
        self.file, self.sha256, self.size = path.open("wb"), hashlib.sha256(), 0

    def write(self, part: bytes) -> int:
        self.sha256.update(part)
        self.size += len(part)
        return self.file.write(part)

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


class Sealing(threading.Thread):
    """Takes what the engine writes to the FIFO, hashes it, seals it to the recipients (or not), hashes that."""

    def __init__(self, fifo: Path, output: Path, recipients: list[str]):
        super().__init__(daemon=True)
        self.fifo, self.output = fifo, output
        self.recipients = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
        self.error: BaseException | None = None

    def run(self):
        try:
            with self.fifo.open("rb", buffering=CHUNK) as pipe:
                clear, delivered = Tee(pipe), HashedFile(self.output)
                try:
                    if self.recipients:
                        pyrage.encrypt_io(clear, delivered, self.recipients)
                    else:
                        while part := clear.read(CHUNK):
                            delivered.write(part)
                finally:
                    delivered.close()
            self.clear_sha256, self.clear_size = clear.sha256.hexdigest(), clear.size
            self.sha256, self.size = delivered.sha256.hexdigest(), delivered.size
        except BaseException as error:  # handed to the main thread, which raises it
            self.error = error


def check_header(path: str, table: dict) -> None:
    """The source names the columns that the recipe was made for, in order. Raises Unbuildable."""
    if table["reading"].get("format") == "parquet":
        with duckdb.connect() as engine:
            rows = engine.execute(f"DESCRIBE SELECT * FROM read_parquet({text_of(path)})").fetchall()
        header = [row[0] for row in rows]
    else:
        with Path(path).open(encoding="utf-8-sig", newline="") as lines:
            header = [name.strip() for name in next(csv.reader(lines), [])]
    if header != table["source_columns"]:
        raise Unbuildable("header", missing=[name for name in table["source_columns"] if name not in header])


def as_told(value):
    """A figure as a signed text may hold it: a number that JSON does not keep exactly is told in words (RFC 8785)."""
    exact = abs(value) < 2**53 if isinstance(value, int) else math.isfinite(value)
    return value if exact else str(value)


class Build:
    """One build: runs the plan, watches its limits, writes the file, returns what was measured."""

    plan_class = Plan  # a test breaks one guard here, and nowhere else
    dialect = "duckdb"
    keeps = True  # whether rows are treated: a preview only counts them
    parts: sorting.Parts | None = None  # the rows that leave, once they are treated

    def __init__(self, job: dict, say):
        self.job, self.recipe, self.say = job, job["recipe"], say
        self.scratch = Path(job["scratch"])
        self.plan = self.plan_class(self.recipe, path=job["source"], dialect=self.dialect)

    def run(self) -> dict:
        check_header(self.job["source"], self.recipe)
        with duckdb.connect() as self.local, self._connected() as self.engine:
            rows_in = self._carry_out()
            result = self._measure(rows_in) if self.recipe["personal"] else self._measure_plain()
            self.say({"step": "writing", "percent": 80})
            keys = ["pseudonym", "event_rank"] if self.recipe["personal"] else []
            return {**result, **self._write(result["rows_out"], {"primary_key": keys, "foreign_keys": []})}

    def _carry_out(self) -> int:
        """Run the statements of the plan, up to the rows kept; returns how many were read."""
        self._configure()
        self._load_tokens()
        self._load_lookups(self.plan.lookups())
        rows_in = 0
        for statement in self._statements():
            self.say({"step": statement.step, "percent": statement.percent})
            self._make(statement)
            if statement.name == "source":
                rows_in = self._number("SELECT count(*) FROM source")
                self._check_values()
            if statement.name == "leaving":
                self._forget(*(self.plan.spent if self.keeps else ("met", "subject")))
        return rows_in

    def _statements(self) -> list[Statement]:
        return self.plan.statements()

    def _forget(self, *names: str) -> None:
        """Let go of tables that nothing asks any more: they hold memory."""
        if self.dialect == "duckdb":
            for name in names:
                self.engine.execute(f"DROP TABLE IF EXISTS {name}")

    @contextmanager
    def _connected(self) -> Iterator:
        """What runs the statements: here the connection that also reads and writes files, `local`."""
        yield self.local

    def _make(self, statement: Statement) -> None:
        """Carry out a statement: the table of its name stands afterwards."""
        if statement.name == "kept" and self.recipe["personal"]:
            self._keep(statement.sql)
        elif statement.of_parts:
            self._gather(statement)
        else:
            self.engine.execute(statement.sql)

    def _keep(self, sql: str) -> None:
        """Lay the rows of `sql` into parts of the file; `kept` is all of them from then on, in no order."""
        rows = self._number(self.plan.to_leave())
        part_bytes = (int(self.job["memory_mib"]) << 20) // PARTS
        self.parts = sorting.Parts(self.scratch / "spill" / "parts", rows=rows, part_bytes=part_bytes)
        batch_rows = self._batch_rows(part_bytes)
        with self._in_no_order():
            self.parts.take_in(self._found(sql).to_arrow_reader(batch_rows))
        self.local.register("kept", self.parts.whole())

    def _found(self, sql: str) -> duckdb.DuckDBPyRelation:
        """What `sql` finds, to be handed over in batches."""
        self.local.complete()  # the answer before this one, of which a row was read
        return self.local.sql(sql)

    def _batch_rows(self, part_bytes: int) -> int:
        """Rows handed over together: fewer where they are wide, as the file tells (a Parquet file holds some eight
        times more than it weighs)."""
        weight = Path(self.job["source"]).stat().st_size * 8
        return max(2048, min(sorting.GROUP, part_bytes * self._number("SELECT count(*) FROM source") // max(1, weight)))

    @contextmanager
    def _in_no_order(self) -> Iterator[None]:
        """Meanwhile rows are handed over as they come."""
        self.local.execute("SET preserve_insertion_order = false")
        try:
            yield
        finally:
            self.local.execute("SET preserve_insertion_order = true")

    def _gather(self, statement: Statement) -> None:
        """The table of what a statement finds in each part."""
        start, sql = f"CREATE TEMP TABLE {statement.name} AS ", statement.sql
        again = f"{sql} EXCEPT SELECT * FROM {statement.name}" if statement.of_parts == "distinct" else sql
        try:
            for rows in self.parts.some():
                self.local.register("kept", rows)
                self.local.execute(start + sql)
                start, sql = f"INSERT INTO {statement.name} ", again
        finally:
            self.local.register("kept", self.parts.whole())

    def _fill(self, name: str, sql: str, values: list | None = None) -> None:
        """Make the table `name` of what `local` finds by `sql`: it comes with the job, not from the source."""
        self.local.execute(f"CREATE TEMP TABLE {name_of(name)} AS {sql}", values)

    def _number(self, sql: str) -> int:
        return int(self.engine.execute(sql).fetchone()[0])

    def _configure(self):
        spill = self.scratch / "spill"
        self.local.execute(f"SET threads = {int(self.job.get('threads', 2))}")
        self.local.execute(f"SET memory_limit = '{int(self.job['memory_mib'])}MiB'")
        self.local.execute(f"SET temp_directory = {text_of(str(spill))}")
        self.local.execute("SET TimeZone = 'UTC'")
        self.local.execute("SET autoinstall_known_extensions = false")
        # Started from a string rather than a module, the engine believes that a person watches, and draws a bar among
        # the lines of JSON as soon as a statement takes two seconds.
        self.local.execute("SET enable_progress_bar = false")
        if not self.recipe["personal"]:
            return
        for name in ("pseudonym", "token"):
            if self.job.get(f"{name}_key"):
                self._take(name, self.job[f"{name}_key"])

    def _take(self, name: str, key: str) -> None:
        """Make `key` the one of `name` from here on. Keys are variables, never text of a statement."""
        inner, outer = pads(key)
        self.engine.execute(f"SET VARIABLE {name}_inner = ?", [inner])
        self.engine.execute(f"SET VARIABLE {name}_outer = ?", [outer])

    def _load_tokens(self):
        for name in ("opposed", "consented"):
            self._fill(name, "SELECT CAST(unnest(?) AS VARCHAR) AS token", [self.job.get(name, [])])

    def _load_lookups(self, wanted: dict[str, str]):
        """Public tables of reference, every column a text; each must be the one that the recipe names."""
        for name, sha256 in wanted.items():
            path = Path(self.job["lookups"][name])
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise Unbuildable("lookup", name=name)
            self._fill(
                name, f"SELECT * FROM read_csv({text_of(str(path))}, header = true, all_varchar = true, delim = ',')"
            )

    def _check_values(self):
        misread = self.plan.misread()
        if not misread:
            return
        counts = self.engine.execute(f"SELECT {', '.join(sql for _, sql in misread)} FROM source").fetchone()
        if wrong := {name: count for (name, _), count in zip(misread, counts, strict=True) if count}:
            raise Unbuildable("type", columns=wrong)

    def _dropped(self, rows_in: int) -> tuple[dict[str, int], int, int]:
        """Rows lost by reason, rows left before small classes go, rows kept."""
        found = self.engine.execute(self.plan.tally(is_kept=self.keeps)).fetchone()
        counted, no_subject, known, agreed, drawn, adults, base, rows_out = (int(n) for n in found)
        if counted != rows_in:
            raise RuntimeError("rows were lost between two steps")
        dropped = {
            "no_subject": no_subject,
            "opposed": rows_in - no_subject - known,
            **({"no_consent": known - agreed} if self.recipe.get("consent") else {}),
            **({"not_sampled": agreed - drawn} if self.recipe.get("sample") else {}),
            "minor": drawn - adults,
            **({"trimmed": adults - base} if self.plan.trace else {}),
            "small_class": base - rows_out,
        }
        return dropped, base, rows_out

    def _measure(self, rows_in: int) -> dict:
        self.say({"step": "thresholds", "percent": 76})
        plan = self.plan
        if self.recipe["minors"]["rule"] == "exclude" and self.recipe["minors"]["age_column"] is None:
            raise Unbuildable("no_age")
        dropped, base, rows_out = self._dropped(rows_in)
        if dropped["small_class"] * 100 > self.recipe["suppression_max_pct"] * base:
            raise Unbuildable("suppression", rows=dropped["small_class"], of=base, k_min=self.recipe["k"])
        if rows_out == 0:
            raise Unbuildable("empty")
        k_min = self._number(plan.smallest_class())
        if k_min < self.recipe["k"]:
            raise Unbuildable("k", k_min=k_min, k=self.recipe["k"])
        identifiers = self._identifiers()
        if any(identifiers.values()):
            raise Unbuildable("identifier", columns=[name for name, count in identifiers.items() if count])
        merged = [int(n) for n in self.engine.execute(plan.merges()).fetchone()] if plan.merged else []
        changed = [
            *(f"coalesce(sum(CAST(terrain_clipped_{n} AS INTEGER)), 0)" for n in range(len(plan.clipped))),
            *(f"coalesce(sum(CAST(terrain_blanked_{n} AS INTEGER)), 0)" for n in range(len(plan.blanked))),
        ]
        sums = (
            [int(n) for n in self.engine.execute(f"SELECT {', '.join(changed)} FROM kept").fetchone()]
            if changed
            else []
        )
        bounds = {}
        if plan.clipped:
            row = self.engine.execute("SELECT * FROM bounds").fetchone()
            bounds = {
                name: [as_told(v) for v in pair]
                for name, pair in zip(plan.clipped, row, strict=True)
                if pair is not None
            }
        subjects_out = self._tell_tokens(plan.tokens())
        return {
            "rows_in": rows_in,
            "dropped": dropped,
            "rows_out": rows_out,
            "subjects_out": subjects_out,
            "k_min": k_min,
            "identifiers": identifiers,
            "merged": dict(zip(plan.merged, merged, strict=True)),
            "clipped": dict(zip(plan.clipped, sums, strict=False)),
            "blanked": dict(zip([one["column"] for one in plan.blanked], sums[len(plan.clipped) :], strict=True)),
            "bounds": bounds,
            "losses": {
                name: [
                    [value, before, lost] for value, before, lost in self.engine.execute(plan.losses(name)).fetchall()
                ]
                for name in plan.quasi
            },
        }

    def _tell_tokens(self, sql: str) -> int:
        """Write the zone tokens of the subjects in the file, 32 bytes each, beside it; how many they are."""
        count, found = 0, self.engine.execute(sql)
        with (self.scratch / "tokens").open("wb") as out:
            while some := found.fetchmany(sorting.GROUP):
                out.write(bytes.fromhex("".join(token for (token,) in some)))
                count += len(some)
        return count

    def _identifiers(self) -> dict[str, int]:
        """Identifiers found in the rows to be released, by column: none, or the build is refused."""
        names, own = self.plan.own_identifiers()
        counts = dict.fromkeys(names, 0)
        if any(self._number(sql) for sql in self.plan.shared_with_identifiers()):
            counts = dict(zip(names, self.engine.execute(own).fetchone(), strict=False))
        for name, sql in self.plan.looking_like_identifiers():
            counts[name] += self._number(sql)
        return counts

    def _measure_plain(self) -> dict:
        return self._plain_figures(self._number("SELECT count(*) FROM kept"))

    def _plain_figures(self, rows: int) -> dict:
        return {
            "rows_in": rows, "dropped": {}, "rows_out": rows, "subjects_out": 0, "k_min": None,
            "merged": {}, "clipped": {}, "blanked": {}, "bounds": {}, "losses": {}, "identifiers": {},
        }  # fmt: skip

    def _form(self) -> str:
        """How a file is written, as an option of COPY."""
        if self.recipe["output"]["format"] != "parquet":
            return "FORMAT csv, HEADER true, USE_TMP_FILE false"
        marks = ", ".join(f"{name}: {text_of(value)}" for name, value in sorted(self.job.get("marks", {}).items()))
        return f"FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{{marks}}}"

    def _copy(self, query: str, fifo: Path) -> None:
        """Write the rows of `query`, in its order, into the pipe."""
        if self.parts is None:
            self.local.execute(f"COPY ({query}) TO {text_of(str(fifo))} ({self._form()})")
        else:
            self._copy_batches(query, fifo, sorting.batches(self._named()))

    def _named(self) -> Iterator[pyarrow.Table]:
        """The columns of the file in its order: rows sorted part by part, each under its pseudonym."""
        found = self._found(f"{self.plan.pseudonyms()} ORDER BY terrain_sid").to_arrow_table()
        names = sorting.Names(*found.columns)
        for table in self.parts.in_order(self.plan.ranked):
            yield names.put_on(table).select(self.plan.released)

    def _copy_batches(self, query: str, fifo: Path, batches: Iterator[pyarrow.RecordBatch]) -> None:
        """The same of rows that come in order from elsewhere: `query` says what is done to their cells. It asks of the
        plan's own output, whose order and place they take."""
        failed: list[BaseException] = []
        first = next(batches, None)

        def every() -> Iterator[pyarrow.RecordBatch]:
            try:
                if first is not None:
                    yield first
                    yield from batches
            except BaseException as error:  # the embedded engine would say it in its own words
                failed.append(error)
                raise

        schema = self._shape() if first is None else first.schema
        try:
            with self._relation(pyarrow.RecordBatchReader.from_batches(schema, every())) as rows:
                self.local.execute(
                    f"COPY ({query.replace(self.ordered, rows)}) TO {text_of(str(fifo))} ({self._form()})"
                )
        except duckdb.Error:
            if failed:
                raise failed[0] from None
            raise

    def _shape(self) -> pyarrow.Schema:
        """The columns of the file."""
        return self._found(f"{self.ordered} LIMIT 0").to_arrow_table().schema

    @contextmanager
    def _relation(self, rows: pyarrow.RecordBatchReader | pyarrow.Table) -> Iterator[str]:
        """A query of the embedded engine over `rows`, in their order."""
        self.local.register("terrain_rows", rows)
        try:
            yield "SELECT * FROM terrain_rows"
        finally:
            self.local.unregister("terrain_rows")

    def _described(self, query: str) -> list[tuple[str, str]]:
        """The columns of `query` and their types, as the file holds them."""
        return [(row[0], row[1]) for row in self.local.execute(f"DESCRIBE {query}").fetchall()]

    def _shown(self, plan: Plan) -> tuple[str, dict]:
        """The rows to copy, and what `packages` must say of their columns.

        In a CSV, cells and names that a spreadsheet would take for formulas are shielded, and counted."""
        self.ordered = plan.output()
        select, form = self.ordered, self.recipe["output"]["format"]
        types = dict(self._described(select))
        if form != "csv":
            fields = [{"name": name, "type": kind} for name, kind in types.items()]
            return select, {"format": form, "fields": fields, "neutralised": {}}
        texts = [name for name, kind in types.items() if kind == "VARCHAR"]
        tests = [f"count(*) FILTER (WHERE {formulas.is_formula(name_of(name), plan._say)})" for name in texts]
        counts = self.engine.execute(f"SELECT {', '.join(tests)} FROM ({select})").fetchone() if texts else ()
        told = self._declared(plan, select, texts)
        fields = [
            {"name": formulas.shielded_name(name), "type": kind, **told.get(name, {})} for name, kind in types.items()
        ]
        shown = ", ".join(
            f"{formulas.shielded(name_of(name), plan._say) if name in texts else name_of(name)}"
            f" AS {name_of(formulas.shielded_name(name))}"
            for name in types
        )
        neutralised = {name: count for name, count in zip(texts, counts, strict=True) if count}
        return f"SELECT {shown} FROM ({select}) rows", {"format": form, "fields": fields, "neutralised": neutralised}

    def _declared(self, plan: Plan, select: str, texts: list[str]) -> dict[str, dict]:
        """By column left as the text that was read: its declared type, where every value is written so."""
        if self.recipe["personal"]:
            return {}
        decimal = plan.recipe["reading"].get("decimal") or "."
        typed = [c for c in plan.columns if c["name"] in texts and treating.type_of(c)]
        if not typed:
            return {}
        tests = [treating.is_written_as(c, name_of(c["name"]), say=plan._say, decimal=decimal) for c in typed]
        asked = ", ".join(f"coalesce(bool_and({test}), true)" for test in tests)
        holds = self.engine.execute(f"SELECT {asked} FROM ({select})").fetchone()
        return {
            c["name"]: {"type": treating.type_of(c), **({"decimal": decimal} if decimal != "." else {})}
            for c, is_so in zip(typed, holds, strict=True)
            if is_so
        }

    def _write(self, rows: int, keys: dict) -> dict:
        """Copy the rows to the pipe; `keys` are those that the description declares. The name of the only table and
        its path are the worker's to say."""
        select, told = self._shown(self.plan)
        fifo = self.scratch / "clear"
        os.mkfifo(fifo, 0o600)
        sealing = Sealing(fifo, Path(self.job["output"]), self.job["recipients"])
        sealing.start()
        try:
            self._copy(select, fifo)
        except Exception:
            # The reader may still wait for a first writer: give it an end of file, then say whose fault it was.
            os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
            sealing.join(timeout=5)
            raise sealing.error or sys.exception() from None
        sealing.join()
        if sealing.error:
            raise sealing.error
        return {
            "clear_sha256": sealing.clear_sha256,
            "clear_size": sealing.clear_size,
            "sha256": sealing.sha256,
            "size": sealing.size,
            "files": [
                {
                    "table": None, "path": None, "rows": rows, "sha256": sealing.clear_sha256,
                    "bytes": sealing.clear_size, **told, **_as_shown(keys, told),
                }
            ],
        }  # fmt: skip


def _as_shown(keys: dict, told: dict) -> dict:
    """The keys of a table by the names that stand in its file."""
    if told["format"] != "csv":
        return keys
    primary = [formulas.shielded_name(name) for name in keys["primary_key"]]
    foreign = [
        {**key, **{side: [formulas.shielded_name(name) for name in key[side]] for side in ("fields", "to")}}
        for key in keys["foreign_keys"]
    ]
    return {"primary_key": primary, "foreign_keys": foreign}


class TablesBuild(Build):
    """A build over several tables: one file when one table leaves, else one archive of them all."""

    table_class = TablePlan  # a test breaks one guard here, and nowhere else

    def __init__(self, job: dict, say):
        self.job, self.recipe, self.say = job, job["recipe"], say
        self.scratch = Path(job["scratch"])
        self.whole = TablesPlan(self.recipe, paths=job["sources"], dialect=self.dialect, table_class=self.table_class)

    def run(self) -> dict:
        for one in self.whole.tables:
            check_header(self.job["sources"][one.table["name"]], one.table)
        with duckdb.connect() as self.local, self._connected() as self.engine:
            self._carry_out()
            result = self._measure_tables()
            self.say({"step": "writing", "percent": 80})
            return {**result, **self._write_tables(result)}

    def _carry_out(self) -> int:
        self._configure()
        self._load_tokens()
        self._load_lookups(self.whole.lookups())
        rows_in = 0
        for statement in self.whole.statements():
            self.say({"step": statement.step, "percent": statement.percent})
            self._make(statement)
            if statement.name.startswith("source_"):
                rows_in += self._number(f"SELECT count(*) FROM {statement.name}")
                self._check_types(self.whole.tables[int(statement.name.removeprefix("source_"))])
            if statement.name == "known" and self.whole.has_cohort and (n := self._number(self.whole.doubled())):
                raise Unbuildable("doubled", table=self.whole.head.table["name"], subjects=n)
        return rows_in

    def _check_types(self, one: TablePlan):
        misread = one.misread()
        if not misread:
            return
        counts = self.engine.execute(
            f"SELECT {', '.join(sql for _, sql in misread)} FROM {one.at('source')}"
        ).fetchone()  # fmt: skip
        if wrong := {name: count for (name, _), count in zip(misread, counts, strict=True) if count}:
            raise Unbuildable("type", columns={path_of(self.recipe, one.table, n): c for n, c in wrong.items()})

    def _measure_tables(self) -> dict:
        """What became of each table, and of all of them. Raises Unbuildable where a threshold does not hold."""
        self.say({"step": "thresholds", "percent": 76})
        minors, personal = self.recipe["minors"], self.recipe["personal"]
        told = [self._measure_one(one) if personal else self._measure_plain_one(one) for one in self.whole.released]
        if not personal:
            return self._sum(told)
        for one in self.whole.persons if minors["rule"] == "exclude" else []:
            if not (one.age or (self.whole.birth and (one.is_head or one.table.get("event")))):
                raise Unbuildable("no_age", table=one.table["name"])
        lost = self._number("SELECT count(*) FROM cohort") if self.whole.has_cohort else 0
        small = [(one["dropped"].get("small_class", 0), one["base"]) for one in told]
        if self.whole.has_cohort:  # and the subjects themselves, whether or not their own table leaves
            everybody = self._number(f"SELECT count(*) FROM {self.whole.head.at('base')}")
            small.append((everybody - lost, everybody))
        most = self.recipe["suppression_max_pct"]
        gone, of = sum(n for n, _of in small), sum(n for _gone, n in small)
        for rows, among in [*small[len(told) :], (gone, of)]:
            if rows * 100 > most * among:
                raise Unbuildable("suppression", rows=rows, of=among, k_min=self.recipe["k"])
        persons = {one.table["name"] for one in self.whole.persons}
        if not any(one["rows_out"] for one in told if one["name"] in persons):
            raise Unbuildable("empty")
        measured = [one["k_min"] for one in told if one["k_min"] is not None]
        k_min = min(measured, default=self._number(f"SELECT count(*) FROM ({self.whole.tokens()}) inside"))
        if k_min < self.recipe["k"]:
            raise Unbuildable("k", k_min=k_min, k=self.recipe["k"])
        found = self._sum(told)
        if any(found["identifiers"].values()):
            raise Unbuildable("identifier", columns=[name for name, count in found["identifiers"].items() if count])
        subjects_out = self._tell_tokens(self.whole.tokens())
        return {**found, "subjects_out": subjects_out, "k_min": k_min}

    def _sum(self, told: list[dict]) -> dict:
        """All tables together; what concerns a column is under its path."""
        dropped: dict[str, int] = {}
        for one in told:
            for reason, count in one["dropped"].items():
                dropped[reason] = dropped.get(reason, 0) + count
        together = {
            name: {
                path_of(self.recipe, {"name": one["name"]}, column): value
                for one in told
                for column, value in one[name].items()
            }
            for name in ("identifiers", "merged", "clipped", "blanked", "bounds", "losses")
        }
        return {
            "rows_in": sum(one["rows_in"] for one in told), "rows_out": sum(one["rows_out"] for one in told),
            "dropped": dropped, "subjects_out": 0, "k_min": None, **together,
            "tables": [
                {name: one[name] for name in ("name", "rows_in", "rows_out", "dropped", "k_min", "losses", "emptied")}
                for one in told
            ],
        }  # fmt: skip

    def _measure_plain_one(self, one: TablePlan) -> dict:
        rows = self._number(f"SELECT count(*) FROM {one.at('kept')}")
        return {
            "name": one.table["name"], "rows_in": rows, "rows_out": rows, "dropped": {}, "k_min": None,
            "identifiers": {}, "merged": {}, "clipped": {}, "blanked": {}, "bounds": {}, "losses": {}, "emptied": {},
        }  # fmt: skip

    def _measure_one(self, one: TablePlan) -> dict:
        rows_out = self._number(f"SELECT count(*) FROM {one.at('kept')}")
        base = self._number(f"SELECT count(*) FROM {one.at('base')}")
        rows_in, dropped = base, {"small_class": base - rows_out}
        if one.is_by_reference:
            base = self._number(one.scoped())
            dropped = {"unreferred": rows_in - base, "small_class": base - rows_out}
        if one.is_of_persons:
            fates = dict(self.engine.execute(one.fates()).fetchall())
            rows_in = sum(fates.values())
            asked = (
                "no_subject", "opposed", *(["no_consent"] if self.recipe.get("consent") else []),
                *(["not_sampled"] if self.recipe.get("sample") else []),
            )  # fmt: skip
            dropped = {
                **{reason: fates.get(reason, 0) for reason in asked},
                # Rows of an adult whose subject stays behind as a minor stay with them.
                "minor": fates.get("minor", 0) + fates.get("", 0) - base,
                **dropped,
            }
        smallest = self.engine.execute(one.smallest_class()).fetchone()[0]
        texts, scan = one.scan()
        identifiers = dict(zip(texts, self.engine.execute(scan).fetchone(), strict=False))
        for name, sql in one.told_among_words():
            identifiers[name] += self._number(sql)
        changed = [
            *(f"terrain_merged_{n}" for n in range(len(one.merged))),
            *(f"terrain_clipped_{n}" for n in range(len(one.clipped))),
            *(f"terrain_blanked_{n}" for n in range(len(one.blanked))),
            *(f"terrain_emptied_{n}" for n in range(len(one.emptied))),
        ]
        sums = []
        if changed:
            every = ", ".join(f"coalesce(sum(CAST({name} AS INTEGER)), 0)" for name in changed)
            sums = [int(n) for n in self.engine.execute(f"SELECT {every} FROM {one.at('kept')}").fetchone()]
        names = [*one.merged, *one.clipped, *(each["column"] for each in one.blanked)]
        cut = (len(one.merged), len(one.merged) + len(one.clipped), len(names))
        bounds = {}
        if one.clipped:
            row = self.engine.execute(f"SELECT * FROM {one.at('bounds')}").fetchone()
            bounds = {
                name: [as_told(v) for v in pair]
                for name, pair in zip(one.clipped, row, strict=True)
                if pair is not None
            }
        return {
            "name": one.table["name"], "rows_in": rows_in, "rows_out": rows_out, "base": base, "dropped": dropped,
            "k_min": smallest,
            "identifiers": identifiers,
            "merged": dict(zip(names[: cut[0]], sums[: cut[0]], strict=True)),
            "clipped": dict(zip(names[cut[0] : cut[1]], sums[cut[0] : cut[1]], strict=True)),
            "blanked": dict(zip(names[cut[1] :], sums[cut[1] : cut[2]], strict=True)),
            "emptied": dict(zip(one.emptied, sums[cut[2] :], strict=True)),
            "bounds": bounds,
            "losses": {
                name: [list(row) for row in self.engine.execute(one.losses(name)).fetchall()] for name in one.quasi
            },
        }  # fmt: skip

    def _write_tables(self, result: dict) -> dict:
        """One archive: each table's rows go by a pipe of their own into a stored member, and the archive by its pipe
        to the digest and the seal. Nothing clear is a file."""
        if len(self.whole.tables) == 1:
            [one] = self.whole.tables
            self.plan = one
            return self._write(result["rows_out"], self.whole.declared(one))
        outlet = self.scratch / "clear"
        os.mkfifo(outlet, 0o600)
        sealing = Sealing(outlet, Path(self.job["output"]), self.job["recipients"])
        sealing.start()
        files: list[dict] = []
        try:
            with outlet.open("wb", buffering=CHUNK) as pipe:
                archive = zipfile.ZipFile(Outlet(pipe), "w", zipfile.ZIP_STORED)
                rows_out = {one["name"]: one["rows_out"] for one in result["tables"]}
                for one in self.whole.released:
                    files.append(self._pack(one, archive, rows=rows_out[one.table["name"]]))
                for name, content in accompanying(self.job, files):
                    archive.writestr(member(name), content)
                archive.close()
        except (duckdb.Error, OSError):
            sealing.join(timeout=5)
            raise sealing.error or sys.exception() from None
        sealing.join()
        if sealing.error:
            raise sealing.error
        return {
            "clear_sha256": sealing.clear_sha256, "clear_size": sealing.clear_size, "sha256": sealing.sha256,
            "size": sealing.size, "files": files,
        }  # fmt: skip

    def _pack(self, one: TablePlan, archive: zipfile.ZipFile, *, rows: int) -> dict:
        """Copy the rows of one table into a member of the archive; what its description must say of it."""
        form = self.recipe["output"]["format"]
        fifo = self.scratch / "table"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo, 0o600)
        select, shown = self._shown(one)
        told = {"table": one.table["name"], "path": member_path(one.table["name"], form, archive.namelist()), **shown}
        packing = Packing(fifo, archive, told["path"])
        packing.start()
        try:
            self._copy(select, fifo)
        except (duckdb.Error, OSError):
            os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
            packing.join(timeout=5)
            raise packing.error or sys.exception() from None
        packing.join()
        if packing.error:
            raise packing.error
        return {
            **told, "sha256": packing.sha256, "bytes": packing.size, "rows": rows,
            **_as_shown(self.whole.declared(one), told),
        }  # fmt: skip


class Outlet:
    """What an archive is written to when it can only go forward: no position to come back to."""

    def __init__(self, pipe):
        self.pipe = pipe

    def write(self, part: bytes) -> int:
        return self.pipe.write(part)

    def flush(self) -> None:
        self.pipe.flush()


def member(name: str) -> zipfile.ZipInfo:
    """A member whose header says nothing of the moment or the machine, so that the same rows make the same bytes."""
    told = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    told.create_system, told.external_attr = 3, 0o600 << 16
    return told


def member_path(table: str, form: str, taken: Iterable[str] = ()) -> str:
    """The place of a table in the archive: signs that some system takes for a path are replaced, and two names that
    would then be one, to a system that does not tell capitals apart, are numbered."""
    plain = "".join(sign if sign.isalnum() or sign in " ._-" else "_" for sign in table).strip(" .") or "table"
    held = {path.lower() for path in taken}
    numbered = (f"data/{plain}{f'-{n}' if n > 1 else ''}.{form}" for n in itertools.count(1))
    return next(path for path in numbered if path.lower() not in held)


def accompanying(job: dict, files: list[dict]) -> list[tuple[str, bytes]]:
    """The members after the tables: the licence, and the descriptions that other people's tools read."""
    members = []
    if licence := job.get("licence"):
        members.append(("LICENCE.txt", licence.encode()))
    if about := job.get("about"):
        shown = packages.with_words(files, job["words"])
        members.append(("datapackage.json", packages.as_bytes(packages.datapackage(about=about, files=shown))))
        members.append(("croissant.json", packages.as_bytes(packages.croissant(about=about, files=shown))))
    return members


class Packing(threading.Thread):
    """Takes one table's rows from its pipe into a stored member of the archive, and hashes them."""

    def __init__(self, fifo: Path, archive: zipfile.ZipFile, path: str):
        super().__init__(daemon=True)
        self.fifo, self.archive, self.path = fifo, archive, path
        self.error: BaseException | None = None

    def run(self):
        try:
            with self.fifo.open("rb", buffering=CHUNK) as pipe:
                try:
                    self._pack(Tee(pipe))
                except BaseException as error:  # handed to the main thread, which raises it
                    self.error = error
                    while pipe.read(CHUNK):  # whoever writes is not left waiting
                        pass
        except BaseException as error:
            self.error = self.error or error

    def _pack(self, rows: Tee) -> None:
        with self.archive.open(member(self.path), "w", force_zip64=True) as out:
            while part := rows.read(CHUNK):
                out.write(part)
        self.sha256, self.size = rows.sha256.hexdigest(), rows.size


class Preview(Build):
    """What a release would be, in figures alone: the same plan, then no file, and no value of a small group.

    A group is told of when it holds job["preview"]["floor"] distinct subjects or more, and then by a whole percentage.
    `pseudonym_key` may be any: no pseudonym leaves this process.
    """

    keeps = False

    def run(self) -> dict:
        check_header(self.job["source"], self.recipe)
        with duckdb.connect() as self.local, self._connected() as self.engine:
            rows_in = self._carry_out()
            self.say({"step": "thresholds", "percent": 80})
            return self._figures(rows_in) if self.recipe["personal"] else self._plain_figures(rows_in)

    def _statements(self) -> list[Statement]:
        return self.plan.previewed()

    def _told_identifiers(self) -> list[str]:
        """The columns whose values to be released hold an identifier. Only where something looks like one, perhaps in
        a row that stays, are rows treated to be sure."""
        plan = self.plan
        alike = [*plan.shared_with_identifiers(), *(sql for _name, sql in plan.looking_like_identifiers())]
        if not any(self._number(sql) for sql in alike):
            return []
        self._forget(*(f"value_{number}" for number in range(len(plan.texts()))))
        for statement in plan.treating():
            self._make(statement)
        return [name for name, count in self._identifiers().items() if count]

    def _figures(self, rows_in: int) -> dict:
        plan, k = self.plan, self.recipe["k"]
        dropped, base, rows_out = self._dropped(rows_in)
        k_min = self._number(plan.smallest_to_be()) if rows_out else 0
        if self.recipe["minors"]["rule"] == "exclude" and self.recipe["minors"]["age_column"] is None:
            refused = "no_age"
        elif dropped["small_class"] * 100 > self.recipe["suppression_max_pct"] * base:
            refused = "suppression"
        else:
            refused = "empty" if not rows_out else "k" if k_min < k else ""
        identifiers = self._told_identifiers() if rows_out else []
        found = {
            "rows_in": rows_in, "dropped": dropped, "rows_out": rows_out, "k_min": k_min, "identifiers": identifiers,
            "subjects_out": self._number("SELECT count(DISTINCT subject) FROM leaving"),
            "refused": refused or ("identifier" if identifiers else ""),
            "k_before": 0, "small_before": 0, "without": {}, "coarser": {}, "losses": {},
        }  # fmt: skip
        if not plan.quasi or not base:
            return found
        found["k_before"], found["small_before"] = (int(n) for n in self.engine.execute(plan.read_classes()).fetchone())
        self.engine.execute(plan.cells())
        found["without"] = {name: self._number(plan.lost_without(name)) for name in plan.quasi}
        asked = self.job["preview"].get("coarser", {})
        found["coarser"] = {name: self._lost_coarser(name, asked[name]) for name in plan.quasi if name in asked}
        floor = int(self.job["preview"]["floor"])
        found["losses"] = {
            name: [[value, round(100 * lost / before)] for value, before, lost in self.engine.execute(sql).fetchall()]
            for name, sql in ((name, plan.losses_told(name, floor=floor)) for name in plan.quasi)
        }
        return found

    def _lost_coarser(self, name: str, treatment: dict) -> int:
        """Rows that small classes would cost if the quasi-identifier `name` were told as `treatment` says."""
        other = CoarserPlan(self.plan, name, treatment)
        if (rare := other.rare()) is None:
            return self._number(other.lost())
        former = next(one for one in self.plan.measures() if one.name == rare.name)
        self._forget(rare.name)
        self._make(rare)
        lost = self._number(other.lost())
        self._forget(rare.name)
        self._make(former)
        return lost


class TablesPreview(TablesBuild):
    """The same over several tables: a column costs the rows of every table that its absence would give back."""

    def run(self) -> dict:
        for one in self.whole.tables:
            check_header(self.job["sources"][one.table["name"]], one.table)
        with duckdb.connect() as self.local, self._connected() as self.engine:
            self._carry_out()
            persons = self.recipe["personal"]
            told = [self._measure_one(one) if persons else self._measure_plain_one(one) for one in self.whole.released]
            found, refused, k_min = self._sum(told), "", 0
            try:
                k_min = self._measure_tables()["k_min"]
            except Unbuildable as error:
                refused, k_min = error.code, error.facts.get("k_min", 0)
            return {
                **{name: found[name] for name in ("rows_in", "rows_out", "dropped")}, "refused": refused,
                "k_min": k_min if refused in ("", "k") else 0,
                "identifiers": [name for name, count in found["identifiers"].items() if count],
                **(self._costs(told) if persons else {}),
            }  # fmt: skip

    def _costs(self, told: list[dict]) -> dict:
        """What small classes were before any treatment, what each quasi-identifier costs, who loses rows."""
        floor = int(self.job["preview"]["floor"])
        persons = [one for one in self.whole.released if one.is_of_persons]
        before = [self.engine.execute(one.read_classes()).fetchone() for one in persons]
        losses = {
            path_of(self.recipe, one.table, name): [
                [value, round(100 * lost / rows)]
                for value, rows, lost in self.engine.execute(one.losses_told(name, floor=floor)).fetchall()
            ]
            for one in persons
            for name in one.quasi
        }
        return {
            "k_before": min((int(k) for k, _small in before if k is not None), default=0),
            "small_before": sum(int(small) for _k, small in before),
            "without": {
                path_of(self.recipe, one.table, name): self._lost_without(one, name, told)
                # The subjects' own last: the cohort is then made anew.
                for one in sorted(self.whole.tables, key=lambda one: one.is_head)
                for name in one.quasi
            },
            "losses": losses,
        }

    def _lost_without(self, table: TablePlan, name: str, told: list[dict]) -> int:
        """Rows of all tables that small classes would cost if this quasi-identifier were left out: those of the others
        change with the cohort alone."""
        plan = self.whole.without(table.table["name"], name)
        changed = plan.changed_by(plan.named(table.table["name"]))
        own = {one.at("class") for one in changed} | ({"cohort", table.at("class")} if table.is_head else set())
        own |= {statement.name for one in changed for statement in one.referred()}
        for statement in plan.small():
            if statement.name in own:
                self._forget(statement.name)
                self._make(statement)
        lost = {one.table["name"]: self._number(one.scoped()) - self._number(one.left()) for one in changed}
        return sum(lost.get(one["name"], one["base"] - one["rows_out"]) for one in told)


class Match(Build):
    """Who is who, for the zone's worker alone; nothing is written, the answer goes out with the last line.

    job["match"]: {"by": "token" | "pseudonym", "values": [...], "keys": {name: key}}. By token, the answer is
    {name: [pseudonyms]}, in the order of pseudonyms so that no token is told with its own; by pseudonym,
    {name: {pseudonym: token}}. `pseudonym_key` is not needed: each convention comes with its own.
    """

    def run(self) -> dict:
        check_header(self.job["source"], self.recipe)
        wanted, subject = self.job["match"], name_of(self.plan.subject)
        with duckdb.connect() as self.local, self._connected() as self.engine:
            self._configure()
            self.engine.execute(self.plan.source().sql)
            self.engine.execute("CREATE TEMP TABLE wanted (value VARCHAR)")
            self.engine.execute("INSERT INTO wanted SELECT DISTINCT unnest(?)", [wanted["values"]])
            known = f"SELECT DISTINCT {subject} AS subject, {subject} AS named FROM source WHERE {subject} IS NOT NULL"
            if self.plan.daily:  # under the name of each day too
                each = self.plan.name_of_day(subject, self.plan.day("source"))
                known += f" UNION SELECT {subject}, {each} FROM source WHERE {subject} IS NOT NULL"
            token, pseudonym = self.plan.hmac("token", "subject"), self.plan.hmac("pseudonym", "named")
            found: dict[str, object] = {}
            if wanted["by"] == "token":
                tokens = f"SELECT named, {token} AS token FROM ({known}) known"
                self.engine.execute(
                    f"CREATE TEMP TABLE met AS SELECT named FROM ({tokens}) t JOIN wanted ON token = value"
                )
            for name, key in wanted["keys"].items():
                self._take("pseudonym", key)
                shown = f"substr({pseudonym}, 1, 32) AS pseudonym"
                if wanted["by"] == "token":
                    rows = self.engine.execute(f"SELECT {shown} FROM met ORDER BY pseudonym").fetchall()
                    found[name] = [row[0] for row in rows]
                else:
                    keyed = f"SELECT subject, {shown} FROM ({known}) known"
                    text = f"SELECT pseudonym, {token} FROM ({keyed}) k JOIN wanted ON pseudonym = value"
                    found[name] = dict(self.engine.execute(text).fetchall())
            return {"matches": found}


def kind_of(job: dict, build_class: type[Build]) -> type[Build]:
    """A match, a preview, or a build; of one table, or over the tables that the job names."""
    if "match" in job:
        return Match
    if "preview" in job:
        return TablesPreview if "sources" in job else Preview
    if build_class is not Build:
        return build_class
    if "spark" in job:
        from broker.releases import spark  # its libraries are installed where a server is set (extra "spark")

        return spark.SparkTablesBuild if "sources" in job else spark.SparkBuild
    return TablesBuild if "sources" in job else Build


def run(job: dict, say, build_class=Build) -> dict:
    """Carry out `job`; the last message said is also returned. Scratch is gone afterwards but for the tokens."""
    scratch = Path(job["scratch"])
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        last = {"result": kind_of(job, build_class)(job, say).run()}
    except Unbuildable as error:
        last = {"refused": error.code, "facts": error.facts}
    except (duckdb.Error, pyarrow.ArrowException, sorting.Misplaced, OSError, MemoryError, UnicodeDecodeError) as error:
        # The engine's own words may quote a value of the data: only the kind of the error leaves this process.
        last = {"failed": type(error).__name__, "errno": getattr(error, "errno", None) or _errno_of(error)}
    finally:
        shutil.rmtree(scratch / "spill", ignore_errors=True)
        for pipe in ("clear", "table"):
            (scratch / pipe).unlink(missing_ok=True)
    if "result" not in last and "output" in job:
        Path(job["output"]).unlink(missing_ok=True)
    say(last)
    return last


def _errno_of(error: BaseException) -> int | None:
    """DuckDB says a full disk in words: its own limit on spill files, or the system's refusal."""
    words = str(error)
    full = "max_temp_directory_size" in words or os.strerror(errno.ENOSPC) in words
    return errno.ENOSPC if full else None


def main() -> int:
    os.umask(0o077)  # whatever this process writes is its own; set here, since it holds for the whole process
    job = json.load(sys.stdin)
    # Address space, not only the engine's own budget: a runaway allocation ends this process, not the machine.
    limit = (int(job["memory_mib"]) * 2 + 4096) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    last = run(job, lambda line: print(json.dumps(line, ensure_ascii=False), flush=True))
    return 0 if "result" in last else 3


if __name__ == "__main__":
    sys.exit(main())
