"""A founder opens an account, protects it and inscribes the organisation, with the keyboard alone."""

import re

from django.core import mail

from consent.models import DirectoryCompany
from tests.functional.conftest import PASSWORD, code

TABS = 60  # more than any page of the way has stops


def reach(page, selector: str):
    """Press Tab until the element has the focus, and check that the focus can be seen."""
    target = page.locator(selector).first
    target.wait_for()
    for _ in range(TABS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            outline = target.evaluate("element => getComputedStyle(element).outlineStyle")
            assert outline != "none", f"{selector} has the focus and does not show it"
            return target
    raise AssertionError(f"{selector} is out of the keyboard's reach on {page.url}")


def write(page, name: str, text: str):
    reach(page, f"main [name={name}]")
    page.keyboard.type(text)


def test_a_founder_goes_from_the_home_to_the_organisation_by_keyboard(visit, axe):
    DirectoryCompany.objects.create(
        siren="812345674", siret="81234567400019", name="Glycéa", representative="Julie Caron"
    )
    page = visit("/")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#contenu"
    reach(page, "header a[href='/compte/signup/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/compte/signup/")
    if page.locator("main [name=full_name]").count():
        write(page, "full_name", "Julie Caron")
    write(page, "email", "julie@glycea.example")
    write(page, "password1", PASSWORD)
    write(page, "password2", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("main [name=code]")
    axe(page)
    sent = re.search(r"^([A-Z0-9-]{6,})$", mail.outbox[-1].body, re.MULTILINE)
    write(page, "code", sent.group(1))
    page.keyboard.press("Enter")

    page.wait_for_selector("#authenticator_secret, main a[href*='totp'], main a[href*='2fa']")
    if not page.locator("#authenticator_secret").count():
        reach(page, "main a[href*='totp'], main a[href*='2fa']")
        page.keyboard.press("Enter")
        page.wait_for_selector("#authenticator_secret")
    axe(page)
    secret = page.locator("#authenticator_secret").evaluate("e => e.value || e.textContent").replace(" ", "")
    write(page, "code", code(secret))
    page.keyboard.press("Enter")

    page.wait_for_url(lambda address: "totp/activate" not in address)
    page.goto("/bureau/")
    axe(page)
    assert page.locator("[aria-current=step]").inner_text().startswith("Inscrire votre organisation")
    reach(page, "main a[href='/organisation/nouvelle/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/organisation/nouvelle/")
    axe(page)
