"""Opening sealed sources. For the worker alone: it needs the zone's identity, which the web's processes never hold.

    with clear_copy(version) as path:
        connection.execute(f"SELECT * FROM {relation(path, version.reading)}")

The clear copy is a CSV in UTF-8 with commas and a header, or the very bytes of a Parquet file, in a scratch folder of
mode 0700 that is removed in every case. Every column is to be read as text; `relation` says how, with the version's
marks for missing values.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyrage
from django.conf import settings
from django.utils.translation import gettext as _

from broker.errors import BadInput
from broker.keys.store import KeyStore
from broker.parquet import relation as as_text
from zones import parquet, places
from zones.models import DatasetVersion, VersionFile
from zones.reading import (
    LIMITS,
    Limits,
    Reading,
    Seen,
    Unreadable,
    encoding_of,
    expand,
    fhir_columns,
    header_below,
    json_columns,
    lines,
    stacked_tables,
    write_clear,
)

log = logging.getLogger(__name__)
PIECE = 256 * 1024  # bytes between the opening thread and the reader
AHEAD = 16  # pieces
CHECK_MEMORY = 1024  # MiB for the engine that checks a Parquet file
CHECK_SECONDS = 1800  # of computing, then of waiting


Source = DatasetVersion | VersionFile  # a version of one file stands for its file


def _file(source: Source) -> VersionFile:
    return source.only_file if isinstance(source, DatasetVersion) else source


def path_of(source: Source) -> Path:
    """Where the sealed bytes of a file lie."""
    return settings.SOURCES / _file(source).stored_as


def clear_scratch() -> None:
    """Remove the clear copies that a killed worker left behind. Only for a job that holds the lock "builds"."""
    if settings.SCRATCH.exists():
        for left in settings.SCRATCH.glob("source-*"):
            shutil.rmtree(left, ignore_errors=True)


def open_source(source: Source, *, covered_by: str = "") -> Iterator[bytes]:
    """The original bytes of a file, in pieces, as they were sent. Raises BadInput when they are not those.

    `covered_by` names the event that tells this opening already (see `KeyStore.open`).
    """
    file = _file(source)
    if file.place != VersionFile.Place.UPLOAD:
        yield from _in_place(file)
        return
    secret = KeyStore().open("source", f"zone:{file.version.dataset.zone_id}", covered_by=covered_by)
    identity = pyrage.x25519.Identity.from_str(secret.decode().strip())
    digest = hashlib.sha256()
    for piece in _opened(path_of(file), identity):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise BadInput(_("La source conservée n'a plus l'empreinte qu'elle avait à l'arrivée. Envoyez-la à nouveau."))


def _in_place(file: VersionFile) -> Iterator[bytes]:
    """The bytes of a file that stays where the operator keeps it. Raises BadInput when they are not those examined."""
    digest = hashlib.sha256()
    for piece in places.of_zone(file.version.dataset.zone, file.place).open(file.place_ref, mark=file.place_mark):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise places.changed(file.place_ref)


class _Pieces:
    """A file to write to, whose bytes come out of a bounded queue."""

    def __init__(self):
        self.queue: queue.Queue = queue.Queue(AHEAD)
        self.abandoned = threading.Event()

    def write(self, data) -> int:
        self.put(bytes(data))
        return len(data)

    def put(self, item) -> None:
        while not self.abandoned.is_set():
            with contextlib.suppress(queue.Full):
                self.queue.put(item, timeout=0.2)
                return
        raise BrokenPipeError

    def flush(self) -> None:
        """Nothing is held back."""


def _opened(path: Path, identity) -> Iterator[bytes]:
    pieces = _Pieces()

    def run():
        end: object = None
        try:
            with path.open("rb") as sealed:
                pyrage.decrypt_io(sealed, pieces, [identity])
        except BaseException as error:
            end = error
        with contextlib.suppress(BrokenPipeError):
            pieces.put(end)

    thread = threading.Thread(target=run, name="open-source", daemon=True)
    thread.start()
    try:
        held: list[bytes] = []
        size = 0
        while isinstance(piece := pieces.queue.get(), bytes):
            held.append(piece)
            size += len(piece)
            if size >= PIECE:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)
        # A piece that does not decrypt comes as an OSError without a number; one of the disk has its number.
        if isinstance(piece, pyrage.DecryptError) or (isinstance(piece, OSError) and piece.errno is None):
            raise BadInput(
                _("La source conservée est abîmée ou scellée à une autre clé. Envoyez-la à nouveau.")
            ) from piece
        if piece is not None:
            raise piece
    finally:
        pieces.abandoned.set()
        thread.join(timeout=5)


@contextmanager
def clear_copy(
    source: Source,
    *,
    checked: bool = False,
    covered_by: str = "",
    limits: Limits = LIMITS,
    prefix: str = "source-",
) -> Iterator[Path]:
    """A clear CSV of a file (UTF-8, commas, header), or its Parquet file as it is, in a scratch folder.

    The folder is removed at the end, whatever happens.

    With `checked` every row is read and compared with the header; the file's `rows`, what its `reading` counts and
    its `proposed` (options that would mend what was met) are set, not saved. Raises BadInput with the line at fault
    and its mend.
    `prefix` names the folder: who works beside the lock "builds" takes another, which `clear_scratch` leaves alone.
    """
    with _scratch(prefix) as folder:
        path = folder / "clear.csv"
        _write_clear(_file(source), path, checked=checked, covered_by=covered_by, limits=limits)
        yield path


@contextmanager
def clear_copies(
    version: DatasetVersion, *, covered_by: str = "", limits: Limits = LIMITS, prefix: str = "source-"
) -> Iterator[dict[str, Path]]:
    """The clear copy of every table of `version`, by the table's name, under one folder removed at the end."""
    with _scratch(prefix) as folder:
        paths = {}
        for number, file in enumerate(version.files.select_related("table", "version__dataset")):
            paths[file.table.name] = folder / f"{number}.csv"  # a table's name is no path
            _write_clear(file, paths[file.table.name], checked=False, covered_by=covered_by, limits=limits)
        yield paths


