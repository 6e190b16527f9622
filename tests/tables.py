"""A small care record of five tables, its recipe of format 2, and its build by the real engine. For tests."""

import csv
import io
import zipfile
from pathlib import Path

from broker.releases import engine

SHIFTED = {"kind": "shift_days", "span": 365}
KEEP, DROP, CATEGORY = {"kind": "keep"}, {"kind": "drop"}, {"kind": "category"}
PSEUDONYM, REKEYED = {"kind": "pseudonym"}, {"kind": "rekey"}
KEY, TOKEN_KEY = "ab" * 32, "cd" * 32


def column(name, treatment=KEEP, kind="text", role="measure"):
    return {"name": name, "type": kind, "role": role, "treatment": treatment}


def table(name, columns, **more):
    return {
        "name": name, "source_sha256": "", "rows": 0, "reading": {}, "source_columns": [c["name"] for c in columns],
        "columns": [c for c in columns if c["role"] != "direct_identifier"], "subject": None, "keys": [], "age": None,
        "event": None, "rank_by": None, "quasi_identifiers": [],
        "identifiers": [c["name"] for c in columns if c["role"] == "direct_identifier"], "blanked": [], **more,
    }  # fmt: skip


def care_record(**more) -> dict:
    """Patients, their visits, what was measured at a visit (it knows its patient by the visit alone), the staff."""
    tables = [
        table(
            "patients",
            [
                column("patient", PSEUDONYM, role="subject_key"), column("name", DROP, role="direct_identifier"),
                column("birth", DROP, "date", "birth"), column("sex", CATEGORY, role="quasi_identifier"),
                column("mother", REKEYED, role="record_key"),
            ],
            subject={"column": "patient"}, quasi_identifiers=["sex"],
            keys=[{"column": "mother", "of": ["patients", "patient"]}],
        ),
        table(
            "visits",
            [
                column("visit", REKEYED, role="record_key"), column("patient", PSEUDONYM, role="subject_key"),
                column("carer", REKEYED, role="record_key"), column("day", SHIFTED, "date", "timestamp"),
                column("ward", CATEGORY, role="quasi_identifier"),
            ],
            subject={"column": "patient"}, event="day", rank_by={"column": "day", "order": "time"},
            quasi_identifiers=["ward"],
            keys=[{"column": "visit", "of": ["visits", "visit"]}, {"column": "carer", "of": ["staff", "carer"]}],
        ),
        table(
            "labs",
            [
                column("visit", REKEYED, role="record_key"), column("at", SHIFTED, "timestamp", "timestamp"),
                column("value"),
            ],
            subject={"column": "visit", "through": ["visits", "visit"]}, event="at",
            rank_by={"column": "at", "order": "time"}, keys=[{"column": "visit", "of": ["visits", "visit"]}],
        ),
        table(
            "staff",
            [
                column("carer", REKEYED, role="record_key"), column("name", DROP, role="direct_identifier"),
                column("speciality"),
            ],
            keys=[{"column": "carer", "of": ["staff", "carer"]}],
        ),
        table("units", [column("code"), column("meaning")]),
    ]  # fmt: skip
    return {
        "format": 2, "kind": "experimental", "convention": "CV-2026-0001", "dataset": {"slug": "soins", "version": 1},
        "personal": True, "consent": None, "k": 2, "suppression_max_pct": 100,
        "minors": {"rule": "exclude", "birth": {"column": "birth", "as": "date"}, "on": "2026-11-01"},
        "subjects": {"table": "patients", "column": "patient"}, "tables": tables,
        "output": {"format": "csv", "sealed": False}, "engine": {"plan": 2}, "ruleset": "2026.11.0", **more,
    }  # fmt: skip


RECORD = {
    "patients": [
        "patient,name,birth,sex,mother",
        "patient-1,Ada Duval,1980-03-02,F,patient-9",
        "patient-2,Bea Morel,1985-07-09,F,patient-1",
        "patient-3,Carl Petit,1990-01-30,H,",
        "patient-4,Dan Leroy,1970-12-12,H,",
    ],
    "visits": [
        "visit,patient,carer,day,ward",
        "visit-100,patient-1,carer-1,2020-01-10,A",
        "visit-101,patient-1,carer-1,2020-01-30,A",
        "visit-102,patient-2,carer-2,2020-03-01,A",
        "visit-103,patient-3,carer-1,2020-04-01,A",
        "visit-104,patient-4,carer-2,2020-05-01,A",
    ],
    "labs": [
        "visit,at,value",
        "visit-101,2020-01-30 08:00:00,1.5",
        "visit-100,2020-01-10 09:00:00,2.5",
        "visit-102,2020-03-01 10:00:00,3.5",
        "visit-103,2020-04-01 10:00:00,4.5",
        "visit-104,2020-05-01 10:00:00,5.5",
    ],
    "staff": ["carer,name,speciality", "carer-1,Eve Blanc,cardio", "carer-2,Flo Noir,neuro"],
    "units": ["code,meaning", "mg,milligramme", "kg,kilogramme"],
}


def build(folder: Path, recipe: dict, record: dict, *, build_class=engine.Build, **job) -> dict:
    """The last word of the engine. The file, if any, is `folder`/out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, lines in record.items():
        paths[name] = str(folder / f"{name}.csv")
        Path(paths[name]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return engine.run(
        {
            "recipe": recipe, "sources": paths, "output": str(folder / "out"), "scratch": str(folder / "scratch"),
            "recipients": [], "pseudonym_key": KEY, "token_key": TOKEN_KEY, "opposed": [], "consented": [],
            "memory_mib": 256, "threads": 2, "licence": "Licence", **job,
        },
        lambda line: None,
        build_class=build_class,
    )  # fmt: skip


def opened(archive: Path) -> dict[str, list[dict]]:
    """The rows of each table of a release in CSV, in their order."""
    with zipfile.ZipFile(archive) as members:
        return {
            name.removeprefix("data/").removesuffix(".csv"): list(
                csv.DictReader(io.StringIO(members.read(name).decode("utf-8"), newline=""))
            )
            for name in members.namelist()
            if name.startswith("data/")
        }
