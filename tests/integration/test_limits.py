"""What a request may bring, how often, where it may send people, and what an answer says beside its page."""

import logging
import os
import secrets
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from broker.errors import NotAllowed
from broker.middleware import ErrorPages
from tests import factories, matrix
from tests.actors import signed_in, world

pytestmark = pytest.mark.django_db
EXAMPLE = Path(django_settings.BASE_DIR) / "deploy" / "env.example"
ELSEWHERE = ["https://ailleurs.example/", "//ailleurs.example/", "/\\ailleurs.example", "javascript:alert(1)"]


def in_production() -> dict[str, str]:
    """The environment of deploy/env.example, its secret filled in."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if "=" in line and not line.startswith("#")]
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME")}
    return kept | dict(line.split("=", 1) for line in lines) | {"SECRET_KEY": secrets.token_urlsafe(50)}


def asked_in_production(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=in_production(), cwd=django_settings.BASE_DIR, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_django_finds_nothing_to_say_of_the_production_settings():
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"],
        env=in_production(), cwd=django_settings.BASE_DIR, capture_output=True, text=True,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr
    assert "no issues (0 silenced)" in checked.stdout + checked.stderr


def test_in_production_cookies_belong_to_this_host_alone_and_travel_encrypted():
    shown = asked_in_production(
        "from broker.settings import *\n"
        "for kind in ('SESSION', 'CSRF', 'LANGUAGE'):\n"
        "    print(*(globals()[f'{kind}_COOKIE_{what}'] for what in ('SECURE', 'HTTPONLY', 'SAMESITE')))\n"
        "print(SESSION_COOKIE_NAME, CSRF_COOKIE_NAME)"
    )

    assert shown.splitlines() == ["True True Lax"] * 3 + ["__Host-sessionid __Host-csrftoken"]


def test_a_page_over_https_tells_the_browser_to_come_back_that_way():
    shown = asked_in_production(
        "import os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'broker.settings'\n"
        "import django; django.setup()\n"
        "from django.test import Client\n"
        "plain, safe = (Client(headers={'host': 'terrain.example'}).get('/demo/', secure=s) for s in (False, True))\n"
        "print(plain.status_code, plain['Location'])\n"
        "print(safe['Strict-Transport-Security'])\n"
        "print('upgrade-insecure-requests' in safe['Content-Security-Policy'])"
    )

    assert shown.splitlines()[-3:] == [
        "301 https://terrain.example/demo/",
        "max-age=31536000; includeSubDomains; preload",
        "True",
    ]


def test_downloads_are_served_where_the_session_s_cookie_goes():
    """A cookie of one host alone is not sent to another: the download server stands behind the site's own name."""
    shown = asked_in_production("from broker.settings import *; print(SITE_URL, DELIVERY_URL, sep='\\n')")

    site, delivery = shown.split()
    assert site == delivery


