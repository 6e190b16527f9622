"""The fifteen questions of the design, asked of one log in which each has something to find and something to leave."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction
from django.urls import reverse

from broker import clock
from broker.audit import context
from broker.audit.actions import record
from broker.audit.actor import SYSTEM
from broker.desk.journal.questions import BY_KEY, QUESTIONS
from consent import rules
from consent.models import Consent, GateDecision, Opposition
from tests import factories
from tests.actors import ready_release, signed_in
from tests.conftest import a_database
from tests.logs import sequencing

TUESDAY = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)  # 10:00 in Paris
OFFICE, HOTEL = "192.0.2.7", "198.51.100.9"


class Log:
    """What was written, by name: `log["suspended download"]` is the number of that event."""

    def __init__(self):
        self.names: dict[str, str] = {}

    def note(self, name: str, act: str, *, by, at: datetime = TUESDAY, address: str = OFFICE, **facts) -> None:
        with time_machine.travel(at, tick=False), context.of_request(number="", address=address):
            self.names[record(act, by=by, **facts)] = name

    def found(self, answer) -> set[str]:
        return {
            self.names.get(line["id"], line["entry"].event["act"]) for line in answer.context["lines"] if "id" in line
        }


def decision(convention, person, **facts):
    return GateDecision.objects.create(
        action="release_create", actor_ref=person.audit_actor().ref, organisation=convention.organisation,
        convention=convention, object_ref="version:1", ruleset_version="2026.11.0", ruleset_sha256="0" * 64,
        policy_epoch=0, case_sha256="0" * 64, event_id="0" * 26, **facts,
    )  # fmt: skip


REFUSED = {"sources": [], "to_confirm": [], "certainty": "sure", "link": "", "message_fr": "", "message_en": ""}


@pytest.fixture(scope="module")
def asked(django_db_setup, django_db_blocker, tmp_path_factory):
    """The written log, its objects, and the auditor's browser."""
    with a_database() as database, django_db_blocker.unblock():
        with time_machine.travel(TUESDAY, tick=False):
            world = written()
        with sequencing(database, tmp_path_factory.mktemp("signer")) as sequencer:
            sequencer.catch_up()
        auditor = factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")
        world["browser"] = signed_in(auditor)
        yield world


