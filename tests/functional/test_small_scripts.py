"""What terrain.js adds to pages: cards on a phone, one tap to copy, a list narrowed while typing."""

import pytest

from tests.functional.conftest import fits


@pytest.fixture
def demo(settings, tmp_path):
    settings.DEMO = True
    settings.VAR = tmp_path
    (tmp_path / "mail").mkdir()


def test_a_wide_table_is_a_pile_of_cards_on_a_phone_and_stays_a_table_on_a_desktop(visit, demo):
    phone, desktop = (visit("/composants/", width=width) for width in ("phone", "desktop"))

    cells = phone.locator(".table-stacks tbody tr").first.locator("td")
    label = cells.first.evaluate("cell => getComputedStyle(cell, '::before').content")

    assert cells.first.get_attribute("data-label") in label
    assert phone.locator(".table-stacks tbody tr").first.evaluate("row => getComputedStyle(row).display") == "block"
    assert (
        desktop.locator(".table-stacks tbody tr").first.evaluate("row => getComputedStyle(row).display") == "table-row"
    )
    assert fits(phone)


def test_the_cast_is_narrowed_by_words_without_accents(visit, demo):
    page = visit("/demo/")
    everybody = page.locator(".person:visible").count()

    page.get_by_label("Nom, métier ou organisme").fill("GREGOIRE introuvable")
    nobody = page.locator("#personne").is_visible()
    page.get_by_label("Nom, métier ou organisme").fill("elise")

    assert everybody > 20
    assert nobody
    assert page.locator(".person:visible h3").all_inner_texts() == ["Élise Garnier"]
    assert page.locator("[data-group]:visible").count() == 1


def test_one_tap_copies_and_says_so(visit, demo):
    page = visit("/demo/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator(".person").first.get_by_role("button", name="Copier l’adresse")

    button.click()
    page.wait_for_selector(".btn-copy.is-done")

    assert page.evaluate("navigator.clipboard.readText()") == "claire@deux-rives.example"
    assert page.locator(".btn-copy.is-done").inner_text().startswith("Copié")
