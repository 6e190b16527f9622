"""Long lists are shown a part at a time, and nothing becomes unreachable: how many there are, and a way to each."""

import re

import pytest
from django.urls import reverse

from consent.forms import MOST_TO_CHOOSE, PublicObjectionForm
from tests import factories
from zones.views.zone import CARDS

pytestmark = pytest.mark.django_db
TITLE = re.compile(r"Jeu \d+")


def shelf(count):
    zone = factories.zone()
    return zone, [factories.dataset(zone, title=f"Jeu {number:03d}") for number in range(count)]


def test_every_dataset_of_a_zone_is_on_some_page_of_it(client):
    zone, datasets = shelf(2 * CARDS + 1)
    address = reverse("zone-detail", args=[zone.slug])

    pages = [client.get(address, {"page": number}).content.decode() for number in (1, 2, 3)]

    shown = [sorted(set(TITLE.findall(page))) for page in pages]
    assert [title for page in shown for title in page] == [one.title for one in datasets]
    assert f"{len(datasets)} jeux de données" in pages[0]


def test_the_rows_of_a_page_say_when_they_may_be_had(client):
    _zone, (offered, _without) = shelf(2)
    factories.offer(offered)

    page = client.get(reverse("catalogue")).content.decode()

    first, second = page.split("Jeu 000")[1], page.split("Jeu 001")[1]
    assert "sans offre" not in first.split("</ul>")[0]
    assert "sans offre" in second.split("</ul>")[0]


def test_one_of_many_datasets_is_refused_from_its_own_page(client):
    zone, datasets = shelf(MOST_TO_CHOOSE + 1)
    chosen = datasets[30]
    address = reverse("objection-create", args=[zone.slug])

    bare = client.get(address).content.decode()
    link = f"{address}?jeu={chosen.slug}"
    from_its_page = client.get(link).content.decode()

    assert not TITLE.search(bare.split('name="dataset"')[1].split("</select>")[0])
    assert link in client.get(chosen.get_absolute_url()).content.decode()
    assert f'value="{chosen.pk}" selected' in from_its_page
    sent = PublicObjectionForm({"dataset": chosen.pk, "local_id": "", "speaks": "self"}, zone=zone)
    assert f'value="{chosen.pk}" selected' in str(sent["dataset"])
    assert "dataset" not in sent.errors


def test_a_few_datasets_are_all_in_the_list(client):
    zone, datasets = shelf(3)

    page = client.get(reverse("objection-create", args=[zone.slug])).content.decode()

    assert all(one.title in page.split('name="dataset"')[1].split("</select>")[0] for one in datasets)


def test_a_dataset_of_another_place_cannot_be_sent():
    zone, _mine = shelf(1)
    _other, (theirs,) = shelf(1)

    form = PublicObjectionForm({"dataset": theirs.pk, "local_id": "1", "speaks": "self"}, zone=zone)

    assert "dataset" in form.errors
