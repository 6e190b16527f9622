"""The build of one release, in a process of its own: `python -m broker.releases.engine`, its job on standard input.

No Django, no database, no key store: what it needs comes with the job (a JSON object), keys included, so that they
stand in no command line, file or environment. Lines of JSON go out on standard output: {"step", "percent"} while it
works, then one {"result": ...}, {"refused": code, "facts": ...} or {"failed": what}.

    job: recipe, source (path of the clear UTF-8 copy), output (path to write), scratch (a folder of its own),
         recipients (age public keys; empty = not sealed), pseudonym_key, token_key (64 hexadecimal characters each),
         opposed, consented (hexadecimal tokens), marks (texts written into the file: licence, watermark), memory_mib,
         threads

Clear output is never a file when it is sealed: COPY -> FIFO -> SHA-256 -> age. Scratch (spill files hold clear
identifiers) is mode 0700 and removed at the end, whatever happened.
"""

import csv
import errno
import hashlib
import json
import os
import resource
import shutil
import sys
import threading
from pathlib import Path

import duckdb
import pyrage

from broker.releases.dialects import name_of, text_of
from broker.releases.plan import Plan

BLOCK = 64  # bytes: block of SHA-256; the keys are exactly as long
CHUNK = 1 << 20


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


class Build:
    """One build: runs the plan, watches its limits, writes the file, returns what was measured."""

    plan_class = Plan  # a test breaks one guard here, and nowhere else

    def __init__(self, job: dict, say):
        self.job, self.recipe, self.say = job, job["recipe"], say
        self.scratch = Path(job["scratch"])
        self.plan = self.plan_class(self.recipe, path=job["source"])

    def run(self) -> dict:
        self._check_header()
        with duckdb.connect() as self.engine:
            self._configure()
            self._load_tokens()
            self._load_lookups()
            counts: dict[str, int] = {}
            for statement in self.plan.statements():
                self.say({"step": statement.step, "percent": statement.percent})
                self.engine.execute(statement.sql)
                if statement.name == "source":
                    counts["rows_in"] = self._number("SELECT count(*) FROM source")
                    self._check_values()
            result = self._measure(counts["rows_in"]) if self.recipe["personal"] else self._measure_plain()
            self.say({"step": "writing", "percent": 80})
            return {**result, **self._write()}

    def _number(self, sql: str) -> int:
        return int(self.engine.execute(sql).fetchone()[0])

    def _configure(self):
        spill = self.scratch / "spill"
        self.engine.execute(f"SET threads = {int(self.job.get('threads', 2))}")
        self.engine.execute(f"SET memory_limit = '{int(self.job['memory_mib'])}MiB'")
        self.engine.execute(f"SET temp_directory = {text_of(str(spill))}")
        self.engine.execute("SET TimeZone = 'UTC'")
        self.engine.execute("SET autoinstall_known_extensions = false")
        # Started from a string rather than a module, the engine believes that a person watches, and draws a bar among
        # the lines of JSON as soon as a statement takes two seconds.
        self.engine.execute("SET enable_progress_bar = false")
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
            self.engine.execute(f"CREATE TEMP TABLE {name} (token VARCHAR)")
            self.engine.execute(f"INSERT INTO {name} SELECT unnest(?)", [self.job.get(name, [])])

    def _load_lookups(self):
        """Public tables of reference, every column a text; each must be the one that the recipe names."""
        for name, sha256 in self.plan.lookups().items():
            path = Path(self.job["lookups"][name])
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise Unbuildable("lookup", name=name)
            self.engine.execute(
                f"CREATE TEMP TABLE {name_of(name)} AS SELECT * FROM read_csv({text_of(str(path))}, header = true, "
                "all_varchar = true, delim = ',')"
            )

    def _check_header(self):
        """The source names the columns the recipe was made for, in order."""
        if self.recipe["reading"].get("format") == "parquet":
            with duckdb.connect() as engine:
                rows = engine.execute(f"DESCRIBE SELECT * FROM read_parquet({text_of(self.job['source'])})").fetchall()
            self._same_columns([row[0] for row in rows])
            return
        with Path(self.job["source"]).open(encoding="utf-8-sig", newline="") as lines:
            self._same_columns([name.strip() for name in next(csv.reader(lines), [])])

    def _same_columns(self, header: list[str]):
        if header != self.recipe["source_columns"]:
            missing = [name for name in self.recipe["source_columns"] if name not in header]
            raise Unbuildable("header", missing=missing)

    def _check_values(self):
        misread = self.plan.misread()
        if not misread:
            return
        counts = self.engine.execute(f"SELECT {', '.join(sql for _, sql in misread)} FROM source").fetchone()
        if wrong := {name: count for (name, _), count in zip(misread, counts, strict=True) if count}:
            raise Unbuildable("type", columns=wrong)

    def _measure(self, rows_in: int) -> dict:
        self.say({"step": "thresholds", "percent": 76})
        plan, subject = self.plan, name_of(self.plan.subject)
        if self.recipe["minors"]["rule"] == "exclude" and self.recipe["minors"]["age_column"] is None:
            raise Unbuildable("no_age")
        no_subject = self._number(f"SELECT count(*) FROM source WHERE {subject} IS NULL")
        known = self._number(f"SELECT count(*) FROM source JOIN subject ON source.{subject} = subject.subject")
        agreed = (
            self._number(
                f"SELECT count(*) FROM source JOIN subject ON source.{subject} = subject.subject AND consented"
            )
            if self.recipe.get("consent")
            else known
        )
        base = self._number("SELECT count(*) FROM base")
        rows_out = self._number("SELECT count(*) FROM kept")
        dropped = {
            "no_subject": no_subject,
            "opposed": rows_in - no_subject - known,
            **({"no_consent": known - agreed} if self.recipe.get("consent") else {}),
            "minor": agreed - base,
            "small_class": base - rows_out,
        }
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
        changed = [
            *(f"coalesce(sum(CAST(terrain_merged_{n} AS INTEGER)), 0)" for n in range(len(plan.merged))),
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
            bounds = {name: list(pair) for name, pair in zip(plan.clipped, row, strict=True) if pair is not None}
        tokens = [row[0] for row in self.engine.execute(plan.tokens()).fetchall()]
        (self.scratch / "tokens").write_bytes(b"".join(bytes.fromhex(token) for token in tokens))
        return {
            "rows_in": rows_in,
            "dropped": dropped,
            "rows_out": rows_out,
            "subjects_out": len(tokens),
            "k_min": k_min,
            "identifiers": identifiers,
            "merged": dict(zip(plan.merged, sums, strict=False)),
            "clipped": dict(zip(plan.clipped, sums[len(plan.merged) :], strict=False)),
            "blanked": dict(
                zip(
                    [one["column"] for one in plan.blanked],
                    sums[len(plan.merged) + len(plan.clipped) :],
                    strict=True,
                )
            ),
            "bounds": bounds,
            "losses": {
                name: [
                    [value, before, lost] for value, before, lost in self.engine.execute(plan.losses(name)).fetchall()
                ]
                for name in plan.quasi
            },
        }

    def _identifiers(self) -> dict[str, int]:
        """Identifiers found in the rows to be released, by column: none, or the build is refused."""
        names, own = self.plan.own_identifiers()
        counts = dict(zip(names, self.engine.execute(own).fetchone(), strict=False))
        for name, sql in self.plan.looking_like_identifiers():
            counts[name] += self._number(sql)
        return counts

    def _measure_plain(self) -> dict:
        rows = self._number("SELECT count(*) FROM kept")
        return {
            "rows_in": rows, "dropped": {}, "rows_out": rows, "subjects_out": 0, "k_min": None,
            "merged": {}, "clipped": {}, "blanked": {}, "bounds": {}, "losses": {}, "identifiers": {},
        }  # fmt: skip

    def _write(self) -> dict:
        fifo = self.scratch / "clear"
        os.mkfifo(fifo, 0o600)
        sealing = Sealing(fifo, Path(self.job["output"]), self.job["recipients"])
        sealing.start()
        marks = ", ".join(f"{name}: {text_of(value)}" for name, value in sorted(self.job.get("marks", {}).items()))
        form = (
            f"FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{{marks}}}"
            if self.recipe["output"]["format"] == "parquet"
            else "FORMAT csv, HEADER true, USE_TMP_FILE false"
        )
        try:
            self.engine.execute(f"COPY ({self.plan.output()}) TO {text_of(str(fifo))} ({form})")
        except duckdb.Error:
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
        }


