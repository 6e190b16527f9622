"""The pages of zones as their people use them."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from tests import factories
from tests.actors import signed_in
from zones import actions
from zones.models import Zone

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator():
    return factories.organisation("operator", name="Autoroutes")


@pytest.fixture
def ines(operator):
    return factories.user("Inès", organisation=operator)


@pytest.fixture
def marc(operator):
    return factories.user("Marc", organisation=operator)


def motorway(**change):
    return {
        "name": "Autoroute d'essai", "communes": "38185 38151", "contact_email": "c@exemple.fr",
        "dpo_email": "d@exemple.fr", "frame_adopted_on": clock.today().isoformat(), "information_system": "comptages",
        "section": "A48", "agreement_on": clock.today().isoformat(), "length_km": "100,0", **change,
    }  # fmt: skip


def created(browser, **change):
    answer = browser.post(reverse("zone-create") + "?nature=av_motorway", motorway(**change))
    assert answer.status_code == 302, answer.content.decode()
    return Zone.objects.latest("pk")


def test_a_motorway_goes_from_its_refusal_to_its_opening_through_the_pages(ines, marc):
    first, second = signed_in(ines), signed_in(marc)
    zone = created(first)
    detail, opening = reverse("zone-detail", args=[zone.slug]), reverse("zone-open", args=[zone.slug])
    assert "Z50" in first.get(detail).content.decode()

    refused = first.post(opening)

    assert refused.status_code == 403
    assert "100,0 km" in refused.content.decode() and "plus de 100 km" in refused.content.decode()
    assert first.post(reverse("zone-edit", args=[zone.slug]), motorway(length_km="104,6")).status_code == 302
    assert "Il manque une deuxième personne" in first.get(detail).content.decode()
    people = reverse("zone-people", args=[zone.slug])
    assert first.post(people, {"person": marc.email, "role": "operate", "act": "give"}).status_code == 302
    assert first.post(opening).status_code == 302
    assert "Vous avez proposé l’ouverture" in first.get(detail).content.decode()
    assert first.post(opening).status_code == 403, "the same person does not countersign"
    assert "Contresigner" in second.get(detail).content.decode()
    assert second.post(opening).status_code == 302
    assert Zone.objects.get(pk=zone.pk).status == "open"


def test_a_wrong_commune_is_told_beside_its_field(ines):
    answer = signed_in(ines).post(reverse("zone-create") + "?nature=av_motorway", motorway(communes="75101"))

    assert answer.status_code == 422
    assert "Code inconnu : 75101" in answer.content.decode()


def test_the_form_of_each_kind_shows_and_keeps_what_it_asks(ines):
    browser = signed_in(ines)
    asked = {"name": "Écoquartier", "communes": "38185", "contact_email": "c@exemple.fr", "dpo_email": "d@exemple.fr"}
    for kind in Zone.Kind.values:
        assert browser.get(reverse("zone-create"), {"nature": kind}).status_code == 200

    browser.post(
        reverse("zone-create") + "?nature=eco_district",
        {**asked, "intermittent_production": "operational", "smart_city": "planned"},
    )

    zone = Zone.objects.latest("pk")
    assert zone.evidence == {"items": {"intermittent_production": "operational", "smart_city": "planned"}}
    page = browser.get(reverse("zone-edit", args=[zone.slug])).content.decode()
    assert '<option value="operational" selected>' in page


def test_services_sites_and_sensors_are_added_and_shown(ines):
    browser = signed_in(ines)
    zone = created(browser)
    at = [zone.slug]
    day, later = clock.today(), clock.today() + timedelta(days=200)

    wrong = browser.post(
        reverse("service-create", args=at),
        {"name": "S", "head_name": "H", "participation_from": later, "participation_until": day},
    )
    right = browser.post(
        reverse("service-create", args=at),
        {"name": "Exploitation", "head_name": "H", "participation_from": day, "participation_until": later},
    )
    site = browser.post(
        reverse("site-create", args=at),
        {"name": "Portique", "commune": "38185", "latitude": "45.1885", "longitude": "5.7005"},
    )
    sensor = browser.post(
        reverse("sensor-create", args=at),
        {"site": zone.sites.get().pk, "name": "Boucle 1", "kind": "boucle", "measures": "véhicules/h"},
    )
    again = browser.post(reverse("site-create", args=at), {"name": "Portique", "commune": "38185"})

    assert (wrong.status_code, right.status_code, site.status_code, sensor.status_code) == (422, 302, 302, 302)
    assert again.status_code == 422 and "Un site porte déjà ce nom" in again.content.decode()
    page = browser.get(reverse("zone-detail", args=at)).content.decode()
    assert all(name in page for name in ("Exploitation", "Portique", "Boucle 1", "map-point", "156"))


def test_the_look_up_finds_communes_with_their_population(ines):
    page = signed_in(ines).get(reverse("commune-search"), {"commune": "grenoble"}).content.decode()

    assert "38185" in page and "156" in page


def test_a_zone_is_suspended_with_a_reason_and_says_so(ines, marc):
    zone = factories.zone("av_motorway", operator=ines.organisation)
    grants.give(ines, "zones.operate", zone, by=ines)
    browser = signed_in(ines)
    path = reverse("zone-suspend", args=[zone.slug])

    assert browser.post(path, {"reason": ""}).status_code == 422
    assert browser.post(path, {"reason": "travaux"}).status_code == 302

    assert "Zone suspendue" in browser.get(zone.get_absolute_url()).content.decode()


def test_the_page_of_people_asks_as_many_questions_for_two_as_for_twenty(ines, operator):
    zone = factories.zone("av_motorway", operator=operator, status="draft")
    grants.give(ines, "zones.operate", zone, by=ines)
    browser = signed_in(ines)

    def count(route):
        browser.get(reverse(route, args=[zone.slug]))
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(reverse(route, args=[zone.slug])).status_code == 200
        return len(queries)

    few = [count(route) for route in ("zone-people", "zone-detail")]
    for _ in range(18):
        colleague = factories.user(organisation=operator)
        grants.give(colleague, "zones.steward", zone, by=ines)

    assert [count(route) for route in ("zone-people", "zone-detail")] == few


def test_the_page_of_a_dataset_asks_as_many_questions_for_five_columns_as_for_fifty(client):
    def count(columns):
        dataset = factories.dataset(columns=[(f"c{n}", "text", "measure", "") for n in range(columns)])
        client.get(dataset.get_absolute_url())
        with CaptureQueriesContext(connection) as queries:
            assert client.get(dataset.get_absolute_url()).status_code == 200
        return len(queries)

    assert count(5) == count(50)


def test_a_zone_named_like_a_page_does_not_hide_it(ines):
    zone = actions.create_zone(
        by=ines, kind="av_city", name="Nouvelle", operator=ines.organisation, communes=["38185"],
        contact_email="c@exemple.fr", dpo_email="d@exemple.fr",
    )  # fmt: skip

    assert zone.slug == "nouvelle-2"
