"""The order of a file's rows, whatever parts they were laid into."""

import datetime
import math
import tempfile
from itertools import count
from pathlib import Path

import duckdb
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.releases.sorting import Misplaced, Names, Parts, batches, order_of

MOMENTS = st.none() | st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))  # noqa: DTZ001
NUMBERS = st.none() | st.floats(allow_nan=True, width=64)
WHOLE = st.integers(-(2**62), 2**62)


def last(value) -> tuple:
    """What sorts a value as the two engines do: NaN after every number, none after everything."""
    if value is None:
        return (2, 0)
    return (1, 0) if isinstance(value, float) and math.isnan(value) else (0, value)


@st.composite
def files(draw, values=MOMENTS):
    """Rows of some subjects, each with the place where its subject's begin, in any order."""
    rows, place, line = [], 0, count(1)
    for own in draw(st.lists(st.lists(values, min_size=1, max_size=4), max_size=8)):
        rows += [(place, value, next(line)) for value in own]
        place += len(own)
    return draw(st.permutations(rows))


def table(rows, kind=None) -> pyarrow.Table:
    places, values, lines = zip(*rows, strict=True) if rows else ((), (), ())
    return pyarrow.table(
        {
            "terrain_sid": pyarrow.array(places, pyarrow.int64()),
            "at": pyarrow.array(values, kind or pyarrow.timestamp("us")),
            "terrain_line": pyarrow.array(lines, pyarrow.int64()),
        }
    )


def laid(folder, rows, *, part_bytes=64, expected=None, batch_rows=3) -> Parts:
    parts = Parts(Path(folder) / "parts", rows=len(rows) if expected is None else expected, part_bytes=part_bytes)
    given = table(rows)
    parts.take_in(pyarrow.RecordBatchReader.from_batches(given.schema, given.to_batches(max_chunksize=batch_rows)))
    return parts


@settings(max_examples=30, deadline=None)
@given(files(), st.sampled_from([1, 64, 500, 10**6]), st.integers(1, 7))
def test_rows_leave_by_subject_then_by_moment_then_by_line_whatever_the_parts(rows, part_bytes, batch_rows):
    with tempfile.TemporaryDirectory() as folder:
        parts = laid(folder, rows, part_bytes=part_bytes, batch_rows=batch_rows)

        found = pyarrow.concat_tables(
            [table([]).append_column("event_rank", [[]]), *parts.in_order("at")], promote_options="permissive"
        )

    expected = sorted(rows, key=lambda row: (row[0], last(row[1]), row[2]))
    assert found.column("terrain_line").to_pylist() == [line for _place, _at, line in expected]
    assert found.column("event_rank").to_pylist() == [at - row[0] + 1 for at, row in enumerate(expected)]


@given(st.lists(st.tuples(st.integers(0, 3), NUMBERS), max_size=40))
def test_numbers_are_ordered_as_both_engines_order_them(pairs):
    rows = [(place, value, line) for line, (place, value) in enumerate(pairs)]
    held = table(rows, pyarrow.float64())

    order = order_of(*(held.column(name).combine_chunks() for name in held.column_names))

    assert [rows[n][2] for n in order] == [
        line for *_rest, line in sorted(rows, key=lambda r: (r[0], last(r[1]), r[2]))
    ]


@given(st.lists(st.tuples(WHOLE, WHOLE), max_size=40))
def test_numbers_too_wide_to_be_sorted_as_one_are_told_apart_all_the_same(pairs):
    rows = [(*pair, line) for line, pair in enumerate(pairs)]
    held = table(rows, pyarrow.int64())

    order = order_of(*(held.column(name).combine_chunks() for name in held.column_names))

    assert [rows[n] for n in order] == sorted(rows)


@pytest.mark.parametrize("part_bytes", [1000, 20_000], ids=["more than is mapped", "mapped"])
def test_every_row_is_asked_of_any_number_of_times_whole_or_some_parts_at_a_time(tmp_path, part_bytes):
    rows = [(place, None, place + 1) for place in range(20_000)]
    parts = laid(tmp_path, rows, part_bytes=part_bytes, batch_rows=20_000)

    with duckdb.connect() as engine:
        engine.register("kept", parts.whole())
        asked = [engine.execute("SELECT count(*), sum(terrain_line) FROM kept").fetchone() for _time in range(2)]

    assert len(parts.paths) > 16
    assert asked == [(20_000, 200_010_000)] * 2
    assert sum(some.num_rows for some in parts.some()) == 20_000


def test_nothing_to_leave_is_a_file_of_no_row(tmp_path):
    parts = laid(tmp_path, [])

    assert parts.whole().num_rows == 0
    assert list(batches(parts.in_order("at"))) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, None, 1), (1, None, 2)], 3),  # the last row is lost
        ([(0, None, 1), (2, None, 3)], 3),  # a row between is
        ([(0, None, 1), (0, None, 1), (1, None, 2)], 3),  # a row comes twice
        ([(0, None, 1), (4, None, 2)], 2),  # a row stands behind the end
    ],
)
def test_rows_that_do_not_stand_where_they_were_counted_to_stop_the_build(tmp_path, rows, expected):
    with pytest.raises(Misplaced):
        list(laid(tmp_path, rows, expected=expected).in_order("at"))


def test_rows_bear_the_pseudonym_of_their_subject(tmp_path):
    rows = [(0, None, 1), (0, None, 2), (2, None, 3), (3, None, 4), (3, None, 5)]
    names = Names(pyarrow.chunked_array([[0, 2, 3]]), pyarrow.chunked_array([["a", "b", "c"]]))

    parts = laid(tmp_path, rows, part_bytes=60)

    found = pyarrow.concat_tables(map(names.put_on, parts.in_order("at"))).column("pseudonym")

    assert found.to_pylist() == ["a", "a", "b", "c", "c"]


def test_batches_hold_so_many_rows_wherever_the_parts_end(tmp_path):
    rows = [(place, None, place + 1) for place in range(50)]

    found = [batch.num_rows for batch in batches(laid(tmp_path, rows, part_bytes=100).in_order("at"), rows=8)]

    assert found == [8] * 6 + [2]
