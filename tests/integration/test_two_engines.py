"""One specification, two engines: the same recipe built by DuckDB and by a Spark server, row by row.

The server is Sail's; `make test-spark` runs this file on a Spark standalone master with two workers.
"""

import csv
import gzip
import hmac
import io
import json
import shutil
import socket
import time
import zipfile
from pathlib import Path

import pyarrow.parquet
import pytest

from broker.releases import engine, spark
from broker.releases.plan import Plan
from tests import releasing, servers, tables
from tests.unit.test_release_tables import STAFF, by_reference, followed
from tests.unit.test_treatings import a_trace_recipe, as_csv, trips_of_real_points

KEY, TOKEN_KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4
BANDS = {"kind": "band_age", "width": 5, "top": 90}
CLIP = {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}


@pytest.fixture(scope="module")
def server():
    with servers.any_server() as found:
        yield found


def column(name, treatment=tables.KEEP, kind="text", role="measure"):
    return {"name": name, "type": kind, "role": role, "treatment": treatment}


def recipe(header, columns, **more):
    return {
        "personal": True, "reading": {}, "source_columns": header, "columns": columns, "identifiers": [],
        "subject_key": None, "minors": {"rule": "none", "age_column": None}, "quasi_identifiers": [], "k": 5,
        "suppression_max_pct": 100, "rank_by": None, "blanked": [], "consent": None,
        "output": {"format": "parquet", "sealed": False}, **more,
    }  # fmt: skip


def built(
    folder: Path,
    asked: dict,
    sources: Path | dict[str, Path],
    *,
    server=None,
    say=None,
    build_class=engine.Build,
    **job,
):
    """The last word of the engine, and what it said before. The file, if any, is `folder`/out."""
    folder.mkdir(parents=True, exist_ok=True)
    read = (
        {"sources": {name: str(path) for name, path in sources.items()}}
        if isinstance(sources, dict)
        else {"source": str(sources)}
    )
    said: list[dict] = []
    where = {"spark": {"remote": server.remote, "folder": str(folder / "shared")}} if server else {}
    last = engine.run(
        {
            "recipe": asked, **read, "output": str(folder / "out"), "scratch": str(folder / "scratch"),
            "recipients": [], "pseudonym_key": KEY, "token_key": TOKEN_KEY, "opposed": [], "consented": [],
            "memory_mib": 512, "threads": 2, "marks": {"terrain_kind": "experimental"}, "lookups": {}, **where, **job,
        },
        say or said.append,
        build_class=build_class,
    )  # fmt: skip
    return last, said


BYTES = ("clear_sha256", "clear_size", "sha256", "size", "bytes")  # of a Parquet file, whose pages each cuts its way


def measured(last: dict, *, with_bytes: bool) -> dict:
    """What was measured, with the digests of the files or without."""
    left_out = () if with_bytes else BYTES
    found = {name: value for name, value in last["result"].items() if name not in left_out}
    return found | {"files": [{k: v for k, v in one.items() if k not in left_out} for one in found["files"]]}


def rows_of(path: Path, form: str) -> list | bytes:
    """What a release holds: the columns, types and rows of each of its Parquet files, or its bytes."""
    if form == "csv":
        return path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".parquet"))
            read = [pyarrow.parquet.read_table(io.BytesIO(archive.read(name))) for name in names]
    else:
        read = [pyarrow.parquet.read_table(path)]
    return [(list(map(str, one.schema.types)), one.to_pydict()) for one in read]


def both(folder: Path, asked: dict, sources, server, **job) -> dict:
    """What the two engines measured, held equal, and the rows of their files, held equal; DuckDB's is returned."""
    here, _said = built(folder / "duckdb", asked, sources, **job)
    there, _said = built(folder / "spark", asked, sources, server=server, **job)

    assert "result" in here, here
    assert "result" in there, there
    assert "spark" in there["result"].pop("engine")
    form = asked["output"]["format"]
    expected, found = (measured(one, with_bytes=form == "csv") for one in (here, there))
    assert {name: (found.get(name), value) for name, value in expected.items() if found.get(name) != value} == {}
    assert rows_of(folder / "spark" / "out", form) == rows_of(folder / "duckdb" / "out", form)
    if asked["personal"]:
        first, second = (folder / name / "scratch" / "tokens" for name in ("duckdb", "spark"))
        assert first.read_bytes() == second.read_bytes()
    assert not list((folder / "spark" / "shared").iterdir())
    return here["result"]


