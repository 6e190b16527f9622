"""One recipe, one source, the same keys: the same bytes, whatever the build had to work with."""

import csv
import json

import duckdb
import pyarrow.parquet
import pytest

from broker.releases import engine
from deploy.bench import hospital

ROWS = 60_000


@pytest.fixture(scope="module")
def stays(tmp_path_factory):
    """The source as Parquet, the same as CSV, and the subjects who object."""
    folder = tmp_path_factory.mktemp("stays")
    with duckdb.connect() as connection:
        objecting = hospital.make(connection, ROWS, folder / "stays.parquet")
        connection.execute(f"COPY (FROM '{folder}/stays.parquet') TO '{folder}/stays.csv' (HEADER)")
    return folder, objecting


def recipe(**other) -> dict:
    asked = hospital.recipe(duckdb=duckdb.__version__, clip=True)
    return {**asked, "output": {"format": "parquet", "sealed": False}, "suppression_max_pct": 100, **other}


def build(stays, scratch, asked=None, *, source="stays.parquet", **job) -> tuple[dict, bytes]:
    folder, _objecting = stays
    out = scratch / "out"
    last = engine.run(
        {
            "recipe": asked or recipe(), "source": str(folder / source), "output": str(out),
            "scratch": str(scratch / "scratch"), "recipients": [], "pseudonym_key": "5e" * 32, "token_key": "7a" * 32,
            "opposed": [], "consented": [], "memory_mib": 256, "threads": 2, **job,
        },
        lambda line: None,
    )  # fmt: skip
    assert "result" in last, last
    return last["result"], out.read_bytes()


def test_two_builds_of_one_recipe_are_the_same_bytes_whatever_threads_and_memory(stays, tmp_path):
    builds = [build(stays, tmp_path, threads=threads, memory_mib=mib) for threads, mib in ((2, 256), (1, 256), (4, 96))]

    assert len({content for _result, content in builds}) == 1
    assert len({result["clear_sha256"] for result, _content in builds}) == 1


def test_a_source_of_text_and_one_of_typed_columns_make_the_same_release(stays, tmp_path):
    of_text = {**recipe(), "reading": {"missing": []}}

    typed, content = build(stays, tmp_path)
    read, again = build(stays, tmp_path, of_text, source="stays.csv")

    assert content == again
    assert typed == read


def test_no_value_of_rows_that_stay_is_in_a_dictionary_of_the_file(stays, tmp_path):
    names = ["age", "sex", "postcode"]

    result, content = build(stays, tmp_path, recipe(k=17))

    gone = {value for value, before, lost in result["losses"]["postcode"] if before == lost}
    assert gone, "some value is of small classes alone"
    file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content), read_dictionary=names)
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=names)
        for name in names:
            for chunk in group[name].chunks:
                assert set(chunk.dictionary.to_pylist()) == set(chunk.to_pylist()) - {None}, name
            told = file.metadata.row_group(number).column(file.schema_arrow.names.index(name)).statistics
            assert not {told.min, told.max} & gone


def test_rows_stand_by_pseudonym_then_rank_and_ranks_leave_no_gap(stays, tmp_path):
    _result, content = build(stays, tmp_path)

    table = pyarrow.parquet.read_table(pyarrow.BufferReader(content), columns=["pseudonym", "event_rank"])
    keys = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    expected, last, rank = [], "", 0
    for pseudonym, _event_rank in keys:
        rank = rank + 1 if pseudonym == last else 1
        last = pseudonym
        expected.append((pseudonym, rank))
    assert keys == sorted(keys) == expected


