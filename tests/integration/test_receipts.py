"""What the caller of a recorded verb takes away: signed, for what was committed, and kept by the log."""

import base64
import json

import pytest
from django.db import transaction
from django.urls import reverse

from broker.accounts import grants
from broker.audit import checkpoint, context, merkle, receipts
from broker.audit.actions import record
from broker.audit.actor import SYSTEM
from broker.audit.checkpoint import InvalidNote
from tests import factories
from tests.actors import signed_in
from tests.logs import one, rows, sequencing


@pytest.fixture
def auditor(committed):
    return signed_in(factories.user(organisation=factories.organisation("audit"), role="auditor"))


def receipts_of(answer):
    return receipts.from_header(answer[receipts.HEADER])


def last_payload():
    return one("SELECT payload FROM audit_event ORDER BY id DESC LIMIT 1")[0]


def announced(database, folder):
    """The key told in the log, and everything sequenced and signed."""
    with sequencing(database, folder) as sequencer:
        told = []
        for _start in (1, 2):
            with sequencer.connection.transaction(), sequencer.connection.cursor() as cursor:
                told.append(receipts.announce(cursor))
        sequencer.catch_up()
        with sequencer.connection.cursor() as cursor:
            told.append(receipts.announce(cursor))
    return told


def test_the_answer_of_a_recorded_verb_hands_a_receipt_that_the_log_keeps(auditor, committed, tmp_path, client):
    answer = auditor.get(reverse("audit-search"))
    [note] = receipts_of(answer)

    told = announced(committed, tmp_path)
    [key] = [checkpoint.Verifier.parse(line) for line in client.get("/log/recepisses/cles").content.decode().split()]
    said = receipts.read(note, key)
    written = answer[receipts.HEADER].replace("+", "-").replace("/", "_")
    place = int(client.get(f"/log/recepisses/{written}").content)

    assert told == [str(key), None, None]
    [(payload,)] = rows("SELECT e.payload FROM audit_event e JOIN audit_index i ON i.event_id = e.id "
                        "WHERE i.leaf_index = %s", place)  # fmt: skip
    assert json.loads(payload)["act"] == "log.search"
    assert (said.ulid, said.leaf_hash) == (json.loads(payload)["id"], merkle.leaf_hash(payload.encode()))
    proven, path, _signed = checkpoint.parse_proof(client.get(f"/log/preuve/{place}").content.decode())
    size, root = one("SELECT size, root FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    merkle.verify_inclusion(said.leaf_hash, proven, size, path, bytes(root))


def test_a_refusal_has_its_receipt_and_what_commits_nothing_has_none(committed):
    zone = factories.zone()
    person = factories.user(organisation=zone.operator)
    grants.give(person, "zones.operate", zone, by=SYSTEM)
    operator = signed_in(person)

    answer = operator.post(reverse("audit-bundle"), {"whole": "on"})
    [note] = receipts_of(answer)

    event = json.loads(last_payload())
    assert answer.status_code == 403
    assert (event["act"], event["out"]) == ("log.export", "deny")
    assert receipts.read(note, receipts.signer().verifier).leaf_hash == merkle.leaf_hash(last_payload().encode())
    assert receipts.HEADER not in operator.get(reverse("log-home"))


def test_what_is_rolled_back_with_its_request_has_no_receipt(committed):
    with context.committed() as kept:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            record("zone.open", by=SYSTEM)
            raise ZeroDivisionError
        record("zone.create", by=SYSTEM)

    assert [json.loads(payload)["act"] for _ulid, payload, _at in kept] == ["zone.create"]


def test_a_receipt_whose_event_was_lost_leads_nowhere_and_a_forged_one_is_none(auditor, committed, tmp_path, client):
    lost = receipts.issue("0" * 26, merkle.leaf_hash(b"jamais inscrit"), "2026-11-23T00:00:00.000000Z")
    announced(committed, tmp_path)
    encoded = base64.urlsafe_b64encode(lost.encode()).decode()

    assert client.get(f"/log/recepisses/{encoded}").status_code == 404
    assert client.get("/log/recepisses/n'importe quoi").status_code == 404
    key = receipts.signer().verifier
    assert receipts.read(lost, key).ulid == "0" * 26
    for forged in (lost.replace("0" * 26, "1" * 26), lost.replace("receipts\n", "reçus\n"), "rien"):
        with pytest.raises(InvalidNote):
            receipts.read(forged, key)