def token_of(local_id: str) -> str:
    return hmac.digest(TOKEN_KEY.encode(), local_id.encode(), "sha256").hex()


def clear(path: Path, compressed: Path, lines: int | None = None) -> tuple[Path, list[str]]:
    """A clear copy of the first `lines` of a real file, as the zone's worker makes it, and its header."""
    content = compressed.read_bytes()
    content = gzip.decompress(content) if compressed.suffix == ".gz" else content
    path.write_bytes(b"".join(content.splitlines(keepends=True)[: None if lines is None else lines + 1]))
    with path.open(encoding="utf-8", newline="") as written:
        return path, next(csv.reader(written))


def stays_recipe(header: list[str], **more) -> dict:
    """Categories to merge, ages in bands, measures to clip, codes to blank, an order."""
    return recipe(
        header,
        [
            column("patient_nbr", tables.PSEUDONYM, "integer", "subject_key"),
            column("race", tables.CATEGORY, role="sensitive"),
            column("gender", tables.CATEGORY, role="quasi_identifier"),
            column("age", BANDS, role="quasi_identifier"),
            column("admission_type_id", tables.CATEGORY, "integer", "quasi_identifier"),
            *(column(name, CLIP, "integer") for name in ("time_in_hospital", "num_lab_procedures", "num_medications")),
            column("diag_1"), column("A1Cresult"), column("readmitted"),
        ],
        reading={"missing": ["?"]}, identifiers=["encounter_id"], subject_key="patient_nbr",
        minors={"rule": "exclude", "age_column": "age"}, quasi_identifiers=["gender", "age", "admission_type_id"],
        blanked=[
            {"column": "diag_1", "codes": "icd9", "classes": ["x"], "categories": ["295", "296"],
             "beginnings": ["V08"]}
        ],
        rank_by={"column": "encounter_id", "order": "number"}, **more,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_real_stays_leave_alike_from_both_engines(tmp_path, server, form):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 4000)
    opposed = [token_of(one) for one in ("8222157", "86047875", "55629189")]

    told = both(
        tmp_path,
        stays_recipe(header, output={"format": form, "sealed": False}, k=30),
        source,
        server,
        opposed=opposed,
    )

    assert told["dropped"]["opposed"] > 0 and told["dropped"]["minor"] > 0 and told["dropped"]["small_class"] > 0
    assert sum(told["merged"].values()) > 0 and sum(told["clipped"].values()) > 0 and told["blanked"]["diag_1"] > 0
    assert told["rows_out"] > 2000 and told["k_min"] >= 30


def test_more_rows_than_a_batch_keep_their_order_and_two_builds_give_the_same_bytes(tmp_path, server):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 40_000)
    asked = stays_recipe(header, output={"format": "csv", "sealed": False})

    both(tmp_path, asked, source, server)
    built(tmp_path / "again", asked, source, server=server)

    first, second = ((tmp_path / name / "out").read_bytes() for name in ("spark", "again"))
    pseudonyms = [line.split(b",", 1)[0] for line in first.splitlines()[1:]]
    assert first == second
    assert pseudonyms == sorted(pseudonyms) and len(pseudonyms) > 30_000


def test_only_those_who_consent_leave_from_both_engines(tmp_path, server):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 1500)
    with source.open(encoding="utf-8", newline="") as lines:
        people = sorted({row["patient_nbr"] for row in csv.DictReader(lines)})
    asked = stays_recipe(header, consent={"purpose": "research", "recipient": "public"})

    told = both(tmp_path, asked, source, server, consented=[token_of(one) for one in people[::2]])

    assert told["dropped"]["no_consent"] > 0
    assert told["rows_out"] > 0


def test_trips_leave_alike_from_both_engines_under_a_pseudonym_a_day(tmp_path, server, real_data):
    header, rows = trips_of_real_points(real_data)
    source = tmp_path / "trips.csv"
    source.write_text(as_csv(header, rows), encoding="utf-8")

    told = both(tmp_path, {**a_trace_recipe(header), "consent": None, "blanked": []}, source, server)

    assert told["dropped"]["trimmed"] > 0 and told["rows_out"] > 20
    assert told["subjects_out"] == 2


def written(folder: Path, record: dict[str, list[str]]) -> dict[str, Path]:
    """The file of each table of `record`."""
    paths = {name: folder / f"{name}.csv" for name in record}
    for name, path in paths.items():
        path.write_text("\n".join(record[name]) + "\n", encoding="utf-8")
    return paths


