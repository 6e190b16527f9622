"""A real browser on a real server: the site runs in a thread on a database of the test's own, Chromium visits it.

Each test gets a `site` (its address), a `browser` page maker `visit`, `sign_in` through the real pages and `axe`.
"""

import os
import time
from pathlib import Path

import pytest

CHROMIUMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
WIDTHS = {"phone": (390, 844), "desktop": (1280, 900)}  # CSS pixels
PASSWORD = "un mot de passe long"  # the one of tests.factories.user
TOTP_STEP = 30  # seconds, RFC 6238 section 4


def chromium_path() -> str | None:
    """The browser of the machine: TERRAIN_CHROMIUM, or the usual places."""
    for path in (os.environ.get("TERRAIN_CHROMIUM", ""), *CHROMIUMS):
        if path and Path(path).exists():
            return path
    return None


@pytest.fixture(scope="module")
def chromium():
    """The browser. It goes with its module: its event loop would stand in the way of the tests after it."""
    from playwright.sync_api import sync_playwright

    path = chromium_path()
    if path is None:
        pytest.fail("No Chromium: install it (apt-get install chromium) or set TERRAIN_CHROMIUM.", pytrace=False)
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture
def site(fresh_database, django_db_blocker, settings):
    """The address of the site, served on the test's own database until the test ends."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.test.testcases import LiveServerThread

    with django_db_blocker.unblock():
        thread = LiveServerThread("127.0.0.1", StaticFilesHandler)
        thread.daemon = True
        thread.start()
        thread.is_ready.wait()
        if thread.error:
            raise thread.error
        settings.SITE_URL = f"http://127.0.0.1:{thread.port}"
        yield settings.SITE_URL
        thread.terminate()


@pytest.fixture
def visit(chromium, site):
    """Opens a page of the site in a browser of its own: `visit("/", width="phone", scheme="dark")`.

    Whatever the browser complains about (a refused script or style, an error of the page) fails the test.
    """
    contexts, complaints = [], []

    def heard(message):
        if message.type == "error" and "the server responded with a status of 4" not in message.text:
            complaints.append(message.text)

    def opened(path="/", *, width="desktop", scheme="light", language="fr-FR"):
        across, down = WIDTHS[width]
        context = chromium.new_context(
            base_url=site, viewport={"width": across, "height": down}, color_scheme=scheme, locale=language
        )
        contexts.append(context)
        context.set_default_timeout(10_000)  # ms
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def enrol(user) -> str:
    """Give `user` a confirmed address and a TOTP application; return its base32 secret."""
    from allauth.account.models import EmailAddress
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"primary": True, "verified": True})
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code(secret: str, *, step: int = 0) -> str:
    """The TOTP code of now, or of `step` steps from now."""
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

    return format_hotp_value(hotp_value(secret, int(time.time()) // TOTP_STEP + step))


@pytest.fixture
def sign_in():
    """Signs `user` in through the pages, second factor included; enrols them first when they have none."""

    def signed_in(page, user):
        from allauth.mfa.models import Authenticator

        if not Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
            user.totp_secret = enrol(user)
        page.goto("/compte/login/")
        page.fill("input[name=login]", user.email)
        page.fill("input[name=password]", PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_selector("input[name=code]")
        page.fill("input[name=code]", code(user.totp_secret))
        page.press("input[name=code]", "Enter")
        page.wait_for_url("**/bureau/")
        return page

    return signed_in


@pytest.fixture
def axe():
    """Fails with every breach of WCAG 2.2 AA, and of axe's good practice, on the page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    checker = Axe()

    def checked(page):
        results = checker.run(page, options={"resultTypes": ["violations"]})
        found = [
            f"{page.url}: {v['id']} ({v['impact']}) {v['help']}\n"
            + "\n".join(f"    {' '.join(map(str, n['target']))}: {n['failureSummary']}" for n in v["nodes"][:5])
            for v in results.response["violations"]
        ]
        assert not found, "\n".join(found)

    return checked


def fits(page) -> bool:
    """Whether nothing pushes the page wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