def test_figures_told_of_a_build_are_those_of_its_rows(stays, tmp_path):
    folder, _objecting = stays

    result, content = build(stays, tmp_path)

    rows = pyarrow.parquet.read_table(pyarrow.BufferReader(content)).to_pylist()
    with (folder / "stays.csv").open(newline="", encoding="utf-8") as lines:
        source = list(csv.DictReader(lines))
    adults = sum(int(row["age"]) >= 18 for row in source)
    classes: dict[tuple, set[str]] = {}
    for row in rows:
        classes.setdefault((row["age"], row["sex"], row["postcode"]), set()).add(row["pseudonym"])
    assert result["rows_in"] == ROWS
    assert result["dropped"] == {
        "no_subject": 0, "opposed": 0, "minor": ROWS - adults, "small_class": adults - len(rows),
    }  # fmt: skip
    assert result["rows_out"] == len(rows) > 0
    assert result["subjects_out"] == len({row["pseudonym"] for row in rows})
    assert result["k_min"] == min(map(len, classes.values())) >= 5
    assert result["merged"]["postcode"] == sum(row["postcode"] == "autre" for row in rows)
    for name, told in result["losses"].items():
        assert sum(before for _value, before, _lost in told) == adults
        assert sum(lost for _value, _before, lost in told) == result["dropped"]["small_class"], name
        kept = {value: before - lost for value, before, lost in told if before > lost}
        assert kept == {value: sum(row[name] == value for row in rows) for value in kept}
    low, high = result["bounds"]["m1"]
    assert min(row["m1"] for row in rows) >= low and max(row["m1"] for row in rows) <= high
    assert "5e5e" not in json.dumps(result)


@pytest.mark.parametrize(("column", "is_own"), [("note", True), ("icd10", True), ("note", False)])
def test_an_identifier_in_a_column_of_text_stops_the_build(stays, tmp_path, column, is_own):
    folder, _objecting = stays
    value = "subject_id" if is_own else "'jean.dupont@exemple.fr'"
    with duckdb.connect() as connection:
        told = f"CASE WHEN age = 50 THEN {value} ELSE {column} END AS {column}"
        connection.execute(f"COPY (SELECT * REPLACE ({told}) FROM '{folder}/stays.parquet') TO '{folder}/told.parquet'")

    with pytest.raises(AssertionError, match=f"'refused': 'identifier', 'facts': {{'columns': \\['{column}'\\]}}"):
        build(stays, tmp_path, source="told.parquet")


@pytest.mark.parametrize(("age", "found"), [(50, ["note"]), (10, [])])
def test_a_preview_tells_an_identifier_only_of_rows_that_would_leave(stays, tmp_path, age, found):
    folder, _objecting = stays
    with duckdb.connect() as connection:
        told = f"CASE WHEN age = {age} THEN 'jean.dupont@exemple.fr' ELSE note END AS note"
        connection.execute(f"COPY (SELECT * REPLACE ({told}) FROM '{folder}/stays.parquet') TO '{folder}/told.parquet'")
    job = {
        "recipe": recipe(), "source": str(folder / "told.parquet"), "scratch": str(tmp_path / "scratch"),
        "pseudonym_key": "5e" * 32, "token_key": "7a" * 32, "preview": {"floor": 10}, "memory_mib": 256,
    }  # fmt: skip

    last = engine.run(job, lambda line: None)

    assert last["result"]["identifiers"] == found, last
    assert last["result"]["refused"] == ("identifier" if found else "")
    assert last["result"]["rows_out"] > 0


def test_another_subjects_key_in_a_column_of_text_is_not_taken_for_its_own(stays, tmp_path):
    folder, _objecting = stays
    with duckdb.connect() as connection:
        other = f"(SELECT max(subject_id) FROM '{folder}/stays.parquet')"
        connection.execute(
            f"COPY (SELECT * EXCLUDE (r) REPLACE (CASE WHEN r = 77 THEN {other} ELSE note END AS note) FROM "
            f"(SELECT *, row_number() OVER () AS r FROM '{folder}/stays.parquet')) TO '{folder}/other.parquet'"
        )

    result, _content = build(stays, tmp_path, source="other.parquet")

    assert result["identifiers"]["note"] == 0


@pytest.mark.parametrize(("memory", "succeeds"), [(256, True), (8, False)])
def test_memory_is_bounded_and_no_spill_is_left(stays, tmp_path, memory, succeeds):
    folder, _objecting = stays
    job = {
        "recipe": recipe(), "source": str(folder / "stays.parquet"), "output": str(tmp_path / "out"),
        "scratch": str(tmp_path / "scratch"), "recipients": [], "pseudonym_key": "5e" * 32, "token_key": "7a" * 32,
        "opposed": [], "consented": [], "memory_mib": memory, "threads": 2,
    }  # fmt: skip

    last = engine.run(job, lambda line: None)

    assert ("result" in last) is succeeds, last
    assert (tmp_path / "out").exists() is succeeds
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == (["tokens"] if succeeds else [])