def test_an_identifier_among_words_is_found_by_both_engines(tmp_path, server):
    source = tmp_path / "notes.csv"
    source.write_text('id,nom,mot\ndos-000417,Duval Ada,"vu Mme DÛVAL-Ada, ce jour"\ndos-000418,Bea,rien à dire\n')
    columns = [column("id", tables.PSEUDONYM, role="subject_key"), column("mot")]
    asked = recipe(["id", "nom", "mot"], columns, subject_key="id", identifiers=["nom"], k=1)
    several = tables.care_record()
    record = {
        **tables.RECORD, "units": ["code,meaning", "mg,avec patient-3 (sa voisine)"],
        "labs": ["visit,at,value", "visit-100,2020-01-10 09:00:00,revu avec CARL-PÉTIT. sa voisine"],
    }  # fmt: skip
    paths = written(tmp_path, record)

    for where in (None, server):
        name = "spark" if where else "duckdb"
        one, _said = built(tmp_path / name, asked, source, server=where)
        other, _said = built(tmp_path / f"{name}-several", several, paths, server=where)
        assert (one["refused"], one["facts"]) == ("identifier", {"columns": ["mot"]})
        assert (other["refused"], other["facts"]) == ("identifier", {"columns": ["labs.value", "units.meaning"]})


def test_rows_that_others_name_leave_alike_from_both_engines(tmp_path, server):
    asked = by_reference(followed(tables.care_record(k=1, output={"format": "parquet", "sealed": False})))
    lines = [f"{line},{before}" for line, before in zip(tables.RECORD["visits"], BEFORE, strict=True)]
    sources = written(tmp_path, {**tables.RECORD, "visits": lines, "staff": STAFF})

    told = both(tmp_path, asked, sources, server, opposed=[token_of("patient-4")])

    by_name = {one["name"]: one for one in told["tables"]}
    assert by_name["visits"]["emptied"] == {"carer": 0, "before": 1}
    assert by_name["staff"]["dropped"]["unreferred"] == 1


BEFORE = ["before", "", "visit-100", "visit-104", "", "visit-103"]


def test_data_without_persons_leave_alike_from_both_engines(tmp_path, server, real_data):
    source, header = clear(
        tmp_path / "roads.csv", real_data / "av-zones" / "road-accidents-fr-2018" / "vehicules-2018.csv.gz", 5000
    )
    asked = recipe(header, [column(name) for name in header], personal=False, k=0)

    told = both(tmp_path, asked, source, server)

    assert told["rows_out"] == told["rows_in"] == 5000


OMOP = ("PERSON", "VISIT_OCCURRENCE", "MEASUREMENT")


def omop_recipe(header: dict[str, list[str]]) -> dict:
    """People, their visits and what was measured then: joins, shifted days, keys, birth, measures to clip."""
    person = ["PERSON", "person_id"]
    visit = ["VISIT_OCCURRENCE", "visit_occurrence_id"]
    made = [
        tables.table(
            "PERSON",
            [
                column("person_id", tables.PSEUDONYM, "integer", "subject_key"),
                column("gender_source_value", tables.CATEGORY, role="quasi_identifier"),
                column("birth_datetime", tables.DROP, "timestamp", "birth"),
            ],
            subject={"column": "person_id"}, quasi_identifiers=["gender_source_value"],
        ),
        tables.table(
            "VISIT_OCCURRENCE",
            [
                column("visit_occurrence_id", tables.REKEYED, "integer", "record_key"),
                column("person_id", tables.PSEUDONYM, "integer", "subject_key"),
                column("visit_start_date", tables.SHIFTED, "date", "timestamp"),
                column("visit_end_datetime", tables.SHIFTED, "timestamp", "timestamp"),
                column("visit_concept_id", tables.CATEGORY, "integer", "quasi_identifier"),
            ],
            subject={"column": "person_id"}, event="visit_start_date", quasi_identifiers=["visit_concept_id"],
            rank_by={"column": "visit_start_date", "order": "time"},
            keys=[{"column": "visit_occurrence_id", "of": visit}, {"column": "person_id", "of": person}],
        ),
        tables.table(
            "MEASUREMENT",
            [
                column("visit_occurrence_id", tables.REKEYED, "integer", "record_key"),
                column("measurement_datetime", tables.SHIFTED, "timestamp", "timestamp"),
                column("measurement_source_value"), column("value_as_number", CLIP, "number"),
                column("unit_source_value"),
            ],
            subject={"column": "visit_occurrence_id", "through": visit}, event="measurement_datetime",
            rank_by={"column": "measurement_datetime", "order": "time"},
            keys=[{"column": "visit_occurrence_id", "of": visit}],
        ),
    ]  # fmt: skip
    for one in made:
        one["source_columns"] = header[one["name"]]
    return tables.care_record(
        dataset={"slug": "omop", "version": 1}, k=2, tables=made, suppression_max_pct=100,
        minors={"rule": "exclude", "birth": {"column": "birth_datetime", "as": "date"}, "on": "2026-11-01"},
        subjects={"table": "PERSON", "column": "person_id"}, output={"format": "parquet", "sealed": False},
    )  # fmt: skip


