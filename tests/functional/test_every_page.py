"""The pages anybody may open, and each desk, hold at phone and desktop width, in light and dark."""

import pytest

from broker.accounts.grants import give
from broker.audit.actor import SYSTEM
from tests import factories
from tests.functional.conftest import fits

PUBLIC = ["/", "/et-moi/", "/zones/", "/catalogue/", "/registre/", "/compte/login/", "/compte/signup/", "/composants/",
          "/log/", "/log/releves/", "/log/coherence/"]  # fmt: skip
LOOKS = [("phone", "light"), ("desktop", "dark")]


@pytest.mark.parametrize(("width", "scheme"), [*LOOKS, ("phone", "dark"), ("desktop", "light")])
def test_public_pages_have_no_barrier(visit, axe, settings, width, scheme):
    settings.DEMO = True
    factories.convention()
    page = visit(width=width, scheme=scheme)

    for path in PUBLIC:
        page.goto(path)
        axe(page)
        assert fits(page), path


def a_founder():
    return factories.user("Julie Caron")


def a_named_person():
    return factories.convention().named_persons.first().user


def an_operator():
    zone = factories.zone(status="draft")
    person = factories.user("Claire Morel", organisation=zone.operator)
    for role in ("operate", "steward", "advise"):
        give(person, f"zones.{role}", zone, by=SYSTEM)
    return person


def a_clerk():
    factories.registry_entry(status="under_review")
    return factories.user("Sophie Martin", organisation=factories.organisation("agency"), role="registry_officer")


def an_auditor():
    return factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")


@pytest.mark.parametrize("person", [a_founder, a_named_person, an_operator, a_clerk, an_auditor])
def test_each_desk_has_no_barrier(visit, sign_in, axe, person):
    page = sign_in(visit(), person())

    for width, scheme in (*LOOKS, ("phone", "dark"), ("desktop", "light")):
        page.set_viewport_size({"width": 390 if width == "phone" else 1280, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.title() == "Mon bureau · Terrain"
        axe(page)
        assert fits(page), (person.__name__, width)


def test_a_person_signs_in_with_a_second_factor(visit, sign_in):
    page = sign_in(visit(), factories.user("Julie Caron"))

    assert page.locator("h1").inner_text() == "Mon bureau"
