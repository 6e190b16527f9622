"""A double click, and two persons in the same instant, on the pages: one thing is done, nobody meets a fault."""

import re
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Countersign
from broker.audit.actor import SYSTEM
from broker.epoch.models import KillSwitch
from broker.releases.models import Release
from consent.models import (
    Application,
    Convention,
    ConventionAct,
    NamedPerson,
    Offer,
    Opinion,
    RegistryEntry,
    SealedRequest,
)
from consent.transitions import convention as conventions
from consent.transitions import registry
from tests import factories
from tests.actors import signed_in
from tests.integration.test_gate_record import a_convention
from tests.together import together

MASKED = re.compile(r'name="csrfmiddlewaretoken" value="(\w{64})"')


def window(browser: Client) -> Client:
    """Another window of the same browser: the same cookies; a fault is an answer, as people meet it."""
    other = Client(raise_request_exception=False)
    other.cookies = browser.cookies
    return other


def clicked_twice(person, shown: str, sent_to: str, fields: dict) -> list:
    """Open the page once, click its button twice in the same instant."""
    browser = signed_in(person)
    token = MASKED.search(browser.get(shown).content.decode())
    assert token, f"{shown} shows no form"
    body = {**fields, "csrfmiddlewaretoken": token[1]}
    return together(*[lambda: sent(window(browser), sent_to, body) for _click in range(2)])


def sent(browser: Client, path: str, fields: dict):
    """As a browser sends a form without a file."""
    return browser.post(path, urlencode(fields, doseq=True), content_type="application/x-www-form-urlencoded")


def officer(zone, *roles, name="Marc Olivier"):
    person = factories.user(name, organisation=zone.operator)
    for role in roles or ("operate",):
        grants.give(person, f"zones.{role}", zone, by=SYSTEM)
    return person


def clerk(name, agency):
    return factories.user(name, organisation=agency, role="registry_officer")


def taking_up_an_offer():
    offer = factories.offer()
    founder = factories.convention(offer).application.created_by
    page = reverse("application-create", args=[offer.pk])
    place = founder.organisation.environments.get()
    today = clock.today()
    fields = {
        "purpose_kind": "experimentation", "solution": "Alerte", "purpose_code": "diagnosis_support_rnd",
        "environment": place.pk, "mode": "observe", "starts_on": today.isoformat(),
        "ends_on": today.replace(year=today.year + 1, month=1).isoformat(),
        "basis_article_6": "legitimate_interests", "basis_article_9": "9(2)(j)",
    }  # fmt: skip
    return founder, page, page, fields, lambda: Application.objects.count() - 1


def asking_a_release():
    convention = a_convention()
    page = reverse("release-create", args=[convention.ref])
    fields = {"columns": ["patient_nbr", "age", "readmitted"]}
    return convention.named_persons.get().user, page, page, fields, Release.objects.count


def naming_a_person():
    convention = factories.convention()
    newcomer = factories.user("Nouvelle", organisation=convention.organisation)
    page = reverse("convention-people", args=[convention.ref])
    fields = {"user": newcomer.pk, "role": "analyst"}
    return convention.application.created_by, page, page, fields, lambda: NamedPerson.objects.count() - 1


def suspending_a_convention():
    convention = factories.convention()
    page = reverse("convention-suspend", args=[convention.ref])
    return officer(convention.zone), page, page, {"reason": "doute"}, ConventionAct.objects.count


def cutting_an_access():
    convention = factories.convention()
    page = reverse("switch-create")
    fields = {"what": f"convention:{convention.pk}", "reason": "doute"}
    return officer(convention.zone), page, page, fields, KillSwitch.objects.count


def agreeing_to_publish():
    offer = factories.offer(status="under_review", published_at=None, notice_published_at=None)
    page = reverse("offer-publish", args=[offer.pk])
    ready_to_publish(offer)
    decisions = Countersign.objects.filter(act="offer.publish")
    return officer(offer.dataset.zone), page, page, {"reason": "oui"}, decisions.count


def ready_to_publish(offer):
    for kind in ("dpo", "head_of_service"):
        Opinion.objects.create(offer=offer, kind=kind, is_favourable=True, text="oui", given_by=factories.user())
    from consent import terms
    from consent.models import StandingMandate

    StandingMandate.objects.create(
        offer=offer, party="operator", signer=factories.user(), mandate="délibération", level="strengthened",
        terms_sha256=terms.sha256(offer),
    )  # fmt: skip


CLICKS = [
    taking_up_an_offer, asking_a_release, naming_a_person, suspending_a_convention,
    cutting_an_access, agreeing_to_publish,
]  # fmt: skip


@pytest.mark.parametrize("act", CLICKS)
def test_a_double_click_does_one_thing_and_both_clicks_arrive(act, committed):
    person, shown, sent_to, fields, made = act()

    answers = clicked_twice(person, shown, sent_to, fields)

    assert made() == 1
    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0]["Location"] == answers[1]["Location"]


def test_the_same_form_sent_again_with_other_fields_is_another_act(committed):
    convention = factories.convention()
    people = [factories.user(organisation=convention.organisation) for _ in range(2)]
    browser = signed_in(convention.application.created_by)
    page = reverse("convention-people", args=[convention.ref])
    token = MASKED.search(browser.get(page).content.decode())[1]

    for one in people:
        sent(browser, page, {"user": one.pk, "role": "analyst", "csrfmiddlewaretoken": token})

    assert convention.named_persons.count() == 3


