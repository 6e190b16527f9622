"""The descriptions of a release, judged by the tools that read them: one table and several, Parquet, CSV and ZIP."""

import hashlib
import json
import zipfile

import duckdb
import pytest

from broker.releases import packages
from tests import judges, tables

PATIENTS = """SELECT 'p' || i AS pseudonym, i AS event_rank, CASE WHEN i % 3 = 0 THEN NULL ELSE i * 7 END AS "heure d'été %",
 CASE WHEN i % 4 <> 0 THEN i * 1.5::DOUBLE END AS mesure, CASE WHEN i % 2 = 0 THEN 'é"t, nan' ELSE 'nan' END AS texte,
 DATE '2020-01-01' + i::INTEGER AS jour, CASE WHEN i % 5 <> 0 THEN TIMESTAMP '2020-01-01 10:00:00.25' END AS moment,
 i % 2 = 0 AS vrai FROM range(1, 30) r(i)"""  # noqa: E501
VISITS = "SELECT 'v' || i AS visite, 'p' || (1 + i % 20) AS pseudonym, CASE WHEN i > 1 THEN 'v1' END AS avant FROM range(1, 60) r(i)"  # noqa: E501
LICENCE = b"Licence d'essai\n"
ABOUT = {
    "name": "sejours", "title": "Séjours de l'hôpital", "description": "", "version": "2", "published": "2026-11-22",
    "creator": "CHU du Drac", "url": "https://terrain.example/remises/", "convention": "CNV-2026-0001",
    "recipe_sha256": "a" * 64, "ruleset": "2026.11.0", "watermark": "b" * 32,
    "sources": [{"title": "Séjours, version 2", "sha256": "c" * 64, "licence": "CC BY 4.0"}],
    "licence": {"title": "Licence d'essai", "version": "1", "sha256": hashlib.sha256(LICENCE).hexdigest(),
                "path": "LICENCE.txt", "bytes": len(LICENCE)},
}  # fmt: skip


def written(folder, engine, table: str, sql: str, form: str, **keys) -> dict:
    """A table in a file of `folder`, and what there is to say of it."""
    path = folder / "data" / f"{table}.{form}"
    path.parent.mkdir(exist_ok=True)
    engine.execute(f"COPY ({sql}) TO '{path}' (FORMAT {form})")
    [rows] = engine.execute(f"SELECT count(*) FROM ({sql})").fetchone()
    clear = path.read_bytes()
    return {
        "table": table, "path": f"data/{table}.{form}", "format": form, "bytes": len(clear),
        "sha256": hashlib.sha256(clear).hexdigest(), "rows": rows,
        "fields": [{"name": name, "type": kind} for name, kind, *_rest in engine.execute(f"DESCRIBE {sql}").fetchall()],
        "primary_key": [], "foreign_keys": [], **keys,
    }  # fmt: skip


def two_tables(folder, form: str) -> list[dict]:
    (folder / "LICENCE.txt").write_bytes(LICENCE)
    with duckdb.connect() as engine:
        return [
            written(folder, engine, "Patients", PATIENTS, form, primary_key=["pseudonym"]),
            written(
                folder, engine, "Séjours (bruts)", VISITS, form, primary_key=["visite"],
                foreign_keys=[
                    {"fields": ["pseudonym"], "table": "Patients", "to": ["pseudonym"]},
                    {"fields": ["avant"], "table": "Séjours (bruts)", "to": ["visite"]},
                    {"fields": ["avant"], "table": "not released", "to": ["x"]},
                ],
            ),
        ]  # fmt: skip


def put(folder, name: str, description: dict):
    (folder / name).write_bytes(packages.as_bytes(description))
    return folder / name


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_other_people_s_tools_read_two_tables_and_their_keys(tmp_path, form):
    files = two_tables(tmp_path, form)

    package = put(tmp_path, "datapackage.json", packages.datapackage(about=ABOUT, files=files))
    croissant = put(tmp_path, "croissant.json", packages.croissant(about=ABOUT, files=files))

    assert judges.refused_by_frictionless(package) == []
    schema = json.loads(package.read_bytes())["resources"][1]["schema"]
    assert [key["reference"]["resource"] for key in schema["foreignKeys"]] == ["patients", ""]
    patients = judges.read_by_croissant(croissant, "patients")
    assert [one["patients/pseudonym"] for one in patients] == [f"p{i}".encode() for i in range(1, 30)]
    assert [one["patients/heure%20d%27%C3%A9t%C3%A9%20%25"] for one in patients[:3]] == [7, 14, None]
    assert len(judges.read_by_croissant(croissant, "s-jours-bruts")) == 59


def test_an_archive_is_read_through_its_members(tmp_path):
    files = two_tables(tmp_path, "csv")
    put(tmp_path, "datapackage.json", packages.datapackage(about=ABOUT, files=files))
    with zipfile.ZipFile(tmp_path / "remise.zip", "w") as archive:
        for path in [*(one["path"] for one in files), "LICENCE.txt", "datapackage.json"]:
            archive.write(tmp_path / path, path)
    whole = (tmp_path / "remise.zip").read_bytes()
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "remise.zip").write_bytes(whole)
    (beside / "LICENCE.txt").write_bytes(LICENCE)

    archive = {"path": "remise.zip", "sha256": hashlib.sha256(whole).hexdigest(), "bytes": len(whole)}
    croissant = put(beside, "croissant.json", packages.croissant(about=ABOUT, files=files, archive=archive))

    assert judges.refused_by_frictionless(tmp_path / "remise.zip") == []
    assert len(judges.read_by_croissant(croissant, "s-jours-bruts")) == 59


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_archive_that_the_engine_made_is_read_by_the_other_people_s_tools(tmp_path, form):
    recipe = {**tables.care_record(), "output": {"format": form, "sealed": False}}
    said = {"patients": {"birth": "par tranches"}}
    last = tables.build(
        tmp_path / "build", recipe, tables.RECORD, about=ABOUT, words=said, licence=LICENCE.decode()
    )  # fmt: skip

    inside = tmp_path / "inside"
    with zipfile.ZipFile(tmp_path / "build" / "out") as archive:
        archive.extractall(inside)

    assert judges.refused_by_frictionless(inside / "datapackage.json") == []
    assert (inside / "LICENCE.txt").read_bytes() == LICENCE
    for one in last["result"]["files"]:
        read = judges.read_by_croissant(inside / "croissant.json", packages.names_of([one])[one["table"]])
        assert len(read) == one["rows"]


def test_a_description_of_other_bytes_is_refused_by_the_tools(tmp_path):
    files = two_tables(tmp_path, "csv")
    path = tmp_path / files[0]["path"]
    path.write_bytes(path.read_bytes().replace(b"p7,", b"p8,", 1))

    package = put(tmp_path, "datapackage.json", packages.datapackage(about=ABOUT, files=files))

    assert "Hash Count Error" in {title for title, *_where in judges.refused_by_frictionless(package)}


def test_the_names_of_tables_never_meet():
    names = packages.names_of([{"table": name} for name in ("Été", "été", "..", "t-", "T", "a/../b")])

    assert list(names.values()) == ["t", "t-2", "table", "t-3", "t-4", "a-..-b"]
