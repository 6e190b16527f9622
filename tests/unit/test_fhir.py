"""Resources laid flat: what enters a table, what does not, and the keys that references hold."""

import pytest

from broker.errors import BadInput
from zones.fhir import ALLOWED, DROPPED, Flattening


def flat(**resource):
    flattening = Flattening()
    return flattening.flat(resource, 1), flattening.counts()


@pytest.mark.parametrize(
    ("reference", "key", "meant"),
    [
        ({"reference": "Practitioner/12"}, "12", ["Practitioner", "id"]),
        ({"reference": "https://ehr.example/fhir/Practitioner/12"}, "12", ["Practitioner", "id"]),
        ({"reference": "Practitioner/12/_history/3"}, "12", ["Practitioner", "id"]),
        ({"reference": "urn:uuid:0f-12", "type": "Practitioner"}, "0f-12", ["Practitioner", "id"]),
        ({"reference": "Practitioner?identifier=npi|99"}, "99", ["Practitioner", "identifier"]),
        ({"reference": "Practitioner?identifier=99&active=true"}, "99", ["Practitioner", "identifier"]),
        (
            {"identifier": {"system": "npi", "value": "99"}, "type": "Practitioner", "display": "Dr. Rodarte"},
            "99",
            ["Practitioner", "identifier"],
        ),
    ],
)
def test_a_reference_is_the_key_of_what_it_means(reference, key, meant):
    cells, counts = flat(resourceType="Condition", id="1", recorder=reference)

    assert cells == {"id": "1", "recorder.reference": key}
    assert counts["keys"] == {"recorder.reference": meant}


@pytest.mark.parametrize("reference", [{"display": "Dr. Rodarte"}, {"reference": "#inside"}, {"reference": ""}])
def test_a_reference_without_a_key_leaves_nothing(reference):
    cells, _counts = flat(resourceType="Condition", id="1", recorder=reference)

    assert cells == {"id": "1"}


def test_what_is_not_on_the_list_is_dropped_and_counted():
    cells, counts = flat(
        resourceType="Condition", id="1", note=[{"text": "dit à sa fille"}], text={"div": "<p>Ana Lopez</p>"},
        contained=[{"resourceType": "Patient", "id": "inside"}], identifier=[{"value": "ipp-1"}],
        code={"coding": [{"system": "s", "code": "44054006", "display": "Diabète d'Ana"}], "text": "vu avec Ana"},
        extension=[{"url": "https://example/somebody", "valueString": "Ana"}],
    )  # fmt: skip

    assert cells == {"id": "1", "code.coding.code": "44054006"}
    assert counts["dropped"] == dict.fromkeys(
        ("code.coding.display", "code.text", "contained", "identifier", "note", "somebody", "text"), 1
    )


def test_only_those_found_by_it_keep_their_identifier():
    practitioner, _counts = flat(resourceType="Practitioner", id="1", identifier=[{"system": "npi", "value": "99"}])
    patient, _counts = flat(resourceType="Patient", id="1", identifier=[{"system": "ssn", "value": "999-17"}])

    assert practitioner == {"id": "1", "identifier": "99"}
    assert patient == {"id": "1"}


def test_a_type_without_a_list_is_refused():
    with pytest.raises(BadInput, match="Group"):
        flat(resourceType="Group", id="1")


def test_no_list_lets_in_what_names_a_person():
    freely = {"name", "telecom", "contact", "photo", "text", "contained", "note", "comment", "description"}

    assert freely <= DROPPED
    assert {kind: fields & freely for kind, fields in ALLOWED.items() if fields & freely} == {}
    assert "identifier" not in ALLOWED["Patient"] and "identifier" not in ALLOWED["Encounter"]
