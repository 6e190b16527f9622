"""What guards every page: no inline code, cookies that scripts cannot read, forged posts refused, slow guessing."""

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.urls import reverse

from broker.middleware import client_address
from tests import factories, matrix
from tests.actors import signed_in, world

pytestmark = pytest.mark.django_db


def pages():
    """Every GET line of the matrix that answers a page to the representative."""
    return sorted(line for line, who in matrix.lines().items() if " " not in line and who["representative"] == 200)


@pytest.fixture
def inhabited():
    return world()


def test_every_page_forbids_inline_code_and_has_none(inhabited):
    browser = inhabited.browser("representative")
    faults = []

    for line in pages():
        answer = browser.get(matrix.address(line, inhabited))
        if "text/html" not in answer.get("Content-Type", ""):
            continue
        policy = answer.get("Content-Security-Policy", "")
        if "default-src 'self'" not in policy or "unsafe" in policy or "frame-ancestors 'none'" not in policy:
            faults.append(f"{line}: policy {policy!r}")
        text = answer.content.decode()
        for inline in ("<script>", "<style", ' style="', ' onclick="', ' onload="', 'href="javascript:', " hx-on"):
            if inline in text:
                faults.append(f"{line}: {inline}")

    assert faults == []


def test_every_page_says_who_may_frame_it_and_what_it_is(inhabited):
    browser = inhabited.browser("representative")

    for line in pages():
        answer = browser.get(matrix.address(line, inhabited))
        assert answer["X-Content-Type-Options"] == "nosniff", line
        assert answer["X-Frame-Options"] == "DENY", line
        assert answer["Referrer-Policy"] == "same-origin", line


def test_scripts_cannot_read_the_session():
    user = factories.user()
    signed_in(user, with_second_factor=False)
    browser = Client()

    answer = browser.post(reverse("account_login"), {"login": user.email, "password": "un mot de passe long"})

    cookie = answer.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert answer.wsgi_request.META["CSRF_COOKIE"]
    assert answer.cookies["csrftoken"]["samesite"] == "Lax"


@pytest.mark.parametrize("site", ["https://terrain.example", "http://127.0.0.1:8000"])
def test_cookies_travel_encrypted_wherever_the_site_does(site):
    import os
    import subprocess
    import sys

    shown = subprocess.run(
        [sys.executable, "-c", "from broker.settings import *; print(SESSION_COOKIE_SECURE, CSRF_COOKIE_SECURE)"],
        env={**os.environ, "SITE_URL": site}, cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert shown.stdout.split() == [str(site.startswith("https"))] * 2


# No cookie is read there: what is brought is believed for its signature alone (test_witness_hands_back).
SIGNED_BY_ITSELF = {"log-cosignature"}


@pytest.mark.parametrize(
    "route",
    sorted({line.removeprefix("POST ") for line in matrix.lines() if line.startswith("POST ")} - SIGNED_BY_ITSELF),
)
def test_a_post_without_its_token_does_nothing(route, inhabited):
    person = inhabited.users["representative"]
    browser = signed_in(person)
    forged = Client(enforce_csrf_checks=True)
    forged.cookies = browser.cookies

    answer = forged.post(matrix.address(route, inhabited), {"sent": "1"})

    assert answer.status_code == 403


@pytest.mark.parametrize("route", ["account_login", "account_signup", "account_logout", "mfa_authenticate"])
def test_the_sign_in_pages_refuse_a_forged_post(route):
    assert Client(enforce_csrf_checks=True).post(reverse(route), {"login": "x"}).status_code == 403


def test_guessing_on_one_account_from_many_addresses_stops_too():
    user = factories.user()
    signed_in(user)

    answers = [
        Client(REMOTE_ADDR=f"203.0.113.{n}").post(reverse("account_login"), {"login": user.email, "password": "faux"})
        for n in range(7)
    ]

    assert ["Trop d" in answer.content.decode() for answer in answers] == [False] * 5 + [True] * 2


def test_a_forged_address_does_not_escape_the_limit():
    user = factories.user()
    signed_in(user)

    answers = [
        Client().post(
            reverse("account_login"),
            {"login": f"personne-{n}@exemple.fr", "password": "faux"},
            headers={"x-forwarded-for": f"203.0.113.{n}"},
        )
        for n in range(12)
    ]

    assert "Trop d" in answers[-1].content.decode()


def test_guessing_a_second_factor_stops():
    user = factories.user()
    signed_in(user)
    browser = Client()
    browser.post(reverse("account_login"), {"login": user.email, "password": "un mot de passe long"})

    answers = [browser.post(reverse("mfa_authenticate"), {"code": f"{n:06}"}) for n in range(7)]

    assert "Trop d" in answers[-1].content.decode()
    assert "_auth_user_id" not in browser.session


@pytest.mark.parametrize("password", ["court", "password1234", "personne@exemple.fr"])
def test_a_weak_password_is_refused(password):
    answer = Client().post(
        reverse("account_signup"),
        {"full_name": "P", "email": "personne@exemple.fr", "password1": password, "password2": password},
    )

    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()


def test_leaving_ends_the_session():
    browser = signed_in(factories.user())
    key = browser.session.session_key

    browser.post(reverse("account_logout"))

    assert not Session.objects.filter(session_key=key).exists()
    assert browser.get(reverse("desk")).status_code == 302


def test_a_second_factor_is_asked_of_a_session_that_has_none():
    user = factories.user()
    signed_in(user)  # they have their application
    browser = signed_in(user, with_second_factor=False)

    asked = browser.get(reverse("organisation-detail"))

    assert asked.url == f"{reverse('second-factor')}?next=%2Forganisation%2F"


def test_a_public_page_asks_for_no_second_factor():
    browser = signed_in(factories.user(), with_second_factor=False)

    assert browser.get(reverse("home")).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        ([], "198.51.100.7", "10.0.0.1"),
        (["10.0.0.0/8"], "198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (["10.0.0.0/8"], "1.2.3.4, 198.51.100.7", "198.51.100.7"),
    ],
)
def test_only_a_trusted_proxy_names_the_caller(proxies, forwarded, seen, settings):
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"x-forwarded-for": forwarded})

    assert client_address(request) == seen


def test_a_crowd_from_one_address_is_asked_to_wait():
    """Thirty sign-ins in a minute from one address is the limit: the next one gets a page that says so."""
    answers = [
        Client().post(reverse("account_login"), {"login": f"p{n}@exemple.fr", "password": ""}) for n in range(31)
    ]

    assert {answer.status_code for answer in answers[:30]} == {200}
    assert answers[30].status_code == 429
    assert "Attendez une minute" in answers[30].content.decode()