@contextmanager
def _scratch(prefix: str) -> Iterator[Path]:
    settings.SCRATCH.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=settings.SCRATCH))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _write_clear(file: VersionFile, path: Path, *, checked: bool, covered_by: str, limits: Limits) -> None:
    def blocks() -> Iterator[str]:
        original = open_source(file, covered_by=covered_by)
        return lines(expand(original, limits=limits), reading.encoding, limits=limits)

    reading = Reading.of(file.reading)
    if checked and reading.format in ("fhir", "ndjson"):  # the columns are known once every line has been seen
        fhir = reading.format == "fhir"
        found = fhir_columns(blocks(), reading, limits=limits) if fhir else json_columns(blocks(), limits=limits)
        reading = dataclasses.replace(reading, columns=found)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    if reading.format == "parquet":
        with os.fdopen(descriptor, "wb") as whole:
            for piece in open_source(file, covered_by=covered_by):
                whole.write(piece)
        if checked:
            rows, reading, seen = check_parquet(path, reading, limits=limits)
            _keep(file, reading, rows, 0, seen)
        return
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
        if checked or not reading.is_plain:
            written = write_clear(blocks(), reading, out, limits=limits)
            if checked:
                _keep(file, reading, written.rows, written.blank_lines, written.seen)
        else:
            for block in blocks():
                out.write(block)


def check_parquet(path: Path, reading: Reading, *, limits: Limits = LIMITS) -> tuple[int, Reading, Seen]:
    """Rows, reading with the types met and what was passed. Raises BadInput with the column at fault and its mend."""
    order = {
        "path": str(path), "scratch": str(path.parent), "memory": CHECK_MEMORY, "seconds": CHECK_SECONDS,
        "absent": reading.absent, "limits": dataclasses.asdict(limits),
    }  # fmt: skip
    process = None
    try:
        process = subprocess.run(
            [sys.executable, "-m", "zones.parquet"],
            input=json.dumps(order), capture_output=True, text=True, cwd=settings.BASE_DIR, timeout=CHECK_SECONDS,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(path.parent)}, check=False,
        )  # fmt: skip
        told = json.loads(process.stdout or "null") or {"problem": "died"}
    except subprocess.TimeoutExpired:
        told = {"problem": "died"}
    if "problem" in told:
        if told["problem"] == "died":
            log.error("the check of a Parquet file died: %s", "" if process is None else process.stderr[-2000:])
        absent = {name: {"kind": one["kind"], "n": one["n"]} for name, one in told.get("columns", {}).items()}
        raise Unreadable(parquet.refusal(told), **({"absent": absent} if absent else {}))
    types = tuple((name, declared) for name, declared in told["types"])
    mended = {"absent": told["absent"]} if told["absent"] else {}
    return told["rows"], dataclasses.replace(reading, types=types), Seen(mended=mended)


def _keep(file: VersionFile, reading: Reading, rows: int, blank_lines: int, seen: Seen) -> None:
    file.rows = rows
    file.reading = dataclasses.replace(reading, blank_lines=blank_lines, mended=seen.mended).as_json()
    file.proposed = seen.proposed


def guess_encoding(source: Source, *, covered_by: str = "") -> str:
    """The encoding that would read a source that is not UTF-8; "" when none is known."""
    return encoding_of(expand(open_source(source, covered_by=covered_by)))


def guess_stack(source: Source, *, covered_by: str = "") -> list[tuple[str, int]]:
    """The tables that a file of text holds one under the other; [] when it is one table."""
    reading = Reading.of(_file(source).reading)
    return stacked_tables(lines(expand(open_source(source, covered_by=covered_by)), reading.encoding), reading)


def guess_header(source: Source, *, covered_by: str = "") -> dict[str, Any]:
    """The line of a header that stands below a title or remarks, and its separator; {} where none is seen."""
    reading = Reading.of(_file(source).reading)
    return header_below(lines(expand(open_source(source, covered_by=covered_by)), reading.encoding), reading)


def literal(text: str) -> str:
    """`text` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def relation(path: Path | str, stored: dict) -> str:
    """The SQL of the table in a clear copy: every column text, in the file's order, missing values NULL."""
    if stored.get("format") == "parquet":
        return as_text(str(path), stored)
    marks = ", ".join(literal(mark) for mark in ("", *Reading.of(stored).missing))
    return (
        f"read_csv({literal(str(path))}, header = true, delim = ',', quote = '\"', escape = '\"', "
        f"all_varchar = true, nullstr = [{marks}], max_line_size = {LIMITS.line_bytes * 2}, auto_detect = false, "
        f"columns = {_columns(path)})"
    )


def _columns(path: Path | str) -> str:
    """The names of the header as DuckDB's `columns`: without them it would guess from the first rows."""
    import csv

    with Path(path).open(encoding="utf-8", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file))]
    return "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names) + "}"