def test_a_form_that_came_back_with_errors_can_be_sent_again_at_once(committed):
    convention = factories.convention()
    browser, page = signed_in(officer(convention.zone)), reverse("convention-suspend", args=[convention.ref])
    token = MASKED.search(browser.get(page).content.decode())[1]

    wrong = [sent(browser, page, {"reason": "", "csrfmiddlewaretoken": token}).status_code for _try in range(2)]

    assert wrong == [422, 422]


# Two different persons in the same instant, on every decision of two.


def resuming():
    convention = factories.convention()
    first, second = (officer(convention.zone, name=name) for name in ("Marc", "Inès"))
    conventions.suspend(convention, by=first, reason="doute")
    page, fields = reverse("convention-resume", args=[convention.ref]), {"reason": "levé"}
    return (first, second), page, fields, lambda: Convention.objects.get(pk=convention.pk).status == "active"


def terminating():
    convention = factories.convention()
    persons = [officer(convention.zone, name=name) for name in ("Marc", "Inès")]
    page = reverse("convention-terminate", args=[convention.ref])
    fields = {"reason": "copie", "ground": "breach", "warned_on": "2026-01-05"}
    return persons, page, fields, lambda: Convention.objects.get(pk=convention.pk).status == "terminated"


def publishing():
    offer = factories.offer(status="under_review", published_at=None, notice_published_at=None)
    ready_to_publish(offer)
    persons = [officer(offer.dataset.zone, name=name) for name in ("Claire", "Hugo")]
    page = reverse("offer-publish", args=[offer.pk])
    return persons, page, {"reason": "oui"}, lambda: Offer.objects.get(pk=offer.pk).status == "published"


def lifting_a_switch():
    convention = factories.convention()
    persons = [officer(convention.zone, name=name) for name in ("Marc", "Inès")]
    switch = KillSwitch.objects.create(kind="convention", ref=str(convention.pk), reason="doute", set_by=persons[0])
    page = reverse("switch-lift", args=[switch.pk])
    return persons, page, {"reason": "levé"}, lambda: KillSwitch.objects.get(pk=switch.pk).lifted_at is not None


def deciding(act):
    def made():
        agency = factories.organisation("agency")
        persons = [clerk(name, agency) for name in ("Sophie", "Karim")]
        entry = factories.registry_entry(status="under_review" if act in ("accredit", "refuse") else "accredited")
        end = clock.today().replace(year=clock.today().year + 1, month=1).isoformat()
        RegistryEntry.objects.filter(pk=entry.pk).update(evidence={"insurance_until": end})
        if act == "accredit":
            entry.accreditations.all().delete()
        if act == "reinstate":
            registry.suspend(entry, by=clerk("Léa", agency), reason="doute")
        if act == "withdraw":
            factories.adversarial_step(entry)
        wanted = {"accredit": "accredited", "refuse": "refused", "reinstate": "accredited", "withdraw": "withdrawn"}
        page = reverse("registry-review", args=[entry.pk])
        fields = {"act": act, "reason": "vu"}
        return persons, page, fields, lambda: RegistryEntry.objects.get(pk=entry.pk).status == wanted[act]

    made.__name__ = act
    return made


DECISIONS = [
    resuming, terminating, publishing, lifting_a_switch,
    *(deciding(act) for act in ("accredit", "refuse", "reinstate", "withdraw")),
]  # fmt: skip


@pytest.mark.parametrize("decision", DECISIONS)
def test_two_persons_who_decide_at_once_decide_once(decision, committed):
    persons, page, fields, is_done = decision()
    browsers = [signed_in(person) for person in persons]
    before = Countersign.objects.count()

    answers = together(*[lambda b=browser: window(b).post(page, fields) for browser in browsers])

    # The slower one completes what the other opened, or is told to reload; then their agreement completes it.
    codes = sorted(answer.status_code for answer in answers)
    assert codes in ([302, 302], [302, 409])
    if not is_done():
        late = next(b for b, answer in zip(browsers, answers, strict=True) if answer.status_code == 409)
        assert window(late).post(page, fields).status_code == 302
    assert is_done()
    opened = Countersign.objects.order_by("-pk")[: Countersign.objects.count() - before]
    assert [row.first_by_id != row.second_by_id and row.is_complete for row in opened] == [True]


@pytest.mark.parametrize("decision", DECISIONS)
def test_one_person_who_clicks_twice_is_still_one_person(decision, committed):
    persons, page, fields, is_done = decision()
    browser = signed_in(persons[0])
    before = Countersign.objects.count()

    answers = together(*[lambda: window(browser).post(page, fields) for _click in range(2)])

    assert all(answer.status_code in (302, 403, 409) for answer in answers)
    assert not is_done()
    assert Countersign.objects.count() == before + 1


def test_an_objection_clicked_twice_is_received_once(committed, settings, tmp_path):
    from broker.keys.store import KeyStore

    settings.KEY_STORE = str(tmp_path)
    tmp_path.chmod(0o700)
    zone = factories.zone()
    for purpose in ("source", "token"):
        KeyStore().create(purpose, f"zone:{zone.pk}")
    page = reverse("opposition-create", args=[zone.slug])
    fields = {"local_id": "8222157", "identity_checked": "on"}

    answers = clicked_twice(officer(zone), page, page, fields)

    assert SealedRequest.objects.count() == 1
    assert [answer.status_code for answer in answers] == [302, 302]