def test_tables_with_dates_leave_alike_from_both_engines(tmp_path, server, real_data):
    folder, sources, headers = real_data / "hospital" / "omop-synthea27nj", {}, {}
    for name in OMOP:
        path = next(folder.glob(f"{name}.csv*"))
        sources[name], headers[name] = clear(tmp_path / f"{name}.csv", path)

    told = both(tmp_path, omop_recipe(headers), sources, server, opposed=[token_of("3")])

    assert told["dropped"]["opposed"] > 0 and told["dropped"]["minor"] > 0
    assert {one["name"]: one["rows_out"] > 0 for one in told["tables"]} == dict.fromkeys(OMOP, True)
    assert sum(told["clipped"].values()) > 0


WRITTEN = {
    "integer": ["12", " 12 ", "+5", "-0", "00012", "12.0", "12.5", "13.5", "-12.5", "1e3", "1.", ".5", "12abc", "5d",
                "5L", "--5", ".", "1,5", "true", "nan", "9223372036854775808", "9223372036854775807", "\u0967\u0968"],
    "number": ["12", " 12 ", "1e3", "1.5E-3", "nan", "NaN", "inf", "-Infinity", "5d", "5f", "1,5", "12abc", ".", ".5",
               "1.", "1e400", "0x1p3", "1 000"],
    "date": ["2024-01-05", "2024-1-5", "2024/01/05", "2024-01/05", "2024-01-05 10:00:00", "2024-01-05T10:00:00Z",
             "2024-01-05 10:00", "2024-01-05 10", "2024-01", "2024", "20240105", "05/01/2024", "0014-01-05",
             "2024-02-30", "2024-01-05 25:00:00", " 2024-01-05 ", "+2024-01-05", "2024-01-05x", "now", "10:00:00"],
    "timestamp": ["2024-01-05", "2024-1-5 1:2:3", "2024-01-05T10:00:00", "2024-01-05T10:00:00Z",
                  "2024-01-05 10:00:00+02:00", "2024-01-05 10:00:00+02", "2024-01-05T10:00:00.123456", "2024/01/05",
                  "2024-01-05 10:00", "2024-01-05 10", "2024-01", "2024", "2024-01-05 25:00:00", " 2024-01-05 ",
                  "2024-01-05 10:00:60", "2024-02-30 10:00:00", "today", "2024-01-05 10:00:00 UTC", "0014-01-05"],
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_is_a_value_of_a_type_is_one_for_both_engines(tmp_path, server, kind):
    # each written value in a column of its own, so that every one is judged by itself
    names = [f"v{number}" for number in range(len(WRITTEN[kind]))]
    source = tmp_path / "source.csv"
    with source.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([names, WRITTEN[kind]])
    asked = recipe(names, [column(name, kind=kind) for name in names], personal=False, k=0)

    here, _said = built(tmp_path / "duckdb", asked, source)
    there, _said = built(tmp_path / "spark", asked, source, server=server)

    assert here.get("refused") == "type"
    assert there == here


def test_the_values_of_a_type_are_read_alike(tmp_path, server):
    good = {
        "integer": ["12", " 12 ", "+5", "-0", "00012", "12.0", "12.5", "13.5", "-12.5", "1e3", ".5"],
        "number": ["12", " 12 ", "1e3", "1.5E-3", ".5", "1.", "0.1", "-0"],
        "date": ["2024-01-05", "2024-1-5", "2024/01/05", "2024-01-05 10:00:00", "0014-01-05", "2024-01-05T10:00:00Z"],
        "timestamp": ["2024-01-05", "2024-1-5 1:2:3", "2024-01-05T10:00:00.123456", "2024-01-05 10:00:00+02:00",
                      "2024/01/05 10:00", "2024-01-05 10:00:00+02", "1582-10-10 00:00:00"],
    }  # fmt: skip
    rows = max(map(len, good.values()))
    source = tmp_path / "source.csv"
    with source.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(good)
        writer.writerows(zip(*(values + [""] * (rows - len(values)) for values in good.values()), strict=True))
    asked = recipe(list(good), [column(kind, kind=kind) for kind in good], personal=False, k=0)

    both(tmp_path, asked, source, server)

    table = pyarrow.parquet.read_table(tmp_path / "spark" / "out")
    assert table.num_rows == rows
    assert table.column("integer").to_pylist() == [12, 12, 5, 0, 12, 12, 13, 14, -13, 1000, 1]


def test_names_and_texts_that_hold_signs_of_quotation_pass_both_engines(tmp_path, server):
    header = ["l'id", 'a"b', "c`d", "e\\f", "é {x}"]
    rows = [[f"p{n}", "l'eau", 'x"y', "a\\n%_", "`z`"] for n in range(5)] + [["p9", "une", "?", "'", "\\"]]
    source = tmp_path / "source.csv"
    with source.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    asked = recipe(
        header,
        [
            column("l'id", tables.PSEUDONYM, role="subject_key"),
            column('a"b', tables.CATEGORY, role="quasi_identifier"), column("c`d", tables.CATEGORY), column("e\\f"),
            column("é {x}"),
        ],
        subject_key="l'id", quasi_identifiers=['a"b'], k=2, reading={"missing": ["?"]},
        output={"format": "csv", "sealed": False},
    )  # fmt: skip

    both(tmp_path, asked, source, server)

    read = list(csv.reader(io.StringIO((tmp_path / "spark" / "out").read_text(encoding="utf-8"), newline="")))
    assert read[0] == ["pseudonym", "event_rank", *header[1:]]
    assert {tuple(row[2:]) for row in read[1:]} == {("l'eau", 'x"y', "a\\n%_", "`z`")}


def test_a_key_is_in_nothing_that_the_server_says(tmp_path):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 200)
    log = tmp_path / "log"

    with servers.sail(log=log) as server:
        last, said = built(tmp_path / "spark", stays_recipe(header), source, server=server)

    inner, outer = engine.pads(KEY)
    told = log.read_bytes().lower() + json.dumps([said, last]).encode()
    assert "result" in last, last
    assert len(told) > 100_000, "the server was asked to say everything"
    for secret in (KEY.encode(), KEY.encode().hex().encode(), inner.hex().encode(), outer.hex().encode(), inner, outer):
        assert secret.lower() not in told


