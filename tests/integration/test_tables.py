"""Datasets of several tables: files gathered in a draft, examined together, keys measured and confirmed."""

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from broker.accounts import grants
from broker.errors import BadInput, WrongState
from broker.keys.store import KeyStore
from broker.releases import previews
from consent import terms
from tests import factories
from tests.actors import signed_in
from zones import actions, sealing, sources, tables, tasks
from zones.models import Column, Dataset
from zones.reading import Reading

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    for name in ("SOURCES", "SCRATCH"):
        setattr(settings, name, tmp_path / name.lower())
    store = tmp_path / "keys"
    store.mkdir(mode=0o700)
    settings.KEY_STORE = str(store)
    return tmp_path


@pytest.fixture
def steward():
    zone = factories.zone()
    KeyStore().create("source", f"zone:{zone.pk}")
    person = factories.user(organisation=zone.operator)
    grants.give(person, "zones.steward", zone, by=person)
    grants.give(person, "zones.operate", zone, by=person)
    person.zone = zone
    return person


@pytest.fixture
def dataset(steward) -> Dataset:
    return actions.create_dataset(
        steward.zone, by=steward, title="Dossiers", summary="s", domains=["clinical"], is_personal=True
    )


def sealed(dataset, name: str, content: bytes) -> sealing.Sealed:
    seal = sealing.Seal(dataset.zone, sealing.recipient_of(dataset.zone))
    seal.write(content)
    return seal.finish(name)


def registered(dataset, steward, files: dict[str, bytes], reading=None):
    """A version of these files, gathered, received and examined as the pages and the worker do."""
    gathered = [(sealed(dataset, name, content), reading or Reading()) for name, content in files.items()]
    version = actions.gather_files(dataset, by=steward, files=gathered)
    version = actions.receive_version(version, by=steward)
    tasks.profile_version(version.pk)
    version.refresh_from_db()
    return version


def keys_of(dataset) -> dict[str, str]:
    """The key that each column holds as the examination measured it, by path."""
    return {
        column.path: ".".join(column.profile["link"]["of"])
        for column in dataset.columns.select_related("table")
        if "link" in column.profile
    }


def accept(dataset, steward, **roles):
    """Confirm what was suggested, keys included, with `roles` for the columns that nothing speaks for."""
    chosen = {}
    for column in dataset.columns.all():
        link = column.profile.get("link")
        role = roles.get(column.path) or column.suggested_role or "direct_identifier"
        key = ".".join(link["of"]) if link and role in ("subject_key", "record_key") else ""
        chosen[column.path] = actions.ChosenRole(role, column.sensitive_class, "", key)
    actions.set_column_roles(dataset, by=steward, roles=chosen)


PATIENTS = b"Id,BIRTHDATE,GENDER\n" + b"".join(b"p-%016d,19%02d-01-02,M\n" % (n, n) for n in range(40))
STAYS = b"Id,PATIENT,COST\n" + b"".join(b"s-%016d,p-%016d,%d\n" % (n, n % 30, n) for n in range(90))
EVENTS = b"STAY,CODE\n" + b"".join(b"s-%016d,c%d\n" % (n % 50, n % 3) for n in range(200)) + b",c9\n" + b"lost,c9\n"
THREE = {"patients.csv": PATIENTS, "stays.csv": STAYS, "events.csv": EVENTS}


def test_files_gathered_are_examined_together(dataset, steward):
    version = registered(dataset, steward, THREE)

    assert version.status == "profiled", version.problem
    files = {file.table.name: file for file in version.files.select_related("table")}
    assert {name: file.rows for name, file in files.items()} == {"patients": 40, "stays": 90, "events": 202}
    assert version.rows == 332 and version.size == sum(map(len, THREE.values()))
    assert version.sha256 == tables.sha256_of((name, files[name].sha256) for name in ("patients", "stays", "events"))
    assert [c.path for c in dataset.columns.all()] == [
        "patients.Id", "patients.BIRTHDATE", "patients.GENDER", "stays.Id", "stays.PATIENT", "stays.COST",
        "events.STAY", "events.CODE",
    ]  # fmt: skip


