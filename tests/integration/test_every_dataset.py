"""Every folder of real data: registered by the real verbs and built by the real engine, or refused by the rule named.

Roles are the suggested ones, corrected where a steward would; what is not a table is listed with its reason.
"""

import gzip
import hashlib
import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.conf import settings

from broker.accounts import grants
from broker.errors import TerrainError
from broker.keys.store import KeyStore
from broker.releases import store, tasks
from tests import factories, releasing
from tests.integration.test_dirty_releases import places
from zones import actions, sealing
from zones import tasks as examining
from zones.models import Column
from zones.reading import Reading, accepted

__all__ = ["places"]  # a fixture
PLAIN, NDJSON = Reading(), Reading(format="ndjson")
SEMICOLON = Reading(delimiter=";", encoding="latin-1")
IDENTIFYING = re.compile(r"vin|serial|permit|address|latitude|longitude|officer|phone|email|narrative", re.I)


@dataclass(frozen=True)
class Case:
    """A dataset made of the files of one folder that match `files`; `refused` is the beginning of the rule's words."""

    folder: str
    files: str = "*.csv*"
    kind: str = "av_city"
    domains: tuple[str, ...] = ("road_infrastructure",)
    personal: bool = False
    reading: Reading = PLAIN
    readings: dict[str, Reading] = field(default_factory=dict)  # of some files, by a part of their names
    roles: dict[str, str] = field(default_factory=dict)  # by column, over the suggested ones
    wanted: tuple[str, ...] = ()  # names or paths; () means every column that may leave
    named: str = ""  # the name that the file is sent under, where its own says another format
    more: dict = field(default_factory=dict)
    refused: str = ""


CLINICAL: dict[str, Any] = {"kind": "hospital", "domains": ("clinical",), "personal": True}
ACCIDENTS: dict[str, Any] = {
    "personal": True, "wanted": ("Num_Acc", "lum", "prof"),
    "more": {"no_minors_because": "une ligne décrit un accident"},
    "roles": {"Num_Acc": "subject_key", "hrmn": "direct_identifier", "voie": "geo", "lum": "quasi_identifier",
              "prof": "quasi_identifier"},
}  # fmt: skip
FHIR = Reading(format="fhir")
STRUCTURE = "contient une structure. Mettez-la à plat"
CASES = {
    "stays": Case(
        "hospital/diabetes130", "diabetic*", **CLINICAL, reading=Reading(missing=("?",)),
        wanted=("patient_nbr", "gender", "age", "time_in_hospital", "readmitted"),
        roles={"encounter_id": "direct_identifier", "race": "free_text", "time_in_hospital": "measure",
               "readmitted": "measure"},
    ),
    "codes of the stays, stacked": Case("hospital/diabetes130", "IDs*", kind="hospital", domains=("medico_economic",)),
    "charging sessions": Case(
        "eco-district/ev-charging", kind="eco_district", domains=("ev_charging",), personal=True,
        reading=Reading(missing=("NA",)), wanted=("userId", "created", "kwhTotal", "facilityType"),
        roles={"facilityType": "quasi_identifier", "locationId": "geo"},
        more={"no_minors_because": "conducteurs, titulaires du permis"},
    ),
    "a care network in FHIR": Case(
        "care-network/fhir-bulk-1000", "*.ndjson*", kind="care_network", domains=("community_care",), personal=True,
        reading=FHIR, wanted=("Patient.id", "Patient.gender", "Patient.maritalStatus.coding.code"),
    ),
    "thirteen patients in FHIR": Case(
        "hospital/fhir-bulk-10", "Patient*", **CLINICAL, reading=FHIR, wanted=("id", "gender", "address.state"),
        refused="trop peu nombreuses à partager les mêmes caractéristiques",
    ),
    "load curves without a consent": Case(
        "eco-district/smart-meters", kind="eco_district", domains=("energy_metering",), personal=True,
        more={"consent_required": True, "time_step": "fine", "no_minors_because": "titulaires d'un contrat"},
        roles={"customer_id": "subject_key"}, refused="Personne n'a encore consenti à cet usage",
    ),
    "a single house": Case(
        "eco-district/smart-home", kind="eco_district", domains=("environment",), personal=True,
        refused="sans clé de sujet",
    ),
    "solar panels": Case("eco-district/pv", kind="eco_district", domains=("energy_grid",)),
    "test reports of automated vehicles": Case("av-zones/city/ca-dmv-2023"),
    "incident reports": Case("av-zones/city/nhtsa-sgo"),
    "a drive on public roads": Case(
        "av-zones/city/comma2k19-seg40", "gnss*", domains=("mobility_trace",), personal=True,
        refused="sans clé de sujet",
    ),
    "accidents in Grenoble": Case("av-zones/city", "accidents*", **ACCIDENTS),
    "accidents on motorways": Case("av-zones/motorway", "accidents*", **{**ACCIDENTS, "kind": "av_motorway"}),
    "accidents in the Alps": Case("av-zones/mountain-road", "accidents*", **{**ACCIDENTS, "kind": "av_mountain"}),
    "traffic counts": Case("av-zones/motorway/i94-traffic", kind="av_motorway"),
    "vehicles on a proving ground": Case(
        "av-zones/proving-ground/openacc-zalazone", "short*", reading=Reading(header_line=6)
    ),
    "French accidents of 2018": Case("av-zones/road-accidents-fr-2018"),
    "health establishments": Case(
        "care-network/drees-sae-2023", kind="care_network", domains=("equipment_status",), reading=SEMICOLON,
        readings={"GHT": Reading(delimiter=";", encoding="cp1252")},
    ),
    "data use codes": Case("codes/duo", kind="hospital", domains=("medico_economic",)),
    "ICD-9-CM": Case("codes/icd9cm-v32", kind="hospital", domains=("medico_economic",)),
    "ICD-10-CM": Case("codes/icd10cm-2026", kind="hospital", domains=("medico_economic",)),
    "alerts of a connected city": Case(
        "av-zones/city/nyc-cv-pilot", "*ima-event*", reading=NDJSON, named="ima.ndjson.gz", refused=STRUCTURE
    ),
    "alerts on a motorway": Case(
        "av-zones/motorway/nyc-cv-pilot", "*.json*", reading=NDJSON, named="fcw.ndjson.gz", refused=STRUCTURE
    ),
    "messages of vehicles": Case(
        "av-zones/v2x-messages/usdot-bsm-log", "*.json*", reading=NDJSON, named="bsm.ndjson.gz", refused=STRUCTURE
    ),
    "samples of messages": Case(
        "av-zones/v2x-messages/etsi-samples", "Cam.json", reading=NDJSON, named="cam.ndjson",
        refused="Ligne 1 : ce n'est pas un objet JSON",
    ),
    "communes": Case(
        "geography", "communes.json*", reading=NDJSON, named="communes.ndjson.gz",
        refused="Ligne 1",
    ),
}  # fmt: skip

