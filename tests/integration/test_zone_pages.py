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


def given_roles(zone, user, *roles):
    for role in roles:
        grants.give(user, f"zones.{role}", zone, by=user)
    return signed_in(user)


def test_two_persons_close_a_zone_through_the_pages(ines, marc, operator):
    zone = factories.zone("av_motorway", operator=operator)
    first, second = given_roles(zone, ines, "operate"), given_roles(zone, marc, "operate")
    path = reverse("zone-close", args=[zone.slug])

    assert first.post(path, {"reason": "fin du programme"}).status_code == 302

    assert Zone.objects.get(pk=zone.pk).status == "open"
    assert "Vous avez proposé la fermeture" in first.get(path).content.decode()
    assert "Contresigner la fermeture de" in second.get(reverse("desk")).content.decode()
    assert "fin du programme" in second.get(path).content.decode()
    assert second.post(path, {"reason": "d'accord"}).status_code == 302
    assert Zone.objects.get(pk=zone.pk).status == "closed"


def test_a_service_is_corrected_ended_and_removed_when_nothing_depends_on_it(ines, operator):
    zone = factories.zone("hospital", operator=operator)
    browser = given_roles(zone, ines, "operate")
    kept, mistake = factories.service(zone, name="Urgences"), factories.service(zone, name="Doublon")
    factories.dataset(zone, in_service=kept)
    day = clock.today()
    said = {"name": "Urgences", "head_name": "Dr Roy", "participation_from": kept.participation_from}

    ended = browser.post(
        reverse("service-edit", args=[zone.slug, kept.pk]), {**said, "participation_until": day.isoformat()}
    )
    refused = browser.post(reverse("service-edit", args=[zone.slug, kept.pk]), {"act": "remove"})
    removed = browser.post(reverse("service-edit", args=[zone.slug, mistake.pk]), {"act": "remove"})

    assert (ended.status_code, refused.status_code, removed.status_code) == (302, 409, 302)
    assert "Avancez plutôt son dernier jour" in refused.content.decode()
    assert [(s.name, s.head_name, s.participation_until) for s in zone.services.all()] == [("Urgences", "Dr Roy", day)]
    assert "« Urgences » n&#x27;accueille plus d&#x27;essais" in browser.get(reverse("desk")).content.decode()


def test_a_service_ended_early_ends_what_it_hosts(ines, operator):
    from broker.epoch.actions import epoch_of

    zone = factories.zone("hospital", operator=operator)
    grants.give(ines, "zones.operate", zone, by=ines)
    service = factories.service(zone)
    scope = [("service", str(service.pk))]
    before = epoch_of(scope)

    actions.amend_service(
        service, by=ines, name=service.name, head_name=service.head_name,
        participation_from=service.participation_from, participation_until=clock.today(),
    )  # fmt: skip

    assert epoch_of(scope) > before


LINK = {
    "title": "Accidents", "summary": "Une ligne par accident.", "open_url": "https://www.data.gouv.fr/accidents",
    "origin": "ONISR", "licence": "Licence Ouverte 2.0", "domains": ["road_infrastructure"], "is_personal": "no",
}  # fmt: skip


def test_data_open_elsewhere_are_listed_corrected_and_taken_off(ines, operator, client):
    zone = factories.zone("av_motorway", operator=operator)
    browser = given_roles(zone, ines, "operate")
    listing = reverse("dataset-link", args=[zone.slug])

    for wrong in ({"open_url": "http://www.data.gouv.fr/"}, {"licence": ""}, {"origin": ""}, {"open_url": "ici"}):
        assert browser.post(listing, {**LINK, **wrong}).status_code == 422
    assert browser.post(listing, LINK).status_code == 302

    dataset = zone.datasets.get()
    page = client.get(dataset.get_absolute_url()).content.decode()
    assert 'href="https://www.data.gouv.fr/accidents"' in page and "Ni agrément, ni convention" in page
    assert "Aucun fichier examiné" not in page and "Offres" not in page
    assert browser.get(reverse("version-upload", args=[dataset.slug])).status_code == 409
    edited = browser.post(reverse("dataset-edit", args=[dataset.slug]), {**LINK, "period": "2005 à 2023"})
    assert edited.status_code == 302 and "2005 à 2023" in client.get(dataset.get_absolute_url()).content.decode()
    assert browser.post(reverse("dataset-withdraw", args=[dataset.slug]), {"reason": "lien mort"}).status_code == 302
    assert client.get(dataset.get_absolute_url()).status_code == 404


def test_a_published_dataset_keeps_its_words_and_is_withdrawn_with_a_reason(ines, operator, client):
    zone = factories.zone("hospital", operator=operator)
    browser = given_roles(zone, ines, "operate")
    dataset = factories.dataset(zone)
    said = {"title": "Autre", "summary": "S", "domains": ["clinical"], "is_personal": "yes"}

    kept = browser.post(reverse("dataset-edit", args=[dataset.slug]), said)
    silent = browser.post(reverse("dataset-withdraw", args=[dataset.slug]), {"reason": ""})
    gone = browser.post(reverse("dataset-withdraw", args=[dataset.slug]), {"reason": "source fermée"})

    assert (kept.status_code, silent.status_code, gone.status_code) == (409, 422, 302)
    assert client.get(dataset.get_absolute_url()).status_code == 404


