"""Real records of several tables, from the upload to the opened archive: OMOP in twelve tables, Synthea in fifteen.

A stranger works every row of every table out again from the files, the keys and the register alone."""

import io
import zipfile

import duckdb
import pyrage
import pytest
from django.conf import settings
from django.test import override_settings

from broker import clock
from broker.accounts import grants
from broker.keys.store import KeyStore
from broker.releases import previews, store, tasks
from broker.releases.tables import quasi_of
from consent import oppositions
from consent.tasks import record_sealed_request
from tests import factories, judges, releasing
from tests.recompute import Inputs, recompute
from zones import actions, sealing
from zones import tasks as examining
from zones.reading import Reading

NEVER = frozenset({"direct_identifier", "free_text", "staff", "birth", "geo", "sensitive"})


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


def registered(zone, files, roles):
    """A published dataset of these files: the suggested roles and keys, but for `roles`; measures where none is."""
    steward = factories.user(organisation=zone.operator)
    grants.give(steward, "zones.steward", zone, by=steward)
    grants.give(steward, "zones.operate", zone, by=steward)
    dataset = actions.create_dataset(
        zone, by=steward, title="Dossiers de soins", summary="s", domains=["clinical"], is_personal=True,
        service=factories.service(zone),
    )  # fmt: skip
    gathered = []
    for path in files:
        seal = sealing.Seal(zone, sealing.recipient_of(zone))
        seal.write(path.read_bytes())
        gathered.append((seal.finish(path.name), Reading()))
    version = actions.receive_version(actions.gather_files(dataset, by=steward, files=gathered), by=steward)
    examining.profile_version(version.pk)
    version.refresh_from_db()
    assert version.status == "profiled", version.problem
    chosen = {}
    for column in dataset.columns.all():
        link = column.profile.get("link")
        role = roles.get(column.path) or column.suggested_role or "measure"
        key = ".".join(link["of"]) if link and role in ("subject_key", "record_key") else ""
        chosen[column.path] = actions.ChosenRole(role, column.sensitive_class if role == "sensitive" else "", "", key)
    actions.set_column_roles(dataset, by=steward, roles=chosen)
    actions.publish_dataset(dataset, by=steward)
    dataset.refresh_from_db()
    return dataset


def ready(folder, files, roles, *, without=()) -> tuple[releasing.Ready, tuple[str, ...]]:
    """A convention on real files, and the columns its offer releases: all that may leave but for `without`."""
    keys = KeyStore(settings.KEY_STORE)
    zone = factories.zone("hospital")
    keys.create("source", f"zone:{zone.pk}")
    keys.create("token", f"zone:{zone.pk}")
    dataset = registered(zone, files, roles)
    wanted = tuple(c.path for c in dataset.columns.all() if c.role not in NEVER and c.path not in without)
    return taken_up(factories.offer(dataset, columns=wanted), folder), wanted


def taken_up(offer, folder) -> releasing.Ready:
    """An active convention of one more start-up on `offer`, with its own key."""
    experimenter = factories.organisation()
    factories.registry_entry(experimenter, domains=["clinical"], zone_kinds=["hospital"])
    convention = factories.convention(offer, organisation_=experimenter)
    identity = pyrage.x25519.Identity.generate()
    convention.environment.age_recipient = str(identity.to_public())
    convention.environment.save(update_fields=["age_recipient"])
    KeyStore(settings.KEY_STORE).create("pseudonym", f"convention:{convention.pk}")
    return releasing.Ready(convention, str(identity), folder)


def built(made, columns):
    release = made.ask(columns)
    tasks.build(release)
    release.refresh_from_db()
    return release


def inputs_of(made, release, files) -> Inputs:
    keys = KeyStore(settings.KEY_STORE)
    zone, at = made.convention.zone, release.opposition_snapshot_at
    sealed = (store._folder() / release.stored_as).read_bytes()
    by_name = {file.file_name: file.table.name for file in release.dataset_version.files.select_related("table")}
    return Inputs(
        source=made.source, recipe=release.recipe, manifest=release.manifest,
        pseudonym_key=keys.open("pseudonym", f"convention:{made.convention.pk}").decode(),
        token_key=keys.open("token", f"zone:{zone.pk}").decode(),
        opposed=[t.hex() for t in oppositions.tokens_in_force(zone, release.dataset_version.dataset, at)],
        clear=pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(made.identity)]),
        sources={by_name[path.name]: path for path in files},
    )  # fmt: skip


