"""Which role the profile suggests for a column, and the drawings of what it saw."""

import pytest

from zones import drawing
from zones.suggestion import suggest, words_of


def seen(name, kind="text", *, distinct=20, missing=0, length=5.0):
    return {"name": name, "type": kind, "distinct": distinct, "missing": missing, "length": length}


@pytest.mark.parametrize(
    ("column", "role", "klass"),
    [
        (seen("encounter_id", "integer", distinct=1000), "direct_identifier", ""),
        (seen("patient_nbr", "integer", distinct=700), "subject_key", ""),
        (seen("patientId", "text", distinct=700), "subject_key", ""),
        (seen("LCLid", "text", distinct=700), "subject_key", ""),
        (seen("race"), "sensitive", "origin"),
        (seen("religion"), "sensitive", "religion"),
        (seen("vih"), "sensitive", "hiv"),
        (seen("nom"), "direct_identifier", ""),
        (seen("e-mail"), "direct_identifier", ""),
        (seen("gender"), "quasi_identifier", ""),
        (seen("code_postal"), "quasi_identifier", ""),
        (seen("admission_type_id", "integer", distinct=8), "quasi_identifier", ""),
        (seen("doctor"), "staff", ""),
        (seen("visit_date", "date"), "timestamp", ""),
        (seen("report", length=120.0, distinct=900), "free_text", ""),
        (seen("ville"), "geo", ""),
        (seen("num_medications", "integer", distinct=75), "measure", ""),
        (seen("temperature", "number", distinct=1000), "measure", ""),
        (seen("readmitted", distinct=3), "measure", ""),
        (seen("diag_1", distinct=716), "", ""),
        (seen("nothing", "empty", missing=1000), "", ""),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else None,
)
def test_a_role_is_suggested_by_the_name_or_the_shape(column, role, klass):
    found = suggest(column, rows=1000, personal=True)

    assert (found.role, found.sensitive_class) == (role, klass)
    assert bool(found.because) == bool(role), "a suggestion says why, and nothing is suggested without a reason"


@pytest.mark.parametrize("name", ["race", "gender", "patient_nbr", "nom"])
def test_data_about_no_person_hold_no_identifier(name):
    assert suggest(seen(name, "integer", distinct=1000), rows=1000, personal=False).role == "measure"


@pytest.mark.parametrize(
    ("kind", "of_persons", "of_things"),
    [
        ("nir", "direct_identifier", "direct_identifier"), ("email", "direct_identifier", "direct_identifier"),
        ("plate", "direct_identifier", "direct_identifier"), ("siret", "direct_identifier", "measure"),
        ("coordinates", "geo", "geo"),
    ],
)  # fmt: skip
def test_what_the_values_are_goes_before_what_the_column_is_called(kind, of_persons, of_things):
    column = seen("gender") | {"detected": {"kind": kind, "share": 0.97}}

    assert suggest(column, rows=1000, personal=True).role == of_persons
    assert suggest(column, rows=1000, personal=False).role == of_things
    assert "97 %" in suggest(column, rows=1000, personal=True).because


def test_the_words_of_a_name_are_found_whatever_its_spelling():
    assert words_of("patientNbr") == words_of("patient_nbr") == words_of("Patient nbr") == {"patient", "nbr"}
    assert words_of("Prénom") == {"prenom"}


def test_a_share_is_whole_only_when_it_is():
    assert drawing.share(0, 10) == 0
    assert drawing.share(10, 10) == 100
    assert drawing.share(1, 100_000) == 0.1
    assert drawing.share(99_999, 100_000) == 99.9
    assert drawing.share(1, 0) == 0


def test_the_tallest_bar_fills_the_drawing():
    bars = drawing.bars({"bins": [0, 5, 10]}, height=20)

    assert [bar.height for bar in bars] == [0, 10, 20]
    assert all(bar.y + bar.height == 20 for bar in bars)
    assert drawing.bars(None) == drawing.bars({"bins": [0, 0]}) == []


def test_a_map_keeps_every_commune_and_site_inside():
    class Place:
        name, latitude, longitude = "Portique", 45.1885, 5.7005

    drawn = drawing.zone_map(["38185", "38151", "26235"], [Place])

    assert [name for name, _ in drawn.outlines] == ["Grenoble", "Échirolles"]
    assert drawn.missing == ("Pierrelatte",)
    (point,) = drawn.points
    assert 0 <= point.x <= drawn.width and 0 <= point.y <= drawn.height
    assert drawing.zone_map(["26235"], [Place]) is None, "a point without an outline is no map"
