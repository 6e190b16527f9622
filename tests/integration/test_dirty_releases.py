"""Releases of the demo's dirty files, built by the real engine: what was mended leaves mended.

The FHIR patients are read whole: no number, name, telephone or street of the source stands anywhere in the release.
"""

import gzip
import hashlib
import json
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pyrage
import pytest
from django.conf import settings
from django.test import override_settings

from broker import clock
from broker.accounts import grants
from broker.keys.store import KeyStore
from broker.releases import store, tasks
from tests import factories, releasing
from tests.recompute import recompute
from zones import actions, sealing
from zones import tasks as examining
from zones.reading import Reading, accepted, mends_in_words

DATA = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "data"


@pytest.fixture
def places(fresh_database, django_db_blocker, tmp_path):
    """Keys, sources and releases below a folder of this test, in a database where rows are really committed."""
    (tmp_path / "keys").mkdir(mode=0o700)
    with (
        django_db_blocker.unblock(),
        override_settings(
            KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
            SCRATCH=tmp_path / "scratch",
        ),
    ):  # fmt: skip
        yield tmp_path


def examined(dataset, steward, content: bytes, reading: Reading, name: str = "source.csv"):
    """The version that an upload of `content` and its accepted mends make."""
    seal = sealing.Seal(dataset.zone, sealing.recipient_of(dataset.zone))
    seal.write(content)
    version = actions.add_version(dataset, by=steward, sealed=seal.finish(name), reading=reading)
    examining.profile_version(version.pk)
    version.refresh_from_db()
    while version.proposed:
        version = actions.reread_version(
            version, by=steward, reading=accepted(Reading.of(version.reading), version.proposed)
        )
        examining.profile_version(version.pk)
        version.refresh_from_db()
    assert version.status == "profiled", version.problem
    return version


def ready(places, path, *, kind, domains, reading, roles, columns, name="source.csv", **presented):
    """A convention on the real file `path`, from the sealed upload to an active convention on `columns`."""
    keys = KeyStore(settings.KEY_STORE)
    zone = factories.zone(kind)
    keys.create("source", f"zone:{zone.pk}")
    keys.create("token", f"zone:{zone.pk}")
    steward = factories.user(organisation=zone.operator)
    grants.give(steward, "zones.steward", zone, by=steward)
    dataset = actions.create_dataset(
        zone, by=steward, title="Jeu", summary="s", domains=domains, is_personal=True,
        service=factories.service(zone), **presented,
    )  # fmt: skip
    examined(dataset, steward, path.read_bytes(), reading, name)
    suggested = {c.name: actions.ChosenRole(c.suggested_role or "measure", c.sensitive_class)
                 for c in dataset.columns.all()}  # fmt: skip
    chosen = {name: actions.ChosenRole(role) for name, role in roles.items()}
    actions.set_column_roles(dataset, by=steward, roles={**suggested, **chosen})
    actions.publish_dataset(dataset, by=steward)
    dataset.refresh_from_db()
    experimenter = factories.organisation()
    factories.registry_entry(experimenter, domains=domains, zone_kinds=[kind])
    convention = factories.convention(factories.offer(dataset, columns=columns), organisation_=experimenter)
    identity = pyrage.x25519.Identity.generate()
    convention.environment.age_recipient = str(identity.to_public())
    convention.environment.save(update_fields=["age_recipient"])
    keys.create("pseudonym", f"convention:{convention.pk}")
    return releasing.Ready(convention, str(identity), path)


def built(made, columns):
    release = made.ask(columns)
    tasks.build(release)
    release.refresh_from_db()
    return release


def rows_of(made, release):
    """The columns and rows of the released file, opened as its recipient does."""
    sealed = (store._folder() / release.stored_as).read_bytes()
    clear = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(made.identity)])
    path = settings.RELEASES / "opened.parquet"
    path.write_bytes(clear)
    with duckdb.connect() as engine:
        found = engine.execute("SELECT * FROM read_parquet(?)", [str(path)])
        return [column[0] for column in found.description], found.fetchall()