def test_keys_are_measured_and_orphans_counted(dataset, steward):
    registered(dataset, steward, THREE)

    found = {c.path: (c.suggested_role, c.profile.get("link")) for c in dataset.columns.all()}
    assert found["patients.Id"] == ("subject_key", None)
    assert found["stays.PATIENT"] == ("subject_key", {"of": ["patients", "Id"], "held": 90, "found": 90})
    assert found["stays.Id"] == ("record_key", None)
    assert found["events.STAY"] == ("record_key", {"of": ["stays", "Id"], "held": 201, "found": 200})
    assert found["patients.BIRTHDATE"][0] == "birth"
    shown = json.dumps([c.profile for c in dataset.columns.all()])
    assert "p-0000" not in shown and "s-0000" not in shown and "19" + "39-01-02" not in shown


def test_a_steward_confirms_keys_with_roles(dataset, steward):
    registered(dataset, steward, THREE)

    accept(dataset, steward)

    held = {c.path: c.references.path for c in dataset.columns.exclude(references=None).select_related("references")}
    assert held == {"stays.PATIENT": "patients.Id", "events.STAY": "stays.Id"}
    actions.publish_dataset(dataset, by=steward)


WRONG_KEYS = [
    ({"stays.PATIENT": ("measure", "patients.Id")}, "donnez à cette clé le rôle"),
    ({"stays.PATIENT": ("subject_key", "stays.Id")}, "donnez à cette clé le rôle"),
    ({"stays.Id": ("record_key", "stays.Id")}, "elle-même"),
    ({"stays.PATIENT": ("subject_key", "stays.nowhere")}, "inconnue"),
    ({"stays.COST": ("subject_key", "")}, "Une seule colonne"),
    ({"stays.Id": ("record_key", "events.STAY")}, "un seul sens"),
]


def test_a_key_that_leads_nowhere_is_refused(dataset, steward):
    registered(dataset, steward, THREE)
    accept(dataset, steward)

    for changes, said in WRONG_KEYS:
        with pytest.raises(BadInput, match=said):
            actions.set_column_roles(
                dataset,
                by=steward,
                roles={path: actions.ChosenRole(role, references=key) for path, (role, key) in changes.items()},
            )


