"""Every page has the frame: one title, one main heading, a way past the menu, nothing inline."""

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("route", ["home", "account_login", "account_signup"])
def test_a_public_page_shows_the_frame(client, route):
    page = client.get(reverse(route)).content.decode()

    assert page.count("<h1") == 1
    assert 'href="#contenu"' in page
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
