"""What the log says of one subject: their own acts under an erasable pseudonym of the year, and nothing that leads to
them without the zone's key."""

import json
from datetime import date, datetime

import pytest
import time_machine
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit import erasing, search
from broker.audit.actor import SYSTEM
from broker.desk.journal import terms
from broker.keys import subject
from broker.keys.store import KeyStore
from broker.releases import inquiries, tasks
from consent import consents, oppositions
from consent.tasks import record_sealed_request
from tests import factories
from tests.actors import signed_in
from tests.logs import one, rows, sequencing

NUMBER, ANOTHER = "88776655443", "11223344556"
AGREED = {"given_on": date(2026, 11, 2), "proof": "classeur 3", "purposes": ["diagnosis_support_rnd"],
          "channel": "paper"}  # fmt: skip
THIS_YEAR, NEXT_YEAR = datetime(2026, 11, 23, 10, tzinfo=clock.PARIS), datetime(2027, 2, 1, 10, tzinfo=clock.PARIS)


@pytest.fixture
def desk(committed, tmp_path, settings):
    """A zone with its keys, the person at its desk, its delegate, a dataset that rests on consent."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    settings.KEY_STORE = str(folder)
    return house(tmp_path)


def house(tmp_path):
    zone = factories.zone()
    for purpose in ("source", "token"):
        KeyStore().create(purpose, f"zone:{zone.pk}")
    people = {}
    for role in ("steward", "advise"):
        people[role] = factories.user(role, organisation=zone.operator)
        grants.give(people[role], f"zones.{role}", zone, by=SYSTEM)
    return {"zone": zone, "dataset": factories.dataset(zone, consent_required=True), "folder": tmp_path, **people}


def says_no(desk, number=NUMBER):
    request = oppositions.receive(desk["zone"], by=desk["steward"], local_id=number)
    record_sealed_request(request.pk)
    return request.receipt


def asks(desk, number=NUMBER):
    asked = inquiries.trace(desk["zone"], by=desk["advise"], local_id=number)
    tasks.answer_inquiry(str(asked.pk))
    return str(asked.pk)


@pytest.fixture
def lived(desk, committed):
    """One person agrees, takes it back, says no, changes their mind, asks; and says no again the year after."""
    with time_machine.travel(THIS_YEAR):
        agreed = consents.receive(desk["dataset"], by=desk["steward"], local_id=NUMBER, **AGREED)
        record_sealed_request(agreed.pk)
        back = consents.withdraw_consent(desk["zone"], by=desk["steward"], local_id=NUMBER)
        record_sealed_request(back.pk)
        no = says_no(desk)
        oppositions.withdraw(desk["zone"], by=desk["steward"], receipt=no)
        inquiry = asks(desk)
        other = says_no(desk, ANOTHER)
    with time_machine.travel(NEXT_YEAR):
        later = says_no(desk)
    with sequencing(committed, desk["folder"] / "signer") as sequencer:
        sequencer.catch_up()
    return {**desk, "consent": agreed.receipt, "back": back.receipt, "no": no, "inquiry": inquiry, "other": other,
            "later": later}  # fmt: skip


OF_ONE = ("consent.record", "consent.withdraw", "opposition.record", "opposition.withdraw", "trace.answer")
BEFORE = ("consent.receive", "opposition.receive", "trace.ask")  # the zone has not opened the envelope yet


def leaves(*acts):
    events = [
        json.loads(payload) for (payload,) in rows("SELECT payload FROM audit_event ORDER BY generation, xid, id")
    ]
    return [event for event in events if event["act"] in acts]


def asked(reader, **fields):
    answer = signed_in(reader).get(reverse("audit-search"), {"question": "sujet", **fields})
    return sorted(line["entry"].leaf_index for line in answer.context["lines"]), answer


def test_what_concerns_one_subject_says_so_under_a_pseudonym_of_the_year(lived):
    told = leaves(*OF_ONE)
    pseudonyms = {event["sub"] for event in told}

    of_the_year = {event["sub"] for event in told if event["at"] < "2027" and event["obj"]["id"] != lived["other"]}
    assert len(told) == 7
    assert None not in pseudonyms
    assert len(of_the_year) == 1  # one person, one year
    assert len(pseudonyms) == 3  # another person, another year
    assert {event["sub"] for event in leaves(*BEFORE)} == {None}


def test_nothing_of_the_log_leads_to_the_person_without_the_zone_s_key(lived):
    token = subject.token(KeyStore().open("token", f"zone:{lived['zone'].pk}"), NUMBER)
    kept = " ".join(
        line
        for table in ("audit_event", "audit_detail", "audit_subject_key", "audit_index")
        for (line,) in rows(f"SELECT t::text FROM {table} t")
    )

    assert subject.reference(lived["zone"].pk, token) in kept
    assert token.hex() not in kept
    assert NUMBER not in kept


def test_the_same_number_in_another_zone_is_nobody_the_log_knows(lived, tmp_path):
    elsewhere = house(tmp_path)

    says_no(elsewhere)

    references = {
        ref for (ref,) in rows("SELECT subject_ref FROM audit_subject_key WHERE subject_ref LIKE 'subject:%%'")
    }
    assert len(references) == 3  # the two of the first zone, and this one


def test_everything_about_a_subject_is_found_by_any_of_its_names(lived):
    reader = lived["advise"]
    by_receipt, answer = asked(reader, subject=lived["no"].lower())
    by_inquiry, _ = asked(reader, subject=lived["inquiry"])
    by_token, _ = asked(reader, subject=leaves("trace.answer")[0]["sub"])
    another, _ = asked(reader, subject=lived["other"])

    acts = sorted(line["entry"].event["act"] for line in answer.context["lines"])
    assert acts == sorted((*OF_ONE, *BEFORE, "opposition.receive", "consent.receive", "opposition.record"))
    assert by_receipt == by_inquiry == by_token
    assert len(another) == 2
    assert "Ce que cette personne a demandé" in answer.content.decode()


def test_the_page_of_an_inquiry_leads_the_delegate_to_what_the_log_says(lived):
    page = signed_in(lived["advise"]).get(reverse("inquiry-detail", args=[lived["inquiry"]])).content.decode()

    assert f"?question=sujet&amp;subject={lived['inquiry']}" in page


def test_people_of_another_zone_find_nothing(lived, tmp_path):
    stranger = house(tmp_path)["advise"]

    assert [asked(stranger, subject=lived[name])[0] for name in ("no", "inquiry")] == [[], []]


def test_an_erased_pseudonym_ties_nothing_to_the_other_years_and_moves_no_root(lived):
    token = subject.token(KeyStore().open("token", f"zone:{lived['zone'].pk}"), NUMBER)
    reference = subject.reference(lived["zone"].pk, token)
    root = one("SELECT root FROM audit_checkpoint")
    pseudonym = leaves("trace.answer")[0]["sub"]
    before, _ = asked(lived["advise"], subject=pseudonym)

    erasing.erase_tokens([reference], by=SYSTEM, why="demande de la personne")
    after, _ = asked(lived["advise"], subject=pseudonym)

    assert search.references_of([pseudonym]) == {}
    assert set(after) < set(before)  # those of the year alone: nobody can tell whose the later ones are
    assert one("SELECT root FROM audit_checkpoint") == root


def test_a_pseudonym_goes_three_years_after_its_year(lived, monkeypatch):
    def night(year):
        monkeypatch.setattr(clock, "today", lambda: date(year, 6, 1))
        terms.erase_due()
        found = rows("SELECT period FROM audit_subject_key WHERE subject_ref LIKE 'subject:%%' ORDER BY period")
        return sorted({period for (period,) in found})

    assert [night(year) for year in (2029, 2030, 2031)] == [["2026", "2027"], ["2027"], []]
