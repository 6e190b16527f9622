"""An external sort: rows come batch by batch in no order, and go out in the order of the file. No Django, no SQL.

A row bears `terrain_sid`, how many rows of other pseudonyms stand before its own in the file (`plan.Plan.leaving`), so
the part of the file that it will stand in is known at once. Rows are laid into parts on disk (Arrow IPC, as they lie in
memory), each small enough to be sorted in memory; parts are then read one after the other. That is a distribution sort
(Knuth, The Art of Computer Programming, 3, 5.2.5); an engine that sorts, spills and stores whole rows spends nearly
twice as much on it (docs/adr/0023).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import pyarrow
from pyarrow import ipc

if TYPE_CHECKING:
    from pyarrow import dataset

SUBJECT, LINE = "terrain_sid", "terrain_line"
MOST_PARTS = 512  # files open at once
HELD = 4  # parts' worth of rows that wait to be written
TOGETHER = 16  # parts that are asked of together
MAPPED = 64  # parts' worth of rows that are mapped at once, at most
GROUP = 122_880  # rows of a batch that goes out: those of a row group of the file
BITS = 64


class Misplaced(Exception):
    """Rows do not stand where they were counted to: some were lost, or come twice."""


class Parts:
    """The rows of a file, in parts in `folder`. `rows`: how many there will be; `part_bytes`: how many bytes of them
    are held in memory, about; the rows of one pseudonym are never parted."""

    def __init__(self, folder: Path, *, rows: int, part_bytes: int):
        self.folder, self.rows, self.part_bytes = folder, rows, part_bytes
        self.paths: list[Path] = []

    def take_in(self, reader: pyarrow.RecordBatchReader) -> None:
        """Lay every row of `reader` into its part. Raises Misplaced for a row that is of none."""
        self.folder.mkdir(mode=0o700, parents=True)
        self.schema = reader.schema
        batch = next(reader, None)
        width = batch.nbytes / batch.num_rows if batch is not None and batch.num_rows else 1
        count = max(1, min(MOST_PARTS, -int(-self.rows * width // self.part_bytes)))
        self.paths = [self.folder / f"{number}.arrow" for number in range(count)]
        with ExitStack() as files:
            sinks = [files.enter_context(pyarrow.OSFile(str(path), "wb")) for path in self.paths]
            parts = [Part(files.enter_context(ipc.new_file(sink, self.schema))) for sink in sinks]
            waiting = 0
            while batch is not None:
                self._lay(batch, parts)
                waiting += batch.nbytes
                batch = next(reader, None)
                if batch is None or waiting >= HELD * self.part_bytes:
                    for part in parts:
                        part.flush()
                    waiting = 0

    def _lay(self, batch: pyarrow.RecordBatch, parts: list["Part"]) -> None:
        place = _numbers(batch.column(SUBJECT))
        if batch.num_rows and not 0 <= place.min() <= place.max() < self.rows:
            raise Misplaced
        of = (place * len(parts) // max(1, self.rows)).astype(numpy.uint16)
        laid = batch.take(_array(numpy.argsort(of, kind="stable"))) if len(parts) > 1 else batch
        begin = 0
        for part, rows in zip(parts, numpy.bincount(of, minlength=len(parts)).tolist(), strict=True):
            if rows:
                part.add(laid.slice(begin, rows))
            begin += rows

    def whole(self) -> "pyarrow.Table | dataset.Dataset":
        """Every row, in no order, to be asked of any number of times: mapped, or, where that would take more than the
        address space of a build has, read again at each question."""
        if sum(path.stat().st_size for path in self.paths) <= MAPPED * self.part_bytes:
            return self._mapped(self.paths)
        from pyarrow import dataset  # half a second, which a build of fewer rows does without

        return dataset.dataset([str(path) for path in self.paths], schema=self.schema, format="ipc")

    def some(self) -> Iterator[pyarrow.Table]:
        """The rows of some parts, then of some others, in no order."""
        for begin in range(0, len(self.paths), TOGETHER):
            yield self._mapped(self.paths[begin : begin + TOGETHER])

    @staticmethod
    def _mapped(paths: list[Path]) -> pyarrow.Table:
        return pyarrow.concat_tables([ipc.open_file(pyarrow.memory_map(str(path))).read_all() for path in paths])

    def in_order(self, by: str) -> Iterator[pyarrow.Table]:
        """The rows in the order of the file: by subject, then by the column `by`, none last, then by line; with
        `event_rank`, the rank of a row among its subject's, from 1. The next part is sorted while one is used. Raises
        Misplaced unless every subject's rows stand at their place."""
        begin = 0
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._sorted, self.paths[0], by)
            for path in [*self.paths[1:], None]:
                table = coming.result()
                if path:
                    coming = ahead.submit(self._sorted, path, by)
                yield self._ranked(table, begin)
                begin += table.num_rows
        if begin != self.rows:
            raise Misplaced

    @staticmethod
    def _sorted(path: Path, by: str) -> pyarrow.Table:
        with pyarrow.memory_map(str(path)) as mapped:
            table = ipc.open_file(mapped).read_all().combine_chunks()
        return table.take(_array(order_of(*(table.column(name).combine_chunks() for name in (SUBJECT, by, LINE)))))

    @staticmethod
    def _ranked(table: pyarrow.Table, begin: int) -> pyarrow.Table:
        places = _numbers(table.column(SUBJECT))
        at = numpy.arange(begin, begin + len(places))
        first = numpy.ones(len(places), bool)
        first[1:] = places[1:] != places[:-1]
        if (places[first] != at[first]).any():
            raise Misplaced
        return table.append_column("event_rank", _array(at - places + 1))


