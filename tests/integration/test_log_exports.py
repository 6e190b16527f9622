"""What is taken away for other systems: the leaves' bytes, a table, FHIR, syslog; each within the reader's scope."""

import csv
import io
import json
import re

import jsonschema
import pytest
from django.urls import reverse

from broker.accounts import grants
from broker.audit import context, exports
from broker.audit.actor import SYSTEM
from tests import factories
from tests.actors import signed_in
from tests.logs import ORIGIN, rows, sequencing, write


@pytest.fixture
def auditor(committed):
    return factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")


@pytest.fixture
def log(committed, tmp_path):
    """Six events of a hospital and a motorway, one of them with a formula for a name."""
    hospital, motorway = factories.zone("hospital", slug="hopital"), factories.zone("av_motorway", slug="autoroute")
    with context.of_request(number="r", address="192.0.2.7"):
        write(2, "data.download", zone=hospital.reference, obj=("release", "7"), conv="cv:CV-2026-0001@1", n=12,
              purp="experimentation", sub="patient:1", policy="sha256:00")  # fmt: skip
        write(1, "gate.decide", zone=hospital.reference, out="deny", reason=("G11", "G20"))
        write(1, "data.download", zone=motorway.reference, obj=("file", '=HYPERLINK("http://x")'), conv='"quoted"]')
        write(2, "zone.amend", zone=motorway.reference, out="error")
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
    return hospital


def taken(user, form, **asked):
    answer = signed_in(user).post(reverse("audit-export", args=[form]), asked)
    return b"".join(answer.streaming_content).decode() if answer.status_code == 200 else answer.status_code


def test_json_lines_are_the_bytes_that_were_signed(auditor, log):
    found = taken(auditor, "jsonl", act="data.download")

    assert found.splitlines() == [
        p for (p,) in rows("SELECT payload FROM audit_event ORDER BY id") if "data.download" in p
    ]


def test_a_table_has_every_key_and_starts_no_formula(auditor, log):
    found = list(csv.DictReader(io.StringIO(taken(auditor, "csv", whole="on"), newline="")))

    assert [int(line["leaf_index"]) for line in found] == list(range(7))
    assert found[1]["n"] == "12"
    assert found[3]["reason"] == "G11 G20"
    assert found[4]["obj_id"] == '\'=HYPERLINK("http://x")'
    assert not [cell for line in found for cell in line.values() if cell.startswith(exports.FORMULA)]


CODING = {"type": "object", "required": ["code"], "properties": {"system": {"type": "string", "format": "uri"}}}
# The elements that FHIR R4 requires of an AuditEvent, and the codes that it binds (hl7.org/fhir/R4/auditevent.html).
AUDIT_EVENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["resourceType", "type", "recorded", "agent", "source"],
    "properties": {
        "resourceType": {"const": "AuditEvent"},
        "id": {"pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
        "extension": {"type": "array", "minItems": 1, "items": {"required": ["url"]}},
        "type": CODING,
        "subtype": {"type": "array", "minItems": 1, "items": CODING},
        "action": {"enum": ["C", "R", "U", "D", "E"]},
        "recorded": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$"},
        "outcome": {"enum": ["0", "4", "8", "12"]},
        "outcomeDesc": {"type": "string", "minLength": 1},
        "purposeOfEvent": {"type": "array", "minItems": 1},
        "agent": {
            "type": "array", "minItems": 1,
            "items": {"required": ["requestor"], "properties": {
                "requestor": {"type": "boolean"},
                "network": {"properties": {"type": {"enum": ["1", "2", "3", "4", "5"]}}},
            }},
        },
        "source": {"required": ["observer"]},
        "entity": {"type": "array", "minItems": 1, "items": {"minProperties": 1}},
    },
}  # fmt: skip


def test_fhir_audit_events_have_their_shape_and_are_of_zones_of_health_alone(auditor, log):
    found = [json.loads(line) for line in taken(auditor, "fhir", whole="on").splitlines()]

    for resource in found:
        jsonschema.validate(resource, AUDIT_EVENT)
    assert [one["extension"][0]["valueDecimal"] for one in found] == [1, 2, 3]
    assert {one["entity"][-1]["role"]["display"] for one in found[:2]} == {"Patient"}
    assert (found[2]["outcome"], found[2]["outcomeDesc"]) == ("4", "G11 G20")
    assert found[0]["agent"][0]["network"] == {"address": "192.0.2.0/24", "type": "2"}


SYSLOG = re.compile(  # RFC 5424, section 6: the header, one element of structured data, the message after its mark
    r"<(?P<priority>\d{1,3})>1 (?P<at>\S+) (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<process>[!-~]{1,128}) "
    r'(?P<act>[!-~]{1,32}) \[leaf@32473(?P<data>( [!-<>-~]+="([^"\\\]]|\\["\\\]])*")+)\] \ufeff(?P<leaf>.*)'
)


def test_syslog_lines_parse_and_hold_the_leaf(auditor, log):
    found = [SYSLOG.fullmatch(line) for line in taken(auditor, "syslog", whole="on").split("\n")[:-1]]

    assert [line["leaf"] for line in found] == [
        payload for (payload,) in rows("SELECT payload FROM audit_event ORDER BY generation, id LIMIT 7")
    ]
    assert [line["priority"] for line in found] == ["110"] * 3 + ["108", "110"] + ["107"] * 2
    assert ' leaf_index="3"' in found[3]["data"]
    assert {line["host"] for line in found} == {ORIGIN.partition("/")[0]}


def test_what_would_end_a_value_of_syslog_is_escaped():
    assert exports._escaped('a"b]c\\') == 'a\\"b\\]c\\\\'


def test_an_unreadable_leaf_is_exported_all_the_same():
    entry = exports.Entry(5, 1, "pas une feuille", None)

    assert "5,,,,,,,,,,,,,unparsed" in list(exports.table([entry], ORIGIN))[1]
    assert SYSLOG.fullmatch(next(exports.syslog([entry], ORIGIN)).rstrip("\n"))["leaf"] == "pas une feuille"
    assert list(exports.fhir([entry], ORIGIN)) == []


def test_an_export_is_written_in_the_log(auditor, log):
    taken(auditor, "csv", act="data.download")

    assert rows("SELECT payload::json->>'act' FROM audit_event ORDER BY id DESC LIMIT 1") == [("log.export",)]
    assert '"form":"csv"' in rows("SELECT body FROM audit_detail ORDER BY event_id DESC LIMIT 1")[0][0]


@pytest.mark.parametrize("form", exports.FORMS)
def test_an_export_stays_within_its_reader_s_zone(committed, log, form):
    delegate = factories.user(organisation=log.operator)
    grants.give(delegate, "zones.advise", log, by=SYSTEM)

    found = taken(delegate, form, act="data.download")

    assert found.count("zone:hopital") >= 2
    assert "autoroute" not in found
    assert taken(delegate, form, whole="on") == 403


def test_an_unknown_form_is_not_found(auditor, log):
    assert taken(auditor, "pdf") == 404