def test_a_zone_says_who_uses_it_now_and_links_the_notice(client):
    convention = factories.convention()

    page = client.get(convention.zone.get_absolute_url()).content.decode()

    assert convention.organisation.name in page
    assert reverse("convention-notice", args=[convention.ref]) in page
    convention.status = "suspended"
    convention.save()
    assert convention.organisation.name not in client.get(convention.zone.get_absolute_url()).content.decode()


def test_a_mountain_road_is_drawn_from_its_points_and_a_wrong_line_is_named(ines):
    browser = signed_in(ines)
    asked = {"name": "Route", "communes": "05063", "contact_email": "c@exemple.fr", "dpo_email": "d@exemple.fr"}
    path = reverse("zone-create") + "?nature=av_mountain"

    wrong = browser.post(path, {**asked, "altitudes": "0 1480\n10 haut"})
    backwards = browser.post(path, {**asked, "altitudes": "5 1480\n3 1200"})
    right = browser.post(path, {**asked, "altitudes": "0 1480\n\n12,5;1040"})

    assert (wrong.status_code, backwards.status_code, right.status_code) == (422, 422, 302)
    assert "Ligne 2" in wrong.content.decode() and "doivent croître" in backwards.content.decode()
    zone = Zone.objects.latest("pk")
    assert zone.evidence["altitudes"] == [[0, 1480], [12.5, 1040]]
    page = browser.get(zone.get_absolute_url()).content.decode()
    assert "road-line" in page and "440 m de descente" in page
    assert "12.5 1040" in browser.get(reverse("zone-edit", args=[zone.slug])).content.decode()


def test_the_members_of_a_network_are_named_with_the_day_they_joined(ines):
    browser = signed_in(ines)
    asked = {"name": "Réseau", "communes": "38421", "contact_email": "c@exemple.fr", "dpo_email": "d@exemple.fr"}

    browser.post(
        reverse("zone-create") + "?nature=care_network",
        {**asked, "pharmacy": "Pharmacie des Alloves", "pharmacy_joined_on": "2026-03-03"},
    )

    zone = Zone.objects.latest("pk")
    page = browser.get(zone.get_absolute_url()).content.decode()
    assert zone.evidence == {
        "members": {"pharmacy": "Pharmacie des Alloves"}, "joined": {"pharmacy_joined_on": "2026-03-03"},
    }  # fmt: skip
    assert "Pharmacie des Alloves, adhésion écrite du 3 mars 2026" in page
    assert "Z21" in page
    assert 'value="2026-03-03"' in browser.get(reverse("zone-edit", args=[zone.slug])).content.decode()


def test_the_list_of_zones_shows_a_kind_and_places_it_on_france(client):
    factories.zone("hospital", name="Hôpital A")
    factories.zone("av_city", name="Ville B", communes=["35238"])

    page = client.get(reverse("zone-list")).content.decode()
    cities = client.get(reverse("zone-list"), {"nature": "av_city"}).content.decode()
    none = client.get(reverse("zone-list"), {"nature": "av_mountain"}).content.decode()

    assert "Rouen : Hôpital A" in page and "Rennes : Ville B" in page
    assert "Ville B" in cities and "Hôpital A" not in cities
    assert "Aucune zone de cette nature" in none


def test_public_pages_ask_as_many_questions_for_few_rows_as_for_many(client):
    zone = factories.zone("hospital")

    def count(path):
        client.get(path)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    def fill(times):
        for _ in range(times):
            factories.convention(factories.offer(factories.dataset(zone)))
            factories.service(zone)
            factories.zone("av_city")

    fill(1)
    few = [count(path) for path in (zone.get_absolute_url(), reverse("zone-list"))]
    fill(4)

    assert [count(path) for path in (zone.get_absolute_url(), reverse("zone-list"))] == few


def test_an_industrial_site_opens_with_its_own_evidence(ines, marc, operator):
    first, second = signed_in(ines), signed_in(marc)
    asked = {
        "name": "Chaufferie", "communes": "38151", "contact_email": "c@exemple.fr", "dpo_email": "d@exemple.fr",
        "frame_adopted_on": clock.today().isoformat(), "information_system": "supervision", "emissions": "on",
    }  # fmt: skip
    first.post(reverse("zone-create") + "?nature=industrial_site", asked)
    zone = Zone.objects.latest("pk")
    opening = reverse("zone-open", args=[zone.slug])

    refused = first.post(opening).content.decode()

    assert "Z70" in refused and "Z72" in refused and "Z71" not in refused
    whole = {**asked, "siret": "73282932000074", "employees_informed_on": clock.today().isoformat()}
    first.post(reverse("zone-edit", args=[zone.slug]), whole)
    grants.give(marc, "zones.operate", zone, by=ines)
    first.post(opening)
    second.post(opening)
    assert Zone.objects.get(pk=zone.pk).status == "open"
    assert "Instrumenté pour les émissions" in first.get(zone.get_absolute_url()).content.decode()
