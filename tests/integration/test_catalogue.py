"""What anybody finds in the catalogue: words, filters with their counts, data that are open elsewhere."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from broker import clock
from tests import factories
from zones import catalogue
from zones.catalogue import Asked

pytestmark = pytest.mark.django_db


def titles(asked):
    return [dataset.title for dataset in catalogue.search(asked)]


@pytest.fixture
def shelf():
    """Stays with a notice that has run, charging sessions under notice, traffic without offer, accidents elsewhere."""
    long_ago, now = clock.now() - timedelta(days=60), clock.now()
    stays = factories.dataset(title="Séjours de diabète")
    factories.offer(stays, notice_published_at=long_ago)
    district = factories.zone("eco_district", communes=["38151"])
    charging = factories.dataset(district, title="Recharges", domains=["ev_charging"])
    factories.offer(charging, notice_published_at=now)
    factories.dataset(
        factories.zone("av_motorway"), title="Trafic", domains=["road_infrastructure", "environment"],
        is_personal=False, columns=[("n", "integer", "measure", "")],
    )  # fmt: skip
    factories.linked_dataset()


@pytest.mark.parametrize(
    ("access", "found"),
    [
        ("today", {"Séjours de diabète"}),
        ("notice", {"Recharges"}),
        ("open", {"Accidents de la route"}),
        ("none", {"Trafic"}),
        ("offered", {"Séjours de diabète", "Recharges"}),
    ],
)
def test_a_dataset_says_when_it_may_be_had(shelf, access, found):
    assert set(titles(Asked(access=access))) == found
    seen = {catalogue.access_of(dataset) for dataset in catalogue.search(Asked(access=access))}
    assert seen == ({"today", "notice"} if access == "offered" else {access})


def test_an_offer_that_is_over_gives_access_to_nothing(shelf):
    from consent.models import Offer

    Offer.objects.filter(dataset__title="Recharges").update(status="ended")

    assert set(titles(Asked(access="none"))) == {"Trafic", "Recharges"}


def test_data_without_persons_are_had_the_same_day():
    traffic = factories.dataset(is_personal=False, columns=[("n", "integer", "measure", "")])
    factories.offer(traffic, notice_published_at=clock.now())

    assert titles(Asked(access="today")) == [traffic.title]


@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(kind="av_motorway"),
        Asked(domain="road_infrastructure", access="open"),
        Asked(q="sejours DIABETE"),
        Asked(personal="yes", kind="eco_district"),
        Asked(q="introuvable"),
        Asked(access="none", domain="environment", personal="no"),
    ],
)
def test_what_is_counted_is_what_is_found(shelf, asked):
    facets = catalogue.facets(asked)

    assert facets.total == len(titles(asked))
    for name in ("domain", "kind", "personal", "access"):
        for value, count in facets.counts[name].items():
            there = {"q": asked.q, "domain": asked.domain, "kind": asked.kind, "personal": asked.personal,
                     "access": asked.access, name: value}  # fmt: skip
            assert count == len(titles(Asked(**there))), (name, value)


def test_a_word_is_looked_for_in_the_dataset_and_in_its_zone(shelf):
    from zones.models import Zone

    Zone.objects.filter(kind="eco_district").update(name="Écoquartier des Granges")

    assert titles(Asked(q="ecoquartier recharge")) == ["Recharges"]
    assert titles(Asked(q="ecoquartier diabète")) == []


def test_the_page_shows_counts_chips_and_what_to_do_when_nothing_is_found(shelf, client):
    page = client.get(reverse("catalogue"), {"kind": "av_motorway", "q": "trafic"}).content.decode()
    nothing = client.get(reverse("catalogue"), {"q": "introuvable"}).content.decode()

    assert "Enlever :" in page and 'href="?kind=av_motorway"' in page and 'href="?q=trafic"' in page
    assert page.count("card-link") == 1
    assert "Rien ne correspond" in nothing and "Voir tout le catalogue" in nothing


def test_an_unknown_filter_asks_nothing(shelf, client):
    page = client.get(reverse("catalogue"), {"kind": "lune", "access": "demain"}).content.decode()

    assert page.count("card-link") == 4


def test_the_catalogue_asks_as_many_questions_for_two_datasets_as_for_forty(client):
    def count():
        client.get(reverse("catalogue"), {"q": "jeu"})
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("catalogue"), {"q": "jeu"}).status_code == 200
        return len(queries)

    for _ in range(2):
        factories.dataset(columns=[("n", "integer", "measure", "")])
    few = count()
    for _ in range(38):
        factories.dataset(columns=[("n", "integer", "measure", "")])

    assert count() == few


def test_a_program_reads_where_open_data_are(shelf, client):
    rows = {row["title"]: row for row in client.get(reverse("api-catalogue")).json()["results"]}

    assert rows["Accidents de la route"]["open_url"] == "https://www.data.gouv.fr/accidents"
    assert {title: row["access"] for title, row in rows.items()} == {
        "Accidents de la route": "open", "Trafic": "none", "Recharges": "notice", "Séjours de diabète": "today",
    }  # fmt: skip