class Match(Build):
    """Who is who, for the zone's worker alone; nothing is written, the answer goes out with the last line.

    job["match"]: {"by": "token" | "pseudonym", "values": [...], "keys": {name: key}}. By token, the answer is
    {name: [pseudonyms]}, in the order of pseudonyms so that no token is told with its own; by pseudonym,
    {name: {pseudonym: token}}. `pseudonym_key` is not needed: each convention comes with its own.
    """

    def run(self) -> dict:
        self._check_header()
        wanted, subject = self.job["match"], name_of(self.plan.subject)
        with duckdb.connect() as self.engine:
            self._configure()
            self.engine.execute(self.plan.source().sql)
            self.engine.execute("CREATE TEMP TABLE wanted (value VARCHAR)")
            self.engine.execute("INSERT INTO wanted SELECT DISTINCT unnest(?)", [wanted["values"]])
            known = f"SELECT DISTINCT {subject} AS subject FROM source WHERE {subject} IS NOT NULL"
            token, pseudonym = (self.plan.hmac(key, "subject") for key in ("token", "pseudonym"))
            found: dict[str, object] = {}
            if wanted["by"] == "token":
                tokens = f"SELECT subject, {token} AS token FROM ({known}) known"
                self.engine.execute(
                    f"CREATE TEMP TABLE met AS SELECT subject FROM ({tokens}) t JOIN wanted ON token = value"
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


def run(job: dict, say, build_class=Build) -> dict:
    """Carry out `job`; the last message said is also returned. Scratch is gone afterwards but for the tokens."""
    scratch = Path(job["scratch"])
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        last = {"result": (Match if "match" in job else build_class)(job, say).run()}
    except Unbuildable as error:
        last = {"refused": error.code, "facts": error.facts}
    except (duckdb.Error, OSError, MemoryError, UnicodeDecodeError) as error:
        # The engine's own words may quote a value of the data: only the kind of the error leaves this process.
        last = {"failed": type(error).__name__, "errno": getattr(error, "errno", None) or _errno_of(error)}
    finally:
        shutil.rmtree(scratch / "spill", ignore_errors=True)
        (scratch / "clear").unlink(missing_ok=True)
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