# Charging sessions


def test_charging_sessions_leave_in_the_year_2014_and_in_calendar_time(places):
    wanted = ("userId", "created", "ended", "kwhTotal", "facilityType")
    made = ready(
        places, DATA / "station_data_dataverse.csv", kind="eco_district", domains=["ev_charging"],
        reading=Reading(missing=("NA",)), roles={"facilityType": "quasi_identifier", "locationId": "geo"},
        columns=wanted, no_minors_because="conducteurs, titulaires du permis",
    )  # fmt: skip

    release = built(made, wanted)

    assert release.status == "ready", release.problem
    names, rows = rows_of(made, release)
    assert names[:2] == ["pseudonym", "event_rank"] and not {"userId", "sessionId", "stationId"} & set(names)
    begun = [row[names.index("created")] for row in rows]
    assert (min(begun).year, max(begun).year) == (2014, 2015)
    source = (DATA / "station_data_dataverse.csv").read_text().splitlines()
    known = {line.split(",")[3].replace("00", "20", 1)[:-2] + "00" for line in source[1:] if line}
    assert {f"{moment:%Y-%m-%d %H:%M:%S}" for moment in begun} <= known, (
        "the clock of the source, unshifted, to the minute"
    )
    days = {(row[0], moment.date()) for row, moment in zip(rows, begun, strict=True)}
    assert len({pseudonym for pseudonym, _day in days}) == len(days), "another pseudonym every day"
    assert release.subjects_out < len(days) / 2
    told = release.manifest["described"]["words"][release.recipe["dataset"]["slug"]]
    assert told["userId"].endswith("un autre chaque jour") and "pour un jour" in told["pseudonym"]
    assert release.k_min >= 10
    assert release.manifest["reading"] == mends_in_words(Reading.of(release.recipe["reading"]))
    assert sum(release.recipe["reading"]["mended"]["century"]["created"].values()) == 3395
    assert recompute(made.inputs(release)).failed == [], "a second program mends and finds the same"
    receipt = release.receipts.get(obligation="exclude_minors")
    assert receipt.is_done and "titulaires du permis" in receipt.what


# Accidents: few rows


ACCIDENTS = ("Num_Acc", "mois", "lum", "atm", "surf", "prof", "plan")


def test_few_accidents_are_refused_with_the_mend_then_pass_when_coarser(places):
    made = ready(
        places, DATA / "accidents_alps_slopes_2018.csv", kind="av_mountain", domains=["road_infrastructure"],
        reading=Reading(), columns=ACCIDENTS, no_minors_because="une ligne décrit un accident",
        roles={"Num_Acc": "subject_key", "hrmn": "direct_identifier", "voie": "geo",
               **dict.fromkeys(ACCIDENTS[1:], "quasi_identifier")},
    )  # fmt: skip

    fine = built(made, ACCIDENTS)
    coarse = built(made, ("Num_Acc", "lum", "prof"))

    assert fine.status == "failed"
    assert "Réduisez la précision" in fine.problem and "mois, lum, atm" in fine.problem
    assert coarse.status == "ready", coarse.problem
    assert coarse.k_min >= 5
    assert coarse.rows_out >= 296 * 0.95
    assert recompute(made.inputs(coarse)).failed == []
    names, _rows = rows_of(made, coarse)
    assert names == ["pseudonym", "event_rank", "lum", "prof"]


# FHIR patients


PATIENT_COLUMNS = ("id", "gender", "age", "deceasedDateTime", "disability-adjusted-life-years")