# What is no table, and why.
NO_DATASET = {
    r"LICEN[SC]E|TermsOfUse": "a licence",
    r"DataProcessing\.txt|EVENT-Readme\.txt": "words about the data",
    r"_schema_": "a schema",
    r"duo\.owl": "an ontology; duo.csv is its table",
    r"\.geojson$|departements\.json|regions\.json|epci\.json": "geography that the house itself draws from",
    r"Denm\.json|nycdot-(cspdomp|spdcomp)|comma2k19-seg40/(can|imu)_|no_ACC": "as its neighbour, under the same rule",
    r"omop-synthea27nj/|synthea-csv-27/": "several tables with keys: test_released_tables builds them",
    r"fhir-bulk-10/": "its other resource types: test_tables registers all of them as one dataset with keys",
}


def registered(case: Case, files: list[Path]):
    """The dataset and its last version: sent, examined, every proposed mend accepted."""
    keys, zone = KeyStore(settings.KEY_STORE), factories.zone(case.kind)
    keys.create("source", f"zone:{zone.pk}")
    keys.create("token", f"zone:{zone.pk}")
    steward = factories.user(organisation=zone.operator)
    grants.give(steward, "zones.steward", zone, by=steward)
    service = factories.service(zone) if case.kind == "hospital" else None
    dataset = actions.create_dataset(
        zone, by=steward, title="Jeu", summary="s", domains=list(case.domains), is_personal=case.personal,
        service=service, **({} if case.personal else {"licence": "Licence Ouverte 2.0"}), **case.more,
    )  # fmt: skip
    sent = []
    for path in files:
        seal = sealing.Seal(zone, sealing.recipient_of(zone))
        seal.write(beginning(path) if path.name.startswith("diabetic_data") else path.read_bytes())
        reading = next((one for part, one in case.readings.items() if part in path.name), case.reading)
        sent.append((seal.finish(case.named or path.name), reading))
    if len(sent) == 1:
        version = actions.add_version(dataset, by=steward, sealed=sent[0][0], reading=sent[0][1])
    else:
        version = actions.receive_version(actions.gather_files(dataset, by=steward, files=sent), by=steward)
    for _time in range(8):
        examining.profile_version(version.pk)
        version = dataset.versions.prefetch_related("files__table").get(pk=version.pk)
        proposed = {file: file.proposed for file in version.files.all() if file.proposed}
        if not proposed:
            break
        if any("stacked" in one for one in proposed.values()):
            version = actions.unstack_version(version, by=steward)
            continue
        readings = {file.table.name: accepted(Reading.of(file.reading), one) for file, one in proposed.items()}
        version = actions.reread_version(version, by=steward, reading=readings)
    return dataset, steward, version