@pytest.mark.parametrize("address", ["/", "/bureau/", "/nulle-part/", "/registre.json", "/static/terrain.css"])
def test_every_answer_bears_the_headers_that_protect_it(address, settings):
    settings.WHITENOISE_USE_FINDERS = True
    browser = signed_in(factories.user())

    answer = browser.get(address)

    told = answer.headers
    assert told["X-Content-Type-Options"] == "nosniff"
    assert told["Referrer-Policy"] == "same-origin"
    assert told["Cross-Origin-Opener-Policy"] == "same-origin"
    assert told["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in told["Permissions-Policy"] and "geolocation=()" in told["Permissions-Policy"]
    policy = told["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "unsafe" not in policy and "*" not in policy


def test_what_a_person_reads_signed_in_stays_in_no_cache():
    browser = signed_in(factories.user())

    assert browser.get(reverse("desk"))["Cache-Control"] == "private, no-store"
    assert "Cache-Control" not in Client().get(reverse("home"))


def test_a_body_that_is_too_long_is_refused_before_it_is_read():
    """Not a byte of it is there: whoever read it would wait for it, or fail."""
    here, told = world(), {}
    browser, too_long = here.browser("operator"), str(django_settings.SOURCE_MAX_BYTES + 2**20)

    for route in sorted(line.removeprefix("POST ") for line in matrix.lines() if line.startswith("POST ")):
        answer = browser.generic(
            "POST", matrix.address(route, here), b"", content_type="multipart/form-data; boundary=x",
            **{"CONTENT_LENGTH": too_long, "wsgi.input": BytesIO()},
        )  # fmt: skip
        told[route] = answer.status_code

    # it judges its own length, once it knows who asks and that the zone has its key
    assert told.pop("version-upload") == 409
    assert set(told.values()) == {413}, told
    assert "trop lourd" in answer.content.decode()


def test_a_form_takes_no_file_beyond_what_a_form_weighs():
    browser = signed_in(factories.user())
    heavy = SimpleUploadedFile("lourd.bin", b"0" * (django_settings.FORM_MAX_BYTES + 1))

    answer = browser.post(reverse("second-factor"), {"code": "123456", "piece": heavy})

    assert answer.status_code == 413


def test_a_form_with_thousands_of_fields_is_refused():
    browser = signed_in(factories.user())
    fields = {f"f{n}": "1" for n in range(django_settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1)}

    assert browser.post(reverse("second-factor"), fields).status_code == 400


def test_a_visitor_who_posts_without_end_is_asked_to_wait(settings):
    settings.VISITOR_POSTS_A_MINUTE = 3
    visitor = Client(REMOTE_ADDR="203.0.113.9")

    answers = [visitor.post(reverse("set_language"), {"language": "en", "next": "/"}) for _n in range(5)]
    another = Client(REMOTE_ADDR="203.0.113.10").post(reverse("set_language"), {"language": "en", "next": "/"})

    # a minute may have turned in between: then four of five passed, or five
    assert [answer.status_code for answer in answers][:3] == [302] * 3
    assert 429 in [answer.status_code for answer in answers[3:]]
    assert another.status_code == 302


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_sent_to_another_site(target):
    user, newcomer = factories.user(), factories.user()
    EmailAddress.objects.create(user=newcomer, email=newcomer.email, primary=True, verified=True)
    browser = signed_in(user, with_second_factor=False)
    typed = {"login": newcomer.email, "password": "un mot de passe long", "next": target}

    language = Client().post(reverse("set_language"), {"language": "en", "next": target})
    entered = Client().post(reverse("account_login"), typed)
    left = signed_in(user).post(reverse("account_logout"), {"next": target})
    browser = signed_in(user)
    again = browser.get(reverse("second-factor"), {"next": target})

    for answer in (language, entered, left):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/") and not answer["Location"].startswith(("//", "/\\"))
        assert "ailleurs" not in answer["Location"]
    assert f'value="{target}"' not in again.content.decode()


def test_an_error_page_leads_back_to_this_site_only(rf):
    def page(referer):
        request = RequestFactory().get("/remises/", headers={"referer": referer})
        request.user = factories.user()
        return ErrorPages(lambda _request: None).process_exception(request, NotAllowed("Non.")).content.decode()

    assert 'href="http://testserver/bureau/"' in page("http://testserver/bureau/")
    assert "ailleurs" not in page("https://ailleurs.example/")


@pytest.mark.parametrize("host", ["ailleurs.example", "testserver:80@ailleurs.example", "testserver.ailleurs.example"])
def test_another_host_s_name_is_refused(host):
    assert Client(headers={"host": host}).get("/").status_code == 400


def test_a_failing_page_says_nothing_of_the_machine():
    browser = signed_in(factories.user())
    browser.raise_request_exception = False

    with connection.execute_wrapper(_broken):
        answer = browser.get(reverse("desk"))

    text = answer.content.decode()
    assert answer.status_code == 500
    assert "Une panne de notre fait" in text
    for detail in ("Traceback", "psycopg", "/work", "SELECT", "OperationalError", django_settings.SECRET_KEY):
        assert detail not in text


def _broken(execute, sql, params, many, context):
    return execute("SELECT 1 FROM une_table_qui_manque", (), False, context)


def test_no_secret_that_was_typed_reaches_the_logs(caplog):
    caplog.set_level(logging.DEBUG)
    user = factories.user()
    browser = signed_in(user)

    Client().post(reverse("account_login"), {"login": user.email, "password": "mot-de-passe-en-clair"})
    browser.post(reverse("second-factor"), {"code": "987123"})
    Client().post(reverse("account_signup"), {"email": "n@exemple.fr", "password1": "un-autre-secret", "password2": ""})
    with connection.execute_wrapper(_broken):
        browser.raise_request_exception = False
        browser.post(reverse("second-factor"), {"code": "456321"})

    assert caplog.records, "the failing page is told to those who run the site"
    for secret in ("mot-de-passe-en-clair", "987123", "456321", "un-autre-secret", browser.session.session_key):
        assert secret not in caplog.text
