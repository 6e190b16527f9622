"""The pages of the demo: there with DEMO=1 only, with no door of their own."""

import time

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from broker import clock
from broker.accounts import second_factor
from broker.accounts.actions import advance_clock
from broker.errors import BadInput, NotAllowed
from tests import factories
from tests.actors import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(settings, tmp_path):
    settings.DEMO = True
    settings.VAR = tmp_path
    return settings


def steps():
    with connection.cursor() as cursor:
        cursor.execute("SELECT seconds FROM clock_step ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("route", ["demo-cast", "demo-clock"])
def test_outside_the_demo_its_pages_are_not_there(route):
    assert signed_in(factories.user()).get(reverse(route)).status_code == 404


def test_outside_the_demo_the_clock_does_not_move():
    with pytest.raises(NotAllowed):
        advance_clock(by=factories.user(), days=1, hours=0)

    assert steps() == []


def test_the_cast_s_page_shows_the_code_of_the_moment(demo):
    claire = factories.user("Claire Morel")
    claire.email = "claire@deux-rives.example"
    claire.save()
    signed_in(claire)

    before = second_factor.code_at(claire, time.time())
    page = Client().get(reverse("demo-cast")).content.decode()
    after = second_factor.code_at(claire, time.time())

    assert f">{before}<" in page or f">{after}<" in page
    assert page.count("data-code-of") == 1  # the others have no application yet


def test_the_cast_s_page_shows_the_last_letters(demo):
    demo.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    demo.EMAIL_FILE_PATH = str(demo.VAR / "mail")
    password = "une phrase que personne ne devine"
    Client().post(
        reverse("account_signup"),
        {"full_name": "Julie", "email": "julie@glycea.example", "password1": password, "password2": password},
    )

    page = Client().get(reverse("demo-cast")).content.decode()

    assert 'data-to="julie@glycea.example"' in page
    assert 'class="mail-code"' in page


def test_the_clock_moves_forward_by_an_event(demo):
    before = clock.now()

    answer = signed_in(factories.user()).post(reverse("demo-clock"), {"days": "8", "hours": "6"})

    assert answer.status_code == 302
    assert steps() == [8 * 86_400 + 6 * 3_600]
    assert (clock.now() - before).days == 8
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event")
        assert cursor.fetchall() == [("clock.advance", "allow")]


@pytest.mark.parametrize("fields", [{"days": "-1", "hours": "0"}, {"days": "0", "hours": "0"}, {"days": "9999"}, {}])
def test_the_clock_refuses_what_is_no_step_forward(demo, fields):
    answer = signed_in(factories.user()).post(reverse("demo-clock"), {"sent": "1", **fields})

    assert answer.status_code == 422
    assert steps() == []


@pytest.mark.parametrize(("days", "hours"), [(-1, 0), (0, -2), (0, 0), (401, 0)])
def test_the_verb_refuses_it_too(demo, days, hours):
    with pytest.raises(BadInput, match="vers demain"):
        advance_clock(by=factories.user(), days=days, hours=hours)


def test_a_visitor_does_not_move_the_clock(demo):
    answer = Client().post(reverse("demo-clock"), {"days": "1", "hours": "0"})

    assert answer.status_code == 302
    assert answer.url.startswith(reverse("account_login"))
    assert steps() == []


def test_no_code_opens_every_door(demo):
    """No setting of the sign-in library lets a fixed code through, in the demo either."""
    user = factories.user()
    signed_in(user)
    browser = Client()
    browser.post(reverse("account_login"), {"login": user.email, "password": "un mot de passe long"})

    for code in ("000000", "123456", "", "demo"):
        browser.post(reverse("mfa_authenticate"), {"code": code})

    assert "_auth_user_id" not in browser.session