def beginning(path: Path, lines: int = 8000) -> bytes:
    """The first lines of a file: enough for its rules, and whole it is built by the demo and the bench."""
    with gzip.open(path) as whole:
        return gzip.compress(b"".join(itertools.islice(whole, lines + 1)), mtime=0)


def role_of(column: Column, case: Case) -> actions.ChosenRole:
    if role := case.roles.get(column.name):
        return actions.ChosenRole(role)
    if not case.personal:
        return actions.ChosenRole("direct_identifier" if IDENTIFYING.search(column.name) else "measure")
    return actions.ChosenRole(column.suggested_role or "measure", column.sensitive_class)


def released(case: Case, files: list[Path]):
    """A release of every column that may leave, or of those wanted; raises what refuses it."""
    dataset, steward, version = registered(case, files)
    if version.status != "profiled":
        return version, None
    roles = {column.path: role_of(column, case) for column in dataset.columns.select_related("table")}
    actions.set_column_roles(dataset, by=steward, roles=roles)
    actions.publish_dataset(dataset, by=steward)
    dataset.refresh_from_db()
    columns = [c for c in dataset.columns.all() if not case.wanted or {c.name, c.path} & set(case.wanted)]
    experimenter = factories.organisation()
    factories.registry_entry(experimenter, domains=list(case.domains), zone_kinds=[case.kind])
    offer = factories.offer(
        dataset, columns={c.path for c in columns},
        **({"purposes": ["energy_flexibility_rnd"]} if case.more.get("consent_required") else {}),
    )  # fmt: skip
    convention = factories.convention(offer, organisation_=experimenter)
    identity = pyrage.x25519.Identity.generate()
    convention.environment.age_recipient = str(identity.to_public())
    convention.environment.save(update_fields=["age_recipient"])
    KeyStore(settings.KEY_STORE).create("pseudonym", f"convention:{convention.pk}")
    made = releasing.Ready(convention, str(identity), files[0])
    release = made.ask([c.path for c in columns])
    tasks.build(release)
    release.refresh_from_db()
    return version, (release, str(identity))


def files_of(case: Case, folder: Path) -> list[Path]:
    found = sorted(path for path in (folder / case.folder).glob(case.files) if path.is_file())
    assert found, f"{case.folder} holds no {case.files}"
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_dataset_is_registered_and_a_lawful_release_built_or_the_right_rule_refuses(places, real_data, name):
    case = CASES[name]

    try:
        version, release = released(case, files_of(case, real_data))
    except TerrainError as refusal:
        assert case.refused and case.refused in str(refusal), refusal
        return

    if version.status != "profiled":
        assert case.refused and case.refused in version.problem, version.problem
        return
    made, identity = release
    if case.refused:
        assert made.status == "failed" and case.refused in made.problem, (made.status, made.problem)
        return
    assert made.status == "ready", made.problem
    assert made.rows_out > 0 and (not case.personal or made.k_min >= 5)
    clear = pyrage.decrypt((store._folder() / made.stored_as).read_bytes(), [pyrage.x25519.Identity.from_str(identity)])
    assert hashlib.sha256(clear).hexdigest() == made.manifest["clear_sha256"]


def test_every_file_is_a_dataset_of_a_test_or_said_to_be_none(real_data):
    named = {path.relative_to(real_data).as_posix() for case in CASES.values() for path in files_of(case, real_data)}
    manifest = json.loads((real_data / "manifest.json").read_text())
    every = {name for one in manifest["datasets"] for name in one["files"]}

    unknown = sorted(name for name in every - named if not any(re.search(pattern, name) for pattern in NO_DATASET))

    assert len(every) > 100
    assert unknown == []
