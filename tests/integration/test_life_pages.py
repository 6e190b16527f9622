"""The pages of a convention's life, as each person meets them."""

from datetime import timedelta

import pytest
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from consent.models import Convention
from consent.transitions import convention as conventions
from tests import factories
from tests.actors import signed_in, world
from tests.integration.test_life_of_a_convention import code_of, officers, said

pytestmark = pytest.mark.django_db


def page_of(convention, person):
    return signed_in(person).get(reverse("convention-detail", args=[convention.ref])).content.decode()


def test_the_page_says_why_it_is_suspended_since_when_and_whose_turn_it_is():
    convention = factories.convention()
    marc, ines = officers(convention.zone, "Marc Olivier", "Inès Fabre")
    conventions.suspend(convention, by=marc, reason="capteur en panne")

    page = page_of(convention, convention.application.created_by)
    officers_page = page_of(convention, ines)

    assert "capteur en panne" in page and "Marc Olivier" in page
    assert "attendu : l&#x27;opérateur" in page
    assert "Rétablir" not in page.split('id="a-qui"')[1].split("</div>")[0].split("btn")[-1]
    assert reverse("convention-resume", args=[convention.ref]) in officers_page


def test_only_who_may_act_sees_the_buttons():
    convention = factories.convention()
    (marc,) = officers(convention.zone, "Marc")
    founder = convention.application.created_by
    analyst = convention.named_persons.get().user

    routes = ("convention-suspend", "convention-terminate")
    seen = {
        person: [route for route in routes if reverse(route, args=[convention.ref]) in page_of(convention, person)]
        for person in (marc, founder, analyst)
    }

    assert seen == {marc: list(routes), founder: ["convention-terminate"], analyst: []}


def test_the_days_left_are_drawn_and_told():
    today = clock.today()
    convention = factories.convention(starts_on=today - timedelta(days=9), ends_on=today + timedelta(days=9))

    page = page_of(convention, convention.application.created_by)

    assert "10 jours restants" in page
    assert 'width="47.37"' in page


def test_a_notice_given_shows_its_last_day_at_once():
    here = world()
    convention = here.objects["convention"]
    browser, page = here.browser("representative"), reverse("convention-terminate", args=[convention.ref])

    shown = browser.get(page).content.decode()
    answer = browser.post(page, {"reason": "l'essai est fini"}, follow=True).content.decode()

    last = clock.today() + timedelta(days=30)
    assert "Préavis de trente jours" in shown and 'name="ground"' not in shown
    assert f"dernier jour le {last:%d/%m/%Y}" in answer


def test_an_attestation_that_is_late_is_said_to_be_late():
    today = clock.today()
    convention = factories.convention(starts_on=today - timedelta(days=60), ends_on=today - timedelta(days=16))

    page = page_of(convention, convention.application.created_by)

    assert "En retard" in page
    assert reverse("convention-attest", args=[convention.ref]) in page


def test_the_copies_are_attested_verified_and_the_convention_is_closed_through_the_pages():
    today = clock.today()
    convention = factories.convention(starts_on=today - timedelta(days=60), ends_on=today - timedelta(days=2))
    founder = convention.application.created_by
    (marc,) = officers(convention.zone, "Marc")
    browser = signed_in(founder)

    empty = browser.post(reverse("convention-attest", args=[convention.ref]), {"copies": ""})
    browser.post(reverse("convention-attest", args=[convention.ref]), {**said(), "code": code_of(founder)})
    desk = signed_in(marc).get(reverse("desk")).content.decode()
    signed_in(marc).post(
        reverse("convention-verify", args=[convention.ref]), {"is_verified": "yes", "answer": "procès-verbal lu"}
    )

    convention.refresh_from_db()
    assert empty.status_code == 422
    assert reverse("convention-verify", args=[convention.ref]) in desk
    assert convention.status == Convention.Status.CLOSED


def test_the_page_costs_the_same_with_many_acts_and_persons(django_assert_max_num_queries):
    convention = factories.convention()
    marc, ines = officers(convention.zone, "Marc", "Inès")
    browser = signed_in(marc)
    browser.get(reverse("convention-detail", args=[convention.ref]))
    for _turn in range(5):
        conventions.suspend(convention, by=marc, reason="doute")
        conventions.resume(convention, by=marc, reason="levé")
        conventions.resume(convention, by=ines, reason="levé")

    with django_assert_max_num_queries(45):
        browser.get(reverse("convention-detail", args=[convention.ref]))


def test_a_head_of_service_suspends_and_does_not_resume():
    convention = factories.convention()
    paul = factories.user("Paul", organisation=convention.zone.operator)
    grants.give(paul, "zones.steward", convention.zone, by=SYSTEM)

    suspended = signed_in(paul).post(reverse("convention-suspend", args=[convention.ref]), {"reason": "doute"})
    resumed = signed_in(paul).post(reverse("convention-resume", args=[convention.ref]), {"reason": "levé"})

    assert (suspended.status_code, resumed.status_code) == (302, 404)