def written() -> dict:
    log = Log()
    hours, days = (lambda n: timedelta(hours=n)), (lambda n: timedelta(days=n))
    julie, hugo, nadia = (factories.user(name) for name in ("Julie Caron", "Hugo Vidal", "Nadia Benali"))
    convention = factories.convention()
    samir = convention.named_persons.get().user
    release = ready_release(convention, samir)
    of = {"conv": convention.reference, "zone": convention.zone.reference, "org": convention.organisation,
          "purp": "experimentation"}  # fmt: skip
    brief = factories.convention(convention.offer, ends_on=clock.today() + days(1))
    of_brief = {**of, "conv": brief.reference}
    permit = decision(convention, samir, effect="permit", case={"request": {"purpose_code": convention.purpose_code}})
    elsewhere = decision(convention, samir, effect="permit", case={"request": {"purpose_code": "traffic_rnd"}})
    commercial = decision(convention, samir, effect="deny", reasons=[{"rule": "G06", "effect": "deny", **REFUSED}])
    late = decision(brief, samir, effect="deny", reasons=[{"rule": "G11", "effect": "deny", **REFUSED},
                                                          {"rule": "G06", "effect": "permit", **REFUSED}])  # fmt: skip
    about = lambda row: ("gatedecision", str(row.pk))  # noqa: E731
    lifted = f"sha256:{rules.load('2026.11.0').sha256}"

    # 5, 11: two conventions, one suspended for an hour, one that ends the day after
    log.note("activation", "convention.activate", by=SYSTEM, obj=convention, **of)
    log.note("brief activation", "convention.activate", by=SYSTEM, obj=brief, **of_brief)
    log.note("request", "release.request", by=samir, at=TUESDAY + hours(1), obj=release, **of)
    log.note("suspension", "convention.suspend", by=hugo, at=TUESDAY + hours(2), obj=convention, **of)
    log.note("download while suspended", "data.download", by=samir, at=TUESDAY + hours(3), obj=release, **of)
    log.note("resumption", "convention.resume", by=hugo, at=TUESDAY + hours(4), obj=convention, **of)
    log.note("download", "data.download", by=samir, at=TUESDAY + hours(5), obj=release, **of)
    log.note("download on the last day", "data.download", by=samir, at=TUESDAY + days(1), obj=release, **of_brief)
    log.note("download after the end", "data.download", by=samir, at=TUESDAY + days(2), obj=release, **of_brief)
    log.note("refused after the end", "gate.decide", by=samir, at=TUESDAY + days(2), obj=about(late), out="deny",
             reason=("G11",), detail={"message": "La convention est finie."}, **of_brief)  # fmt: skip
    # 6, 9: decisions
    log.note("permit", "gate.decide", by=samir, obj=about(permit), policy=lifted, **of)
    log.note("permit for another code", "gate.decide", by=samir, obj=about(elsewhere), **of)
    log.note("refused as commercial", "gate.decide", by=samir, obj=about(commercial), out="deny", reason=("G06",),
             **of)  # fmt: skip
    log.note("build as commercial", "data.build", by=samir, obj=release, **{**of, "purp": "commercial"})
    # 7: volumes
    log.note("large release", "release.ready", by=SYSTEM, obj=("release", "1"), n=20_000, **of)
    log.note("small release", "release.ready", by=SYSTEM, obj=("release", "2"), n=50, **of)
    # 8, 12
    log.note("role", "grant.add", by=hugo, obj=convention.zone)
    log.note("reading", "log.search", by=nadia)
    # 3: one subject objected twice and consents, another objected
    zone, dataset = convention.zone, convention.offer.dataset
    curves = factories.dataset(zone, consent_required=True)
    for receipt, token in (("S1", b"a" * 32), ("S2", b"b" * 32)):
        Opposition.objects.create(
            zone=zone, token=token, receipt=receipt, recorded_by=nadia, effective_at=clock.now()
        )  # fmt: skip
    Consent.objects.create(
        zone=zone, dataset=curves, token=b"a" * 32, purposes=["diagnosis_support_rnd"], recipients="anyone",
        given_on=clock.today(), channel="paper", proof="classeur 3", receipt="C1", recorded_by=nadia,
    )  # fmt: skip
    log.note("objection", "opposition.record", by=SYSTEM, obj=("opposition", "S1"), zone=zone.reference)
    log.note("consent", "consent.record", by=SYSTEM, obj=("consent", "C1"), zone=zone.reference)
    log.note("another's objection", "opposition.record", by=SYSTEM, obj=("opposition", "S2"), zone=zone.reference)
    # 10, 13: requests and who answered them; one was answered the year after, under other tokens
    application = ("application", convention.application.pk)
    log.note("lodged", "application.submit", by=julie, obj=application)
    log.note("approved", "application.approve", by=hugo, at=TUESDAY + days(3), obj=application)
    log.note("another lodged", "application.submit", by=julie, obj=("application", "999"))
    log.note("named by oneself", "person.name", by=julie, obj=brief)
    log.note("confirmed by oneself", "person.confirm", by=julie, obj=brief)
    log.note("asked last year", "licence.request", by=hugo, at=TUESDAY - days(330), obj=("commerciallicence", "L1"))
    log.note("answered this year", "licence.answer", by=hugo, obj=("commerciallicence", "L1"))
    log.note("by the system", "zone.propose", by=SYSTEM, obj=("zone", "5"))
    log.note("opened by the system", "zone.open", by=SYSTEM, obj=("zone", "5"))
    at_once = ("application", 998)  # the inner verb is written first
    log.note("approved at once", "application.approve", by=SYSTEM, obj=at_once)
    log.note("lodged and approved", "application.submit", by=julie, at=TUESDAY + timedelta(seconds=1), obj=at_once)
    with transaction.atomic():
        log.note("confirmed in one act", "person.confirm", by=nadia, obj=("convention", "1"))
        log.note("named in one act", "person.name", by=nadia, obj=("convention", "1"))
    log.note("confirmed before", "person.confirm", by=nadia, obj=("convention", "2"))
    log.note("named after", "person.name", by=nadia, obj=("convention", "2"))
    # 14: at night, on a Sunday, on 11 November, from a network where Nadia had never been
    log.note("at night", "zone.amend", by=nadia, at=TUESDAY + hours(13))
    log.note("on a Sunday", "zone.amend", by=nadia, at=TUESDAY - days(2))
    log.note("on a holiday", "zone.amend", by=nadia, at=TUESDAY - days(6))
    log.note("from elsewhere", "zone.amend", by=nadia, address=HOTEL)
    log.note("from elsewhere again", "zone.amend", by=nadia, address=HOTEL)
    log.note("at night by the system", "zone.amend", by=SYSTEM, at=TUESDAY + hours(13))
    return {"log": log, "convention": convention, "brief": brief, "dataset": dataset, "permit": permit, "samir": samir}