class Part:
    """A file of rows that is being written, some at a time: a handful is not worth finding again."""

    def __init__(self, file: ipc.RecordBatchFileWriter):
        self.file = file
        self.held: list[pyarrow.RecordBatch] = []

    def add(self, rows: pyarrow.RecordBatch) -> None:
        self.held.append(rows)

    def flush(self) -> None:
        if self.held:
            self.file.write_batch(pyarrow.concat_batches(self.held))
        self.held = []


class Names:
    """The pseudonyms of subjects: `places`, where their rows begin, ascending, and the `names` they bear."""

    def __init__(self, places: pyarrow.ChunkedArray, names: pyarrow.ChunkedArray):
        self.places, self.names = _numbers(places), names.combine_chunks()

    def put_on(self, table: pyarrow.Table) -> pyarrow.Table:
        """`table` with the column `pseudonym`: one text a subject, whatever its rows."""
        of = numpy.searchsorted(self.places, _numbers(table.column(SUBJECT)))
        low, high = (int(of[0]), int(of[-1]) + 1) if len(of) else (0, 0)
        indices = _array((of - low).astype(numpy.int32))
        named = pyarrow.DictionaryArray.from_arrays(indices, self.names.slice(low, high - low))
        return table.append_column("pseudonym", named)


def order_of(*columns: pyarrow.Array) -> numpy.ndarray:
    """The positions of rows in the order of `columns` (whole numbers, moments, dates, floating numbers), the first
    foremost; missing values last, NaN before them; the last column decides and is nobody's twice."""
    keys = [_from_zero(_whole(column)) for column in columns]
    # One number a row: the first bits of its keys, then its position. Sorting numbers takes half the time of sorting
    # positions by them.
    position = numpy.arange(len(columns[0]), dtype=numpy.uint64)
    free = BITS - _bits(position)
    key = position.copy()
    for one in keys:
        cut = max(0, _bits(one) - free)
        free -= _bits(one) - cut
        key |= (one >> numpy.uint64(cut)) << numpy.uint64(_bits(position) + free)
    key.sort()
    order = (key & numpy.uint64((1 << _bits(position)) - 1)).astype(numpy.int64)
    if free == 0:
        _settle(order, key >> numpy.uint64(_bits(position)), keys)
    return order


def _settle(order: numpy.ndarray, told: numpy.ndarray, keys: list[numpy.ndarray]) -> None:
    """Put in order, in place, the rows that one number could not tell apart: `told`, the numbers in their order."""
    same = told[1:] == told[:-1]
    tied = numpy.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    places = numpy.flatnonzero(tied)
    rows = order[places]
    order[places] = rows[numpy.lexsort([one[rows] for one in reversed(keys)])]


def _numbers(column: pyarrow.Array | pyarrow.ChunkedArray) -> numpy.ndarray:
    """The values of a column of numbers as they lie, anything where one is missing. (`to_numpy` and `fill_null` import
    pandas where it is installed: 0.3 s.)"""
    held = column.combine_chunks() if isinstance(column, pyarrow.ChunkedArray) else column
    if not len(held):
        return numpy.zeros(0, numpy.int64)
    bare = pyarrow.Array.from_buffers(held.type, len(held), [None, held.buffers()[1]], offset=held.offset)
    return numpy.from_dlpack(bare)


def _array(values: numpy.ndarray) -> pyarrow.Array:
    """The column of these numbers, as they lie."""
    kind = pyarrow.from_numpy_dtype(values.dtype)
    return pyarrow.Array.from_buffers(kind, len(values), [None, pyarrow.py_buffer(values)])


def _whole(column: pyarrow.Array) -> numpy.ndarray:
    """Numbers of 64 bits in the order of the values."""
    kind = column.type
    if pyarrow.types.is_floating(kind):
        # As IEEE 754 lays them, numbers are ordered as whole ones, the negative ones backwards; + 0.0 makes -0.0 0.0.
        numbers = _numbers(column).astype(numpy.float64) + 0.0
        bits = numpy.where(numpy.isnan(numbers), numpy.nan, numbers).view(numpy.int64)
        values = numpy.where(bits < 0, bits ^ numpy.int64(2**63 - 1), bits)
    else:
        plain = column.cast(pyarrow.int32()) if pyarrow.types.is_date32(kind) else column
        values = _numbers(plain.cast(pyarrow.int64()))
    if column.null_count:
        # No value is the last one: ranks make room for it.
        missing = _numbers(column.is_null().cast(pyarrow.uint8())).astype(bool)
        values = _ranks(values).astype(numpy.int64)
        values[missing] = len(values)
    return values


def _from_zero(values: numpy.ndarray) -> numpy.ndarray:
    return values.view(numpy.uint64) - (values.min() if len(values) else numpy.int64(0)).view(numpy.uint64)


def _bits(values: numpy.ndarray) -> int:
    return int(values.max()).bit_length() if len(values) else 0


def _ranks(values: numpy.ndarray) -> numpy.ndarray:
    """The number of distinct smaller values, for each."""
    order = numpy.argsort(values)
    in_order = values[order]
    ranks = numpy.empty(len(values), numpy.uint64)
    ranks[order] = numpy.cumsum(numpy.concatenate((numpy.zeros(1, bool), in_order[1:] != in_order[:-1]))[: len(values)])
    return ranks


def batches(tables: Iterator[pyarrow.Table], rows: int = GROUP) -> Iterator[pyarrow.RecordBatch]:
    """The rows of `tables`, in their order, in batches of `rows` but for the last."""
    held: pyarrow.Table | None = None
    for table in tables:
        held = table if held is None else pyarrow.concat_tables([held, table])
        while held.num_rows >= rows:
            yield from held.slice(0, rows).combine_chunks().to_batches()
            held = held.slice(rows)
    if held is not None and held.num_rows:
        yield from held.combine_chunks().to_batches()