@pytest.fixture
def omop(real_data):
    return sorted((real_data / "hospital" / "omop-synthea27nj").glob("*.csv*"))


@pytest.fixture
def synthea(real_data):
    return sorted((real_data / "hospital" / "synthea-csv-27").glob("*.csv"))


# What a steward says otherwise than the examination suggests: drugs are no addiction, units no commune.
OMOP_ROLES = {
    **dict.fromkeys(
        ("CONCEPT.concept_id", "CONCEPT.concept_name", "CONCEPT.concept_code", "MEASUREMENT.unit_concept_id",
         "MEASUREMENT.unit_source_value", "OBSERVATION.unit_concept_id", "DRUG_EXPOSURE.drug_concept_id",
         "DRUG_EXPOSURE.drug_type_concept_id", "DRUG_EXPOSURE.drug_source_value",
         "DRUG_EXPOSURE.drug_source_concept_id"), "measure",
    ),
    **dict.fromkeys(
        (f"DRUG_EXPOSURE.drug_exposure_{end}_{kind}" for end in ("start", "end") for kind in ("date", "datetime")),
        "timestamp",
    ),
    **dict.fromkeys(
        ("DRUG_EXPOSURE.drug_exposure_id", "CONDITION_OCCURRENCE.condition_occurrence_id",
         "VISIT_OCCURRENCE.preceding_visit_occurrence_id"), "record_key",
    ),
}  # fmt: skip
OMOP_WITHOUT = ("PERSON.month_of_birth", "PERSON.day_of_birth", "PERSON.gender_source_concept_id")
SYNTHEA_ROLES = {
    "encounters.PAYER_COVERAGE": "measure", "medications.PAYER_COVERAGE": "measure", "careplans.Id": "record_key",
    "patients.DRIVERS": "direct_identifier", "patients.MAIDEN": "direct_identifier", "devices.UDI": "direct_identifier",
}  # fmt: skip
SYNTHEA_WITHOUT = (
    "patients.ZIP",
    "patients.MARITAL",
    "patients.PREFIX",
    "providers.ZIP",
    "organizations.ZIP",
    "payers.ZIP",
)


def opened(inputs: Inputs, folder) -> dict[str, list[dict]]:
    """The archive laid out in `folder`, and the rows of each table."""
    with zipfile.ZipFile(io.BytesIO(inputs.clear)) as archive:
        archive.extractall(folder)
    with duckdb.connect() as engine:
        found = {}
        for path in sorted((folder / "data").iterdir()):
            rows = engine.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [column[0] for column in rows.description]
            found[path.stem] = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
        return found


def objects(made, local_id: str) -> None:
    zone = made.convention.zone
    agent = factories.user(organisation=zone.operator)
    grants.give(agent, "zones.steward", zone, by=agent)
    request = oppositions.receive(zone, by=agent, local_id=local_id)
    record_sealed_request(request.pk)