ANSWERS = [
    ("acces", {"dataset": "{dataset.slug}"},
     {"request", "download while suspended", "download", "download on the last day", "download after the end",
      "refused after the end", "permit", "permit for another code", "refused as commercial", "build as commercial"}),
    ("personne", {"person": "{samir.email}", "out": "deny"}, {"refused after the end", "refused as commercial"}),
    ("sujet", {"subject": "C1"}, {"objection", "consent"}),
    ("refus", {}, {"refused after the end", "refused as commercial"}),
    ("sans-convention", {}, {"download while suspended", "download after the end"}),
    ("finalite", {}, {"permit for another code", "refused as commercial", "build as commercial"}),
    ("volumes", {"rows": "10000"}, {"large release"}),
    ("volumes", {"rows": "9"}, {"large release", "small release", "download while suspended", "download",
                                "download on the last day", "download after the end"}),
    ("administration", {}, {"role"}),
    ("decision", {"decision": "{permit.pk}"}, {"permit"}),
    ("approbation", {"object": "{convention.ref}"}, {"lodged", "approved"}),
    ("apres-la-fin", {}, {"download after the end", "refused after the end"}),
    ("apres-la-fin", {"out": "allow"}, {"download after the end"}),
    ("meme-personne", {}, {"confirmed by oneself", "answered this year", "confirmed in one act"}),
    ("inhabituel", {}, {"at night", "on a Sunday", "on a holiday", "from elsewhere"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "fields", "wanted"), ANSWERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_question_finds_what_answers_and_nothing_else(asked, key, fields, wanted):
    fields = {name: value.format(**asked) for name, value in fields.items()}

    answer = asked["browser"].get(reverse("audit-search"), {"question": key, **fields})

    assert answer.status_code == 200
    assert asked["log"].found(answer) - {"log.search"} == wanted


def test_the_design_s_fifteen_questions_are_there_by_number():
    assert [question.number for question in QUESTIONS if question.number] == list(range(1, 16))
    tested = {BY_KEY[key].number for key, _fields, _wanted in ANSWERS}
    assert tested == set(range(1, 15)) - {12}  # 12 and 15 have tests of their own


def test_who_searched_the_log(asked):
    answer = asked["browser"].get(reverse("audit-search"), {"question": "lectures"})

    assert "reading" in asked["log"].found(answer)
    assert {line["entry"].event["act"] for line in answer.context["lines"]} == {"log.search"}


def test_the_rule_set_in_force_at_a_decision_is_the_published_one(asked):
    answer = asked["browser"].get(reverse("audit-search"), {"question": "decision", "decision": asked["permit"].pk})

    (said,) = answer.context["said"]
    assert "2026.11.0" in said
    assert "est celle du texte publié" in said


def test_who_approved_a_request_and_how_long_it_took(asked):
    answer = asked["browser"].get(
        reverse("audit-search"), {"question": "approbation", "object": asked["convention"].ref}
    )

    (said,) = answer.context["said"]
    assert said.startswith("Hugo Vidal a approuvé la demande de convention le 20 novembre 2026")
    assert said.endswith("3 jours après le dépôt.")


def test_a_request_that_was_approved_at_once_says_so(asked):
    answer = asked["browser"].get(reverse("audit-search"), {"question": "approbation", "object": "application:998"})

    (said,) = answer.context["said"]
    assert said.startswith("Terrain a approuvé la demande de convention le 17 novembre 2026")
    assert said.endswith("moins d'une minute après le dépôt.")


def test_an_inscription_is_there_since_a_day_and_the_log_only_grew(asked):
    number = next(number for number, name in asked["log"].names.items() if name == "objection")

    answer = asked["browser"].get(
        reverse("audit-search"), {"question": "preuve", "entry": number, "since": clock.today().isoformat()}
    )
    before = asked["browser"].get(reverse("audit-search"), {"question": "preuve", "entry": "1", "since": "2026-01-05"})

    assert asked["log"].found(answer) == {"objection"}
    assert "est dans le journal depuis" in answer.context["said"][0]
    assert "Elle était déjà dans le relevé" in answer.context["said"][1]
    assert "prolonge celui du" in answer.context["said"][2]
    assert "Aucun relevé n'était encore signé" in before.context["said"][1]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"purpose": "commercial"}, {"build as commercial"}),
        ({"object": "opposition:S1"}, {"objection"}),
        ({"object": "S1"}, {"objection"}),
        ({"act": "data.download", "question": "acces", "dataset": "{dataset.slug}", "until": "2026-11-17"},
         {"download while suspended", "download"}),
        ({"act": "release.ready", "question": "acces", "dataset": "{dataset.slug}"}, set()),
        ({"out": "error"}, set()),
    ],
    ids=["purpose", "object", "identifier", "act and time within a question", "act outside a question", "outcome"],
)  # fmt: skip
def test_each_column_is_searched(asked, fields, wanted):
    fields = {name: value.format(**asked) for name, value in fields.items()}

    answer = asked["browser"].get(reverse("audit-search"), fields)

    assert asked["log"].found(answer) == wanted


def test_an_actor_is_found_by_the_token_that_a_leaf_shows(asked):
    everything = asked["browser"].get(reverse("audit-search"), {"act": "licence.answer"})
    token = everything.context["lines"][0]["entry"].event["actor"]["id"]

    answer = asked["browser"].get(reverse("audit-search"), {"person": token, "act": "licence.request"})

    assert asked["log"].found(answer) == {"asked last year"}  # under another token of the same person


def test_a_question_that_no_index_answers_is_read_some_leaves_at_a_time(asked, monkeypatch):
    monkeypatch.setattr("broker.audit.search.SCANNED", 10)
    browser, found, before, pages = asked["browser"], set(), {}, 0

    while before is not None:
        answer = browser.get(reverse("audit-search"), {"question": "sans-convention", **before})
        found |= asked["log"].found(answer)
        following = answer.context["next"]
        before, pages = None if following is None else {"avant": following}, pages + 1

    assert found == {"download while suspended", "download after the end"}
    assert pages > 3
