"""The pages anybody may open, and each desk, hold at phone and desktop width, in light and dark."""

import pytest

from tests.functional.conftest import fits

PUBLIC = ["/", "/et-moi/", "/compte/login/", "/compte/signup/"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_public_pages_have_no_barrier(visit, axe, width, scheme):
    page = visit(width=width, scheme=scheme)

    for path in PUBLIC:
        page.goto(path)
        axe(page)
        assert fits(page), path


def test_a_person_signs_in_with_a_second_factor(visit, sign_in):
    from tests import factories

    page = sign_in(visit(), factories.user("Julie Caron"))

    assert page.locator("h1").inner_text() == "Mon bureau"
