"""What a reading mends: proposed by the examination, accepted by a person, counted, told wherever the data go."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse
from django.utils.html import escape

from tests.actors import signed_in
from tests.integration.test_sources import (  # noqa: F401  fixtures
    dataset,
    empty,
    folders,
    profiled,
    sealed,
    steward_of,
    upload,
)
from zones import actions, sources
from zones.reading import Reading, mends_in_words, proposals_in_words

pytestmark = pytest.mark.django_db

DATA = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "data"
CHARGING = DATA / "station_data_dataverse.csv"
VEHICLES = DATA / "2023-Autonomous-Vehicle-Disengagement-Reports-CSV.csv.gz"
PATIENTS = DATA / "Patient.000.ndjson.gz"


def reread(client, version, *keys):
    """Accept the proposals `keys` on the version's page, as its form does; returns the new version, examined."""
    answer = client.post(
        reverse("version-reread", args=[version.dataset.slug, version.number]), {"act": "proposed", "mend": keys}
    )
    assert answer.status_code == 302, answer.content.decode()
    return profiled(version.dataset.versions.order_by("number").last())


def last_events(count):
    """The last events that are not about keys, latest first, with what they tell."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payload::json->>'act', body::json FROM audit_event "
            "JOIN audit_detail ON event_id = audit_event.id WHERE payload::json->>'act' NOT LIKE 'key.%%' "
            "ORDER BY audit_event.id DESC LIMIT %s",
            [count],
        )
        return cursor.fetchall()


def clear_of(version):
    with sources.clear_copy(version) as path:
        return path.read_text(encoding="utf-8").splitlines()


# The century of dates


def test_the_year_0014_of_the_charging_sessions_is_proposed_accepted_and_counted(empty):  # noqa: F811
    client = signed_in(steward_of(empty.zone))
    first = profiled(sealed(empty, CHARGING.read_bytes(), Reading(missing=("NA",))))
    assert first.proposed == {"century": {"created": 3395, "ended": 3395}}
    page = client.get(first.get_absolute_url()).content.decode()
    assert "3 395 dates de l’an 1 à 99" in page.replace("\xa0", " ").replace("\u202f", " ").replace("&#x27;", "’")

    second = reread(client, first, "century:created", "century:ended")

    assert (second.number, second.rows, second.sha256) == (2, 3395, hashlib.sha256(CHARGING.read_bytes()).hexdigest())
    assert second.stored_as == first.stored_as
    assert second.proposed == {}
    counted = second.reading["mended"]["century"]
    assert {name: sum(years.values()) for name, years in counted.items()} == {"created": 3395, "ended": 3395}
    assert counted["created"].keys() == {"0014", "0015"}
    assert second.reading["blank_lines"] == 1
    created = {column.name: column for column in empty.columns.all()}["created"]
    assert (created.type, created.profile["from"], created.profile["to"]) == ("timestamp", "2014-11", "2015-10")
    assert clear_of(second)[1].startswith("1366563,7.78,0,2014-11-18 15:40:26,2014-11-18 17:11:04,")
    assert clear_of(first)[1].startswith("1366563,7.78,0,0014-11-18 15:40:26"), "the former version stays as it was"


def test_what_was_mended_is_told_on_the_page_and_in_the_log(empty):  # noqa: F811
    client = signed_in(steward_of(empty.zone))
    first = profiled(sealed(empty, CHARGING.read_bytes(), Reading(missing=("NA",))))

    second = reread(client, first, "century:created", "century:ended")

    words = mends_in_words(Reading.of(second.reading))
    assert [w.replace("\xa0", " ").replace("\u202f", " ") for w in words] == [
        "« created » : 3 395 dates, années 0014 à 0015 lues 2014 à 2015",
        "« ended » : 3 395 dates, années 0014 à 0015 lues 2014 à 2015",
    ]  # fmt: skip
    page = client.get(second.get_absolute_url()).content.decode()
    assert "Corrigé à la lecture" in page and "années 0014 à 0015 lues 2014 à 2015" in page
    (act, told), _ordered, (asked, how) = last_events(3)
    assert (act, asked) == ("version.profile", "version.reread")
    assert told["mended"]["century"]["ended"].keys() == {"0014", "0015"}
    assert (how["of"], how["reading"]["century"]) == (1, ["created", "ended"])


def test_the_public_page_says_what_was_mended(empty, client):  # noqa: F811
    steward = steward_of(empty.zone)
    first = profiled(sealed(empty, CHARGING.read_bytes(), Reading(missing=("NA",))))
    reread(signed_in(steward), first, "century:created", "century:ended")
    every = {c.name: actions.ChosenRole("measure") for c in empty.columns.all()}
    actions.set_column_roles(empty, by=steward, roles={**every, "userId": actions.ChosenRole("subject_key")})
    actions.publish_dataset(empty, by=steward)

    page = client.get(empty.get_absolute_url()).content.decode()

    assert "Corrigé à la lecture" in page and "années 0014 à 0015 lues 2014 à 2015" in page


def test_a_reading_is_undone_by_another_reading(empty):  # noqa: F811
    client = signed_in(steward_of(empty.zone))
    first = profiled(sealed(empty, b"day,n\n" + b"0014-01-05,1\n" * 6))
    second = reread(client, first, "century:day")
    page = client.get(reverse("version-reread", args=[empty.slug, second.number]))
    fields = {name: value or "" for name, value in page.context["form"].initial.items() if value is not False}

    answer = client.post(page.request["PATH_INFO"], {**fields, "act": "chosen", "century": ""})

    assert answer.status_code == 422, "these bytes are already read so"
    assert "version 1" in answer.content.decode()
    third = client.post(page.request["PATH_INFO"], {**fields, "act": "chosen", "missing": "NA"})
    assert third.status_code == 302
    assert empty.versions.get(number=3).reading["century"] == ["day"]


def test_a_correction_of_a_column_that_is_gone_says_which(empty):  # noqa: F811
    version = profiled(sealed(empty, b"a\n1\n", Reading(century=("created",))))

    assert version.status == "refused"
    assert "created" in version.problem


def test_the_unicode_text_of_a_spreadsheet_is_proposed_and_read(empty):  # noqa: F811
    content = "jour\tÉquipe\r\n2026-01-05\tŁódź\r\n2026-01-06\tNîmes\r\n".encode("utf-16")
    client = signed_in(steward_of(empty.zone))
    first = profiled(sealed(empty, content, Reading(delimiter="\t")))
    assert (first.status, first.proposed) == ("refused", {"encoding": "utf-16"})
    assert "Le texte est en UTF-16" in first.problem

    second = reread(client, first, "encoding")

    assert (second.status, second.rows, second.reading["encoding"]) == ("profiled", 2, "utf-16")
    assert clear_of(second) == ["jour,Équipe", "2026-01-05,Łódź", "2026-01-06,Nîmes"]
    assert second.sha256 == hashlib.sha256(content).hexdigest(), "the file is kept as it was sent"
    assert "texte Unicode" in client.get(second.get_absolute_url()).content.decode()


# Latin-1, blank lines, several shapes of dates, names on several lines


def test_the_city_s_vehicles_are_mended_step_by_step_without_being_sent_again(empty):  # noqa: F811
    client = signed_in(steward_of(empty.zone))
    first = profiled(sealed(empty, VEHICLES.read_bytes()))
    assert first.status == "refused" and "0xA0" in first.problem
    assert first.proposed == {"encoding": "latin-1"}

    second = reread(client, first, "encoding")
    assert (second.status, second.rows) == ("profiled", 12_687)
    assert second.proposed == {
        "skip_blank": 6125, "one_line": 5 - 1, "dates": {"DATE": {"order": "mdy", "n": 4858}},
    }  # fmt: skip

    last = reread(client, second, "skip_blank", "one_line", "dates:DATE")
    assert (last.rows, last.reading["blank_lines"], last.proposed) == (6562, 6125, {})
    assert last.reading["mended"]["skip_blank"] == 6125
    assert last.reading["mended"]["dates"]["DATE"]["changed"] == 4858 + 593 + 47
    seen = {column.name: column for column in empty.columns.all()}
    assert seen["DATE"].type == "timestamp" and seen["DATE"].suggested_role == "timestamp"
    assert seen["VIN NUMBER"].suggested_role == "direct_identifier" or empty.is_personal
    assert all("\n" not in name for name in seen)
    assert last.sha256 == hashlib.sha256(VEHICLES.read_bytes()).hexdigest()


def test_a_date_that_is_none_is_refused_with_its_line(empty):  # noqa: F811
    version = profiled(sealed(empty, b"d\n8/21/2023\n2/30/2023\n", Reading(dates={"d": "mdy"})))

    assert version.status == "refused"
    assert "Ligne 3" in version.problem and "2/30" not in version.problem, "a value is not repeated in a message"


def test_dates_that_could_be_read_both_ways_are_not_guessed(empty):  # noqa: F811
    version = profiled(sealed(empty, b"d,n\n" + b"1/2/2023,1\n2023-05-06,2\n" * 5))

    assert version.proposed == {}


def test_windows_signs_are_told_from_latin_1(empty):  # noqa: F811
    version = profiled(sealed(empty, "a,b\n1,€\n".encode("cp1252")))

    assert version.proposed == {"encoding": "cp1252"}


def test_nameless_columns_are_numbered_once_accepted(empty):  # noqa: F811
    client = signed_in(steward_of(empty.zone))
    first = profiled(sealed(empty, b"a,,b,\n1,2,3,4\n"))
    assert first.status == "refused" and first.proposed == {"number_nameless": 2}

    second = reread(client, first, "number_nameless")

    assert [c.name for c in empty.columns.all()] == ["a", "colonne_2", "b", "colonne_4"]
    assert second.reading["mended"]["number_nameless"] == ["colonne_2", "colonne_4"]


def test_a_single_column_that_holds_semicolons_proposes_them(empty):  # noqa: F811
    version = profiled(sealed(empty, b"a;b\n1;2\n"))

    assert version.proposed == {"delimiter": ";"}


def test_an_export_of_a_french_workbook_is_mended_step_by_step(empty):  # noqa: F811
    lines = ["Service de cardiologie, export du 3 mars", "", "âge;admis le;poids", *["40;21/08/2023;60,5"] * 6]
    client = signed_in(steward_of(empty.zone))

    version = profiled(sealed(empty, "\r\n".join(lines).encode("cp1252")))
    accepted = []
    while version.proposed:
        accepted.append(sorted(version.proposed))
        page = client.get(version.get_absolute_url()).content.decode()
        keys = [key for key, words in proposals_in_words(version.proposed) if escape(words) in page]
        version = reread(client, version, *keys)

    assert accepted == [["encoding"], ["delimiter", "header_line"], ["dates"]]
    assert (version.status, version.rows) == ("profiled", 6)
    assert clear_of(version)[:2] == ["âge,admis le,poids", '40,2023-08-21,"60,5"']


def test_objects_that_leave_out_keys_are_read_when_sent_as_csv(empty):  # noqa: F811
    first = profiled(sealed(empty, b'{"a":1}\n' + b'{"b":"x","a":2}\n' * 6))
    assert first.status == "refused" and first.proposed == {"format": "ndjson"}

    second = reread(signed_in(steward_of(empty.zone)), first, "format")

    assert [(c.name, c.profile["missing"]) for c in empty.columns.all()] == [("a", 0), ("b", 1)]
    assert clear_of(second)[:3] == ["a,b", "1,", "2,x"]


def test_the_mends_of_the_last_version_are_kept_for_the_next_file(empty):  # noqa: F811
    client = signed_in(steward_of(empty.zone))
    reread(client, profiled(sealed(empty, b"day,n\n" + b"0014-01-05,1\n" * 6)), "century:day")

    assert b"id_same_mends" in client.get(reverse("version-upload", args=[empty.slug])).content
    upload(client, empty, b"day,n\n" + b"0015-01-05,1\n" * 6, same_mends="on")

    latest = profiled(empty.versions.get(number=3))
    assert latest.reading["mended"]["century"] == {"day": {"0015": 6}}


# FHIR


def test_fhir_patients_are_laid_flat_and_their_identity_is_suggested_apart(empty):  # noqa: F811
    version = profiled(sealed(empty, PATIENTS.read_bytes(), actions.dated(Reading(format="fhir"))))

    assert (version.status, version.rows) == ("profiled", 1144), version.problem
    seen = {column.name: column for column in empty.columns.all()}
    assert seen["id"].suggested_role == "subject_key"
    identity = ("identifier", "name", "telecom", "text", "address.line", "address.geolocation",
                "patient-mothersMaidenName", "patient-birthPlace", "maritalStatus.text")  # fmt: skip
    assert not [name for name in seen if name.startswith(identity)]
    assert seen["us-core-race.ombCategory.code"].suggested_role == "sensitive"
    assert {seen[p].suggested_role for p in ("gender", "age", "birthDate", "maritalStatus.coding.code")} == {
        "quasi_identifier"
    }
    assert seen["address.postalCode"].suggested_role == "geo"
    assert seen["age"].type == "integer"
    laid = version.reading["mended"]["fhir"]
    assert (laid["resource"], laid["resources"], laid["lists"]) == ("Patient", 1144, {})
    assert laid["omitted"] == ["meta", "system"]
    assert {path: laid["dropped"][path] for path in identity} == dict.fromkeys(identity, 1144)
    words = " ".join(mends_in_words(Reading.of(version.reading))).replace("\u202f", " ").replace("\xa0", " ")
    assert "hors de la liste des champs permis" in words and "telecom (1 144)" in words


def test_a_plain_reading_of_fhir_proposes_to_lay_it_flat(empty):  # noqa: F811
    version = profiled(sealed(empty, PATIENTS.read_bytes(), Reading(format="ndjson")))

    assert version.status == "refused"
    assert version.proposed == {"format": "fhir"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "1"}, "pas de « resourceType »"),
        ({"resourceType": "Bundle", "entry": []}, "un Bundle entier"),
        ({"resourceType": "Group", "id": "1"}, "parmi des ressources Patient"),
        ({"resourceType": "Patient", "modifierExtension": []}, "change le sens"),
        ({"resourceType": "Patient", "address": [[1]]}, "liste de listes"),
        ({"resourceType": "Patient", "extension": {"url": "a"}}, "n'est pas une liste"),
        ({"resourceType": "Patient", "extension": [{"valueString": "x"}]}, "pas d'« url »"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_laid_flat_is_refused_with_its_line(empty, line, message):  # noqa: F811
    good = {"resourceType": "Patient", "id": "0", "gender": "male"}
    content = "\n".join(json.dumps(one) for one in (good, line)).encode()

    version = profiled(sealed(empty, content, Reading(format="fhir")))

    assert version.status == "refused"
    assert "Ligne 2" in version.problem and message in version.problem


@pytest.mark.parametrize("resource", ["Patient", "Encounter", "Condition", "Practitioner"])
def test_the_ten_patients_and_what_concerns_them_are_read(empty, real_data, resource):  # noqa: F811
    (found,) = (real_data / "hospital" / "fhir-bulk-10").glob(f"{resource}.*")
    content = found.read_bytes()
    content = gzip.decompress(content) if found.suffix == ".gz" else content

    version = profiled(sealed(empty, content, actions.dated(Reading(format="fhir"))))

    assert (version.status, version.rows) == ("profiled", content.count(b"\n")), version.problem
    key = {"Patient": "id", "Encounter": "subject.reference", "Condition": "subject.reference"}.get(resource)
    if key:
        assert empty.columns.get(name=key).suggested_role == "subject_key"
    assert not [c.name for c in empty.columns.all() if c.name.endswith("individual.display")]