def identities(path: Path) -> set[str]:
    """Whatever names a patient in a FHIR export: numbers, names, telephones, streets, mother's name, narrative."""
    content = path.read_bytes()
    clear = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    found: set[str] = set()
    for line in clear.decode().splitlines():
        patient = json.loads(line)
        found |= {patient["id"], patient["text"]["div"]}
        found |= {one["value"] for one in patient["identifier"]}
        found |= {one["value"] for one in patient.get("telecom", [])}
        for name in patient["name"]:
            found |= {name["family"], *name["given"]}
        for one in patient["address"]:
            found |= {*one["line"], one["city"]}
            found |= {str(part["valueDecimal"]) for part in one["extension"][0]["extension"]}
        found |= {
            one["valueString"] for one in patient["extension"] if one["url"].endswith("patient-mothersMaidenName")
        }
    return found


def patients(places, path):
    return ready(
        places, path, kind="care_network", domains=["community_care"], reading=Reading(format="fhir"), roles={},
        columns=PATIENT_COLUMNS,
    )  # fmt: skip


def test_no_identifier_of_the_1144_patients_is_anywhere_in_their_release(places):
    path = DATA / "Patient.000.ndjson.gz"
    made = patients(places, path)

    release = built(made, PATIENT_COLUMNS)

    assert release.status == "ready", release.problem
    names, rows = rows_of(made, release)
    assert set(names) == {"pseudonym", "event_rank", *PATIENT_COLUMNS} - {"id"}
    assert release.k_min >= 5 and release.dropped["minor"] > 0
    told = "\n".join(str(value) for row in rows for value in row) + json.dumps(release.manifest, ensure_ascii=False)
    known = identities(path)
    assert len(known) > 8000
    assert [name for name in known if name in told] == []
    assert any("1 144 ressources Patient" in " ".join(words.split()) for words in release.manifest["reading"])
    left = release.dataset_version.reading["mended"]["fhir"]["dropped"]
    assert {"identifier", "name", "telecom", "address.line", "text"} <= set(left)


def test_what_names_the_ten_patients_stays_in_columns_that_never_leave(places, real_data):
    path = real_data / "hospital" / "fhir-bulk-10" / "Patient.000.ndjson"
    made = patients(places, path)
    dataset = made.convention.offer.dataset
    known = identities(path)

    release = built(made, PATIENT_COLUMNS)

    assert release.status == "failed", "thirteen patients are too few for any class"
    assert "Réduisez la précision" in release.problem
    assert [name for name in known if name in release.problem + json.dumps(release.recipe)] == []
    shown = json.dumps([c.profile for c in dataset.columns.all()], ensure_ascii=False)
    assert [name for name in known if len(name) > 4 and name in shown] == [], "nor on the page of the profile"
    assert clock.today().isoformat() == release.recipe["reading"]["age_on"]


# Parquet


def test_a_release_of_a_parquet_file_is_what_a_stranger_finds_in_the_same_table_as_csv(places):
    cut = releasing.cut_of_stays(places / "stays.csv.gz", 3000)
    table = pyarrow.csv.read_csv(cut, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=False))
    assert table.schema.field("patient_nbr").type == pyarrow.int64()
    path = places / "stays.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=700)
    wanted = ("patient_nbr", "gender", "age", "time_in_hospital", "num_lab_procedures", "diag_1", "readmitted")
    roles = {name: role for name, (_type, role) in releasing.ROLES.items() if name != "race"}

    made = ready(
        places, path, kind="hospital", domains=["clinical"], reading=Reading(missing=("?",)), columns=wanted,
        roles={**dict.fromkeys(table.column_names, "measure"), "race": "free_text", **roles}, name="stays.parquet",
    )  # fmt: skip
    release = built(made, wanted)

    assert release.status == "ready", release.problem
    assert release.recipe["reading"]["format"] == "parquet" and release.rows_out > 2000
    assert release.recipe["dataset"]["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    made.source = cut
    told = recompute(made.inputs(release)).failed
    assert told == ["la source a l'empreinte de la recette"], "only the bytes are others: the CSV's, not the Parquet's"
    _names, rows = rows_of(made, release)
    assert len(rows) == release.rows_out