class Greedy(Plan):
    """A plan whose small classes are sought among more rows than any machine holds."""

    def _classes(self) -> str:
        return (
            "SELECT a.id AS subjects, row_number() OVER (ORDER BY sha2(CAST(a.id * b.id AS STRING), 256)) AS n "
            "FROM range(100000) a CROSS JOIN range(100000) b"
        )


class GreedyBuild(spark.SparkBuild):
    plan_class = Greedy


def test_a_query_beyond_the_servers_memory_fails_and_takes_nothing_else(tmp_path):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 200)
    asked = stays_recipe(header)

    with servers.sail(memory_mib=1536) as server:
        last, _said = built(tmp_path / "greedy", asked, source, server=server, build_class=GreedyBuild)

        assert last["failed"] in ("ServerSilent", "ServerRefused")
        assert server.process and (server.process.poll() is not None or server.peak_mib < 1536)
    assert not (tmp_path / "greedy" / "out").exists()
    assert not list((tmp_path / "greedy" / "shared").iterdir())


@pytest.mark.parametrize("at", ["base", "kept", "writing"])
def test_a_server_that_goes_away_in_the_middle_leaves_nothing(tmp_path, at):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 200)

    with servers.sail() as server:

        def say(line: dict) -> None:
            if line.get("step") == at:
                server.kill()

        last, _said = built(tmp_path / "spark", stays_recipe(header), source, server=server, say=say)

    assert last["failed"] == "ServerSilent"
    assert not (tmp_path / "spark" / "out").exists()
    assert not list((tmp_path / "spark" / "shared").iterdir())


def test_a_server_that_does_not_answer_is_given_up_in_seconds(tmp_path):
    source, header = clear(tmp_path / "stays.csv", releasing.STAYS, 200)

    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes calls, says nothing
        addresses = ["sc://127.0.0.1:1", f"sc://127.0.0.1:{mute.getsockname()[1]}"]
        for address in addresses:
            start = time.monotonic()
            last, _said = built(tmp_path / "spark", stays_recipe(header), source, server=servers.Server(address))
            shutil.rmtree(tmp_path / "spark")

            assert last["failed"] == "ServerSilent"
            assert time.monotonic() - start < 20