FAMILIES = b"Id,BIRTHDATE,MOTHER\n" + b"".join(
    b"p-%016d,19%02d-01-02,%s\n" % (n, n, b"p-%016d" % (n // 2) if n > 1 else b"") for n in range(40)
)
FOLLOWED = b"stay_id,patient_id,previous_stay_id,copy_id\n" + b"".join(
    b"%d,p-%016d,%s,%d\n" % (n, n % 30, b"%d" % (n - 30) if n >= 30 else b"", n) for n in range(90)
)


def test_rows_that_name_other_rows_of_their_own_table_are_measured_and_confirmed(dataset, steward):
    registered(dataset, steward, {"patients.csv": FAMILIES, "stays.csv": FOLLOWED})

    assert keys_of(dataset) == {
        "patients.MOTHER": "patients.Id", "stays.patient_id": "patients.Id", "stays.previous_stay_id": "stays.stay_id",
    }  # fmt: skip
    suggested = {c.path: c.suggested_role for c in dataset.columns.all()}
    assert (suggested["patients.MOTHER"], suggested["patients.Id"]) == ("record_key", "subject_key")
    assert (suggested["stays.previous_stay_id"], suggested["stays.stay_id"]) == ("record_key", "record_key")
    accept(dataset, steward)
    actions.publish_dataset(dataset, by=steward)
    page = signed_in(steward).get(dataset.get_absolute_url()).content.decode()
    assert "<code>previous_stay_id</code> → <code>stays.stay_id</code>" in page


def test_a_single_table_whose_rows_name_each_other_says_so(dataset, steward):
    registered(dataset, steward, {"stays.csv": FOLLOWED})
    client = signed_in(steward)

    roles = client.get(reverse("column-roles", args=[dataset.slug]) + "?revue=1").content.decode()

    found = {c.path: c.suggested_role for c in dataset.columns.exclude(suggested_role="")}
    assert keys_of(dataset) == {"previous_stay_id": "stays.stay_id"}
    assert found["previous_stay_id"] == found["stay_id"] == "record_key"
    assert '<option value="stay_id" selected>' in roles and "key:previous_stay_id" in roles


def test_two_files_of_one_table_are_told_apart(dataset, steward):
    actions.gather_files(dataset, by=steward, files=[(sealed(dataset, "stays.csv", STAYS), Reading())])

    with pytest.raises(BadInput, match=r"STAYS\.csv.*stays\.csv.*remplit déjà"):
        actions.gather_files(dataset, by=steward, files=[(sealed(dataset, "STAYS.csv", EVENTS), Reading())])


def test_a_file_is_taken_back_before_the_examination_and_its_bytes_go(
    dataset, steward, settings, django_capture_on_commit_callbacks
):
    version = actions.gather_files(
        dataset, by=steward, files=[(sealed(dataset, name, content), Reading()) for name, content in THREE.items()]
    )
    file = version.files.get(table__name="events")
    path = settings.SOURCES / file.stored_as
    assert path.exists()

    with django_capture_on_commit_callbacks(execute=True):
        actions.take_back_file(file, by=steward)

    assert not path.exists()
    assert [one.table.name for one in version.files.all()] == ["patients", "stays"]
    assert not dataset.tables.filter(name="events").exists()


def test_a_draft_is_given_up_with_all_its_files(dataset, steward, settings, django_capture_on_commit_callbacks):
    version = actions.gather_files(dataset, by=steward, files=[(sealed(dataset, "stays.csv", STAYS), Reading())])

    with django_capture_on_commit_callbacks(execute=True):
        actions.drop_draft(version, by=steward)

    assert not dataset.versions.exists() and not dataset.tables.exists()
    assert not list(settings.SOURCES.rglob("*.age"))


def test_what_is_received_is_not_taken_back(dataset, steward):
    version = registered(dataset, steward, THREE)

    with pytest.raises(WrongState):
        actions.take_back_file(version.files.first(), by=steward)
    with pytest.raises(WrongState):
        actions.drop_draft(version, by=steward)
    with pytest.raises(WrongState):
        actions.receive_version(version, by=steward)


def test_a_version_without_a_table_of_the_former_is_not_examined(dataset, steward):
    registered(dataset, steward, THREE)
    accept(dataset, steward)
    later = actions.gather_files(dataset, by=steward, files=[(sealed(dataset, "stays.csv", STAYS), Reading())])

    with pytest.raises(BadInput, match="events"):
        actions.receive_version(later, by=steward)


def test_a_table_whose_file_is_named_otherwise_this_time_is_told_and_examined(dataset, steward):
    registered(dataset, steward, THREE)
    accept(dataset, steward)
    client = signed_in(steward)
    send(client, dataset, {"patients.csv": PATIENTS, "Stays_2026-03.csv": STAYS + b"x,y,1\n", "events.csv": EVENTS})
    later = dataset.versions.first()
    file = later.files.get(file_name="Stays_2026-03.csv")
    page = client.get(later.get_absolute_url()).content.decode()
    assert "<option selected>stays</option>" in page

    route = reverse("version-gathering", args=[dataset.slug, later.number])
    client.post(route, {"act": f"fill:{file.pk}", f"table-{file.pk}": "stays"})
    client.post(route, {"act": "receive"})

    later.refresh_from_db()
    assert (later.status, [one.table.name for one in later.files.all()]) == (
        "received",
        ["patients", "stays", "events"],
    )
    assert [table.name for table in dataset.tables.all()] == ["patients", "stays", "events"]


def test_a_file_told_to_be_a_table_gets_the_table_of_its_own_name_back(dataset, steward):
    registered(dataset, steward, THREE)
    accept(dataset, steward)
    later = actions.gather_files(dataset, by=steward, files=[(sealed(dataset, "stays_26.csv", STAYS), Reading())])
    actions.fill_table(later.files.get(), by=steward, name="events")
    client = signed_in(steward)
    assert "redevient la table de son nom" in client.get(later.get_absolute_url()).content.decode()

    client.post(
        reverse("version-gathering", args=[dataset.slug, later.number]), {"act": f"fill:{later.files.get().pk}"}
    )

    assert later.files.get().table.name == "stays_26"
    assert actions.tables_missing(later) == ["patients", "stays", "events"]


@pytest.mark.parametrize(("name", "why"), [("stays", "remplit déjà"), ("units", "pas de table « units »")])
def test_a_file_is_told_to_be_no_table_that_is_filled_or_unknown(dataset, steward, name, why):
    registered(dataset, steward, THREE)
    accept(dataset, steward)
    files = [(sealed(dataset, one, STAYS), Reading()) for one in ("stays.csv", "other.csv")]
    later = actions.gather_files(dataset, by=steward, files=files)

    with pytest.raises(BadInput, match=why):
        actions.fill_table(later.files.get(file_name="other.csv"), by=steward, name=name)

    assert later.files.get(file_name="other.csv").table.name == "other"


def test_a_file_of_a_version_that_was_received_stays_its_table(dataset, steward):
    version = registered(dataset, steward, THREE)

    with pytest.raises(WrongState):
        actions.fill_table(version.files.first(), by=steward, name="events")


def test_a_broken_table_refuses_the_version_and_says_which(dataset, steward):
    version = registered(dataset, steward, {**THREE, "events.csv": b"STAY,CODE\na,b\nc\n"})

    assert version.status == "refused"
    assert "events" in version.problem and "Ligne 3" in version.problem
    assert not dataset.columns.exists()


def test_one_table_is_read_otherwise_and_the_others_stay(dataset, steward):
    version = registered(dataset, steward, {**THREE, "events.csv": EVENTS.replace(b",", b";")})

    made = actions.reread_version(version, by=steward, reading={"events": Reading(delimiter=";")})
    tasks.profile_version(made.pk)
    made.refresh_from_db()

    assert made.status == "profiled", made.problem
    delimiters = {file.table.name: file.reading["delimiter"] for file in made.files.select_related("table")}
    assert delimiters == {"patients": ",", "stays": ",", "events": ";"}
    assert keys_of(dataset) == {"stays.PATIENT": "patients.Id", "events.STAY": "stays.Id"}
    with pytest.raises(BadInput, match=f"version {version.number}"):
        actions.reread_version(made, by=steward, reading={"events": Reading()})


def test_clear_copies_of_an_examined_version_are_those_of_its_tables(dataset, steward):
    version = registered(dataset, steward, THREE)

    with sources.clear_copies(version) as paths:
        found = {name: path.read_bytes() for name, path in paths.items()}

    assert found == {"patients": PATIENTS, "stays": STAYS, "events": EVENTS}


def test_codes_that_the_gate_cannot_read_are_told_where_roles_are_given(dataset, steward):
    coded = b"STAY,DIAG_1,ATC_CODE,drug_concept_id,POSTAL_CODE\n" + b"".join(
        b"s-%016d,F32,N05AH%02d,%d,74000\n" % (n, n % 9, 1000 + n % 9) for n in range(90)
    )
    registered(dataset, steward, {"drugs.csv": coded})
    client, page = signed_in(steward), reverse("column-roles", args=[dataset.slug])

    before = client.get(page).content.decode()
    roles = {c.path: actions.ChosenRole("sensitive", "psychiatry") for c in dataset.columns.filter(name="ATC_CODE")}
    actions.set_column_roles(dataset, by=steward, roles=roles)
    after = client.get(page).content.decode()

    assert "2 colonnes portent des codes que la barrière ne sait pas lire" in before and "SNOMED CT" in before
    assert before.count("codes non reconnus") == 2
    assert "1 colonne porte des codes" in after and after.count("codes non reconnus") == 1


TRIPS = b"trip_id,vehicle_id,driver_birth,at,speed\n" + b"".join(
    b"t-%016d,v-%016d,19%02d-02-03,2026-01-%02d 10:%02d:00,%d\n" % (n, n % 20, 50 + n % 20, 1 + n % 9, n % 60, n)
    for n in range(60)
)
VEHICLES = b"vehicle_id,power\n" + b"".join(b"v-%016d,%d\n" % (n, n) for n in range(20))
ASKED = ("vehicle_id", "at", "speed")


@pytest.mark.parametrize(
    ("files", "wanted", "said"),
    [
        ({"trips.csv": TRIPS, "vehicles.csv": VEHICLES}, ("trips.speed",), r"plusieurs tables \(trips, vehicles\)"),
        ({"trips.csv": TRIPS}, (*ASKED, "trip_id"), "la clé de lien « trip_id » suivrait une personne"),
        ({"trips.csv": TRIPS}, ASKED, "ajoutez à la source une colonne d'âge"),
    ],
)
def test_what_would_join_the_days_of_a_person_is_refused_with_its_mend(steward, files, wanted, said):
    dataset = actions.create_dataset(
        steward.zone, by=steward, title="Trajets", summary="s", domains=["mobility_trace"], is_personal=True
    )
    registered(dataset, steward, files)
    roles = {"trip_id": "record_key", "vehicle_id": "subject_key", "driver_birth": "birth", "at": "timestamp",
             "speed": "measure", "power": "measure"}  # fmt: skip
    accept(dataset, steward, **{c.path: roles[c.name] for c in dataset.columns.all()})
    actions.publish_dataset(dataset, by=steward)

    with pytest.raises(BadInput, match=said):
        previews.of_offer(factories.offer(dataset, columns=wanted), by=steward)


# Real files


def files_of(folder, pattern="*.csv*") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}


def test_omop_is_one_dataset_of_twelve_tables_with_its_keys(dataset, steward, real_data):
    version = registered(dataset, steward, files_of(real_data / "hospital" / "omop-synthea27nj"))

    assert version.status == "profiled", version.problem
    assert version.files.count() == 12
    keys = keys_of(dataset)
    events = ("CONDITION_OCCURRENCE", "DRUG_EXPOSURE", "MEASUREMENT", "OBSERVATION", "PROCEDURE_OCCURRENCE")
    persons = {f"{table}.person_id" for table in (*events, "DEATH", "OBSERVATION_PERIOD", "VISIT_OCCURRENCE")}
    assert {path for path, key in keys.items() if key == "PERSON.person_id"} == persons
    visits = {path for path, key in keys.items() if key == "VISIT_OCCURRENCE.visit_occurrence_id"}
    before = "VISIT_OCCURRENCE.preceding_visit_occurrence_id"  # a row that names another of its own table
    assert visits == {f"{table}.visit_occurrence_id" for table in events} | {before}
    providers = {path for path, key in keys.items() if key == "PROVIDER.provider_id"}
    assert providers == {f"{table}.provider_id" for table in (*events, "VISIT_OCCURRENCE")}
    assert set(keys) == persons | visits | providers, "a code of CONCEPT is no key"
    columns = {c.path: c for c in dataset.columns.all()}
    drugs, conditions = (columns[f"{t}.visit_occurrence_id"] for t in ("DRUG_EXPOSURE", "CONDITION_OCCURRENCE"))
    assert drugs.profile["missing"] == 4 and conditions.profile["missing"] == 1
    assert columns["PERSON.person_id"].suggested_role == "subject_key"
    assert columns["PERSON.year_of_birth"].suggested_role == columns["PERSON.birth_datetime"].suggested_role == "birth"
    accept(dataset, steward)
    actions.publish_dataset(dataset, by=steward)


def test_synthea_is_one_dataset_of_fifteen_tables_with_its_keys(dataset, steward, real_data):
    version = registered(dataset, steward, files_of(real_data / "hospital" / "synthea-csv-27"))

    assert version.status == "profiled", version.problem
    assert version.files.count() == 15
    keys = keys_of(dataset)
    events = (
        "allergies", "careplans", "conditions", "devices", "imaging_studies", "immunizations", "medications",
        "observations", "procedures", "supplies",
    )  # fmt: skip
    assert {p for p, key in keys.items() if key == "patients.Id"} == {f"{t}.PATIENT" for t in (*events, "encounters")}
    assert {p for p, key in keys.items() if key == "encounters.Id"} == {f"{t}.ENCOUNTER" for t in events}
    others = {p: key for p, key in keys.items() if key not in ("patients.Id", "encounters.Id")}
    assert others == {
        "encounters.ORGANIZATION": "organizations.Id", "encounters.PROVIDER": "providers.Id",
        "encounters.PAYER": "payers.Id", "medications.PAYER": "payers.Id", "providers.ORGANIZATION": "organizations.Id",
    }  # fmt: skip
    columns = {c.path: c for c in dataset.columns.all()}
    assert columns["observations.ENCOUNTER"].profile["missing"] == 75
    assert columns["patients.Id"].suggested_role == "subject_key"
    accept(dataset, steward)
    actions.publish_dataset(dataset, by=steward)


def test_fhir_bulk_is_one_dataset_of_resource_types_with_its_references(dataset, steward, real_data):
    files = files_of(real_data / "hospital" / "fhir-bulk-10", "*.ndjson*")
    version = registered(dataset, steward, files, Reading(format="fhir"))

    assert version.status == "profiled", version.problem
    assert version.files.count() == 12
    keys = keys_of(dataset)
    persons = {path for path, key in keys.items() if key == "Patient.id"}
    assert persons == {
        "AllergyIntolerance.patient.reference", "Condition.subject.reference", "Device.patient.reference",
        "Encounter.subject.reference", "Immunization.patient.reference", "MedicationRequest.subject.reference",
        "Procedure.subject.reference",
    }  # fmt: skip
    assert {path: key for path, key in keys.items() if path not in persons} == {
        "Condition.encounter.reference": "Encounter.id",
        "Encounter.location.location.reference": "Location.identifier",
        "Encounter.participant.individual.reference": "Practitioner.identifier",
        "Encounter.serviceProvider.reference": "Organization.identifier",
        "Immunization.encounter.reference": "Encounter.id",
        "Immunization.location.reference": "Location.identifier",
        "Location.managingOrganization.reference": "Organization.identifier",
        "MedicationRequest.encounter.reference": "Encounter.id",
        "MedicationRequest.reasonReference.reference": "Condition.id",
        "MedicationRequest.requester.reference": "Practitioner.identifier",
        "PractitionerRole.location.reference": "Location.identifier",
        "PractitionerRole.organization.reference": "Organization.identifier",
        "PractitionerRole.practitioner.reference": "Practitioner.identifier",
        "Procedure.encounter.reference": "Encounter.id",
        "Procedure.location.reference": "Location.identifier",
        "Procedure.reasonReference.reference": "Condition.id",
    }
    columns = {column.path: column for column in dataset.columns.all()}
    assert {columns[path].suggested_role for path in persons} == {"subject_key"}
    assert {columns[path].suggested_role for path in keys if path not in persons} == {"record_key"}
    shares = {
        path: (c.profile["link"]["held"], c.profile["link"]["found"]) for path, c in columns.items() if path in keys
    }
    assert all(held == found for held, found in shares.values()), shares
    names = r"(name|telecom|display|text|line|position|div)$"
    assert not [path for path in columns if re.search(names, path.rpartition(".")[2])]
    accept(dataset, steward)
    actions.publish_dataset(dataset, by=steward)


# Pages


OPTIONS = {"format": "csv", "encoding": "utf-8", "delimiter": "comma", "header": "yes", "missing": "", "decimal": "."}


def send(client, dataset, files: dict[str, bytes], **options):
    return client.post(
        reverse("version-upload", args=[dataset.slug]),
        {**OPTIONS, **options, "file": [SimpleUploadedFile(name, content) for name, content in files.items()]},
    )


def test_several_files_sent_at_once_are_tables_of_a_version_in_preparation(dataset, steward, settings):
    client = signed_in(steward)

    answer = send(client, dataset, THREE)

    version = dataset.versions.get()
    assert (answer.status_code, answer.url, version.status) == (302, version.get_absolute_url(), "draft")
    assert [file.table.name for file in version.files.all()] == ["patients", "stays", "events"]
    assert len(list(settings.SOURCES.rglob("*.age"))) == 3
    page = client.get(version.get_absolute_url()).content.decode()
    assert all(f">{name}</th>" in page for name in ("patients", "stays", "events"))
    assert "Examiner les 3 tables" in page


def test_tables_are_sent_one_by_one_then_examined(dataset, steward):
    client = signed_in(steward)

    send(client, dataset, {"patients.csv": PATIENTS}, act="gather")
    send(client, dataset, {"stays.csv": STAYS})
    version = dataset.versions.get()
    assert version.status == "draft"
    answer = client.post(reverse("version-gathering", args=[dataset.slug, version.number]), {"act": "receive"})

    assert answer.status_code == 302
    version.refresh_from_db()
    assert (version.status, version.files.count()) == ("received", 2)


def test_a_second_file_of_a_table_is_refused_on_the_page_and_nothing_of_it_stays(dataset, steward, settings):
    client = signed_in(steward)
    send(client, dataset, THREE)

    answer = send(client, dataset, {"STAYS.csv": STAYS + b"\n"})

    assert answer.status_code == 422
    assert "remplit déjà" in answer.content.decode()
    assert len(list(settings.SOURCES.rglob("*.age"))) == 3


def test_files_over_the_limit_together_are_refused_and_none_stays(dataset, steward, settings):
    settings.SOURCE_MAX_BYTES = len(STAYS) + 10

    answer = send(signed_in(steward), dataset, {"stays.csv": STAYS, "patients.csv": PATIENTS})

    assert answer.status_code == 422 and "dépasse" in answer.content.decode()
    assert not dataset.versions.exists()
    assert not list(settings.SOURCES.rglob("*.age*"))


def test_a_file_is_taken_back_on_the_page(dataset, steward):
    client = signed_in(steward)
    send(client, dataset, THREE)
    version = dataset.versions.get()
    file = version.files.get(table__name="stays")
    route = reverse("version-gathering", args=[dataset.slug, version.number])

    client.post(route, {"act": f"remove:{file.pk}"})
    assert [one.table.name for one in version.files.all()] == ["patients", "events"]
    client.post(route, {"act": "drop"})

    assert not dataset.versions.exists()


def test_the_pages_show_tables_keys_and_orphans(dataset, steward):
    version = registered(dataset, steward, THREE)
    client = signed_in(steward)

    seen = client.get(version.get_absolute_url()).content.decode()
    roles = client.get(reverse("column-roles", args=[dataset.slug]) + "?revue=1").content.decode()

    for page in (seen, roles):
        assert "<code>STAY</code> → <code>stays.Id</code>" in page
        assert "99.5" in page.replace("99,5", "99.5") and "1 n’en trouve pas" in page
        assert page.count('class="schema-table"') == 3 and page.count("schema-key") == 2
    assert '<option value="stays.Id" selected>' in roles

    form = {"act": "suggested"} | {
        f"role:{path}": "measure" for path in ("patients.GENDER", "stays.COST", "events.CODE")
    }
    answer = client.post(reverse("column-roles", args=[dataset.slug]), form)

    assert answer.status_code == 302
    held = {c.path: c.references.path for c in dataset.columns.exclude(references=None).select_related("references")}
    assert held == {"stays.PATIENT": "patients.Id", "events.STAY": "stays.Id"}
    assert not dataset.columns.filter(role="").exists()
    client.post(reverse("dataset-publish", args=[dataset.slug]))
    public = Client().get(dataset.get_absolute_url()).content.decode()
    assert "<code>PATIENT</code> → <code>patients.Id</code>" in public


def test_the_queries_of_a_page_do_not_grow_with_the_tables(dataset, steward):
    registered(dataset, steward, THREE)
    client = signed_in(steward)
    page = reverse("dataset-detail", args=[dataset.slug])
    client.get(page)
    with CaptureQueriesContext(connection) as few:
        client.get(page)
    table = dataset.tables.create(name="more", position=9)
    Column.objects.create(dataset=dataset, table=table, name="a", path="more.a", position=0, type="text")

    with CaptureQueriesContext(connection) as more:
        client.get(page)

    assert len(more) == len(few)


def test_the_offer_form_goes_table_by_table_and_calls_columns_after_their_tables(dataset, steward):
    registered(dataset, steward, THREE)
    accept(dataset, steward, **{"stays.COST": "measure", "events.CODE": "measure"})
    actions.publish_dataset(dataset, by=steward)

    page = signed_in(steward).get(reverse("offer-create", args=[dataset.slug])).content.decode()

    shown = ("patients · Clé du sujet", "stays · Clé du sujet", "stays · Clé de lien", "events · Mesure")
    assert [page.index(f"<h3>{one} ") for one in shown] == sorted(page.index(f"<h3>{one} ") for one in shown)
    assert "<code>events.STAY</code>" in page and "<code>stays.COST</code>" in page


def test_the_terms_of_an_offer_do_not_hang_on_the_order_in_which_its_columns_are_read(dataset, steward):
    registered(dataset, steward, THREE)
    accept(dataset, steward)
    offer = factories.offer(dataset, columns=[c.path for c in dataset.columns.exclude(role="direct_identifier")])
    lines = list(offer.columns.select_related("column"))

    assert len({line.column.table_id for line in lines}) > 1
    assert terms.sha256(offer, lines) == terms.sha256(offer, lines[::-1])