def test_omop_leaves_in_twelve_tables_that_a_stranger_finds_again(places, omop):
    made, wanted = ready(places, omop, OMOP_ROLES, without=OMOP_WITHOUT)
    objects(made, "3")

    release = built(made, wanted)

    assert release.status == "ready", release.problem
    inputs = inputs_of(made, release, omop)
    assert recompute(inputs).failed == []
    rows = opened(inputs, places / "opened")
    assert len(rows) == 12 and rows["CONCEPT"]
    seen = {
        row["provider_id"]
        for name, table in rows.items()
        if name != "PROVIDER"
        for row in table
        if "provider_id" in row
    }
    assert {row["provider_id"] for row in rows["PROVIDER"]} == seen - {None}
    leaves = {one["name"]: one.get("leaves") for one in release.recipe["tables"]}
    assert (leaves["PROVIDER"], leaves["CONCEPT"]) == ("referred", "whole"), "a code of CONCEPT is no key"
    assert {row["visit_occurrence_id"] for row in rows["DRUG_EXPOSURE"]} & {
        row["visit_occurrence_id"] for row in rows["VISIT_OCCURRENCE"]
    }
    assert {row["provider_id"] for row in rows["MEASUREMENT"]} <= {row["provider_id"] for row in rows["PROVIDER"]}
    visits = {row["visit_occurrence_id"] for row in rows["VISIT_OCCURRENCE"]} | {None}
    named = {row.get("visit_occurrence_id") for table in rows.values() for row in table}
    assert named <= visits, "no reference to a row that does not leave"
    before = {row["preceding_visit_occurrence_id"] for row in rows["VISIT_OCCURRENCE"]} - {None}
    assert before and before <= visits, "the visit before, of the same table, is still named"
    assert not {"provider_name", "person_source_value", "birth_datetime"} & {
        name for table in rows.values() for row in table for name in row
    }
    assert release.file_name.endswith(".zip.age")
    told = {one["name"]: one for one in release.manifest["tables"]}
    assert told["PERSON"]["rows"]["lost"]["protected_persons"] > 1 and release.dropped["opposed"] > 50
    assert release.subjects_out == len(rows["PERSON"])
    assert judges.refused_by_frictionless(places / "opened" / "datapackage.json") == []
    assert len(judges.read_by_croissant(places / "opened" / "croissant.json", "person")) == len(rows["PERSON"])


def test_synthea_leaves_in_fifteen_tables_but_for_addresses_among_observations(places, synthea):
    made, wanted = ready(places, synthea, SYNTHEA_ROLES, without=SYNTHEA_WITHOUT)

    refused = built(made, wanted)
    release = built(made, tuple(path for path in wanted if path != "observations.VALUE"))

    assert refused.status == "failed" and "observations.VALUE" in refused.problem, "an answer there is an address"
    assert release.status == "ready", release.problem
    inputs = inputs_of(made, release, synthea)
    assert recompute(inputs).failed == []
    rows = opened(inputs, places / "opened")
    assert len(rows) == 15
    persons = {row["pseudonym"] for row in rows["patients"]}
    assert all(row["pseudonym"] in persons for table in rows.values() for row in table if "pseudonym" in row)
    assert {row["PROVIDER"] for row in rows["encounters"]} <= {row["Id"] for row in rows["providers"]}


def test_a_release_of_tables_is_built_again_to_the_same_bytes_and_shares_no_key_with_another_convention(places, omop):
    small = [path for path in omop if path.name.startswith(("PERSON", "DEATH", "VISIT", "PROVIDER"))]
    made, wanted = ready(places, small, OMOP_ROLES, without=OMOP_WITHOUT)
    one = built(made, wanted)
    again = built(made, wanted)
    other = taken_up(made.convention.offer, places)

    elsewhere = built(other, wanted)

    assert one.clear_sha256 == again.clear_sha256 != elsewhere.clear_sha256
    mine = opened(inputs_of(made, one, small), places / "one")
    theirs = opened(inputs_of(other, elsewhere, small), places / "other")
    keys = ("pseudonym", "visit_occurrence_id", "provider_id")
    held = {row[key] for table in mine.values() for row in table for key in keys if row.get(key)}
    assert held and not any(held & set(row.values()) for table in theirs.values() for row in table)


def previewed(made, columns):
    preview = previews.of_release(
        made.convention, by=made.person, second_factor_at=clock.now(), address="127.0.0.1", columns=list(columns)
    )
    preview = previews.answer(preview)
    preview.refresh_from_db()
    assert preview.status == "ready", preview.problem
    return preview


def test_a_preview_of_tables_says_what_the_release_then_has(places, omop):
    small = [path for path in omop if path.name.startswith(("PERSON", "DEATH", "VISIT"))]
    made, wanted = ready(places, small, OMOP_ROLES, without=OMOP_WITHOUT)

    preview = previewed(made, wanted)

    release, found = built(made, wanted), preview.found
    for told in ("rows_in", "rows_out", "dropped", "k_min"):
        assert found[told] == getattr(release, told)
    assert found["k_min"] >= found["k_before"] > 0
    assert found["without"].keys() == set(quasi_of(preview.recipe))
    said = previews.explained(preview, whole=True)
    assert said["has_costs"] and said["k_before"] == found["k_before"]
