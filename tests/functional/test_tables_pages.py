"""The pages of a dataset of several tables, in a real browser: no barrier, nothing wider than the window."""

import os
from pathlib import Path

import pytest

from broker.accounts import grants
from broker.keys.store import KeyStore
from tests import factories
from tests.functional.conftest import fits
from zones import actions, placing, sealing, tasks
from zones.reading import Reading

PATIENTS = b"Id,BIRTHDATE,GENDER,MOTHER\n" + b"".join(
    b"p-%016d,19%02d-01-02,M,p-%016d\n" % (n, n, n // 2) for n in range(40)
)
STAYS = b"Id,PATIENT,COST\n" + b"".join(b"s-%016d,p-%016d,%d\n" % (n, n % 30, n) for n in range(90))
EVENTS = b"STAY,CODE\n" + b"".join(b"s-%016d,c%d\n" % (n % 50, n % 3) for n in range(200)) + b",c9\n" + b"lost,c9\n"
FILES = {"patients.csv": PATIENTS, "stays.csv": STAYS, "events.csv": EVENTS}


def files() -> dict[str, bytes]:
    """Three small tables; those of a folder when one is named, for the pictures."""
    folder = os.environ.get("TERRAIN_PICTURES_OF")
    return {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir())} if folder else FILES


@pytest.fixture
def steward(site, settings, tmp_path):
    for name in ("SOURCES", "SCRATCH"):
        setattr(settings, name, tmp_path / name.lower())
    store = tmp_path / "keys"
    store.mkdir(mode=0o700)
    settings.KEY_STORE = str(store)
    zone = factories.zone()
    KeyStore().create("source", f"zone:{zone.pk}")
    person = factories.user("Claire Arnaud", organisation=zone.operator)
    grants.give(person, "zones.steward", zone, by=person)
    person.dataset = actions.create_dataset(
        zone, by=person, title="Dossiers de soins", summary="Un dossier par personne, ses venues et ses actes.",
        domains=["clinical"], is_personal=True,
    )  # fmt: skip
    return person


def gathered(person):
    """A version in preparation, a table a file."""
    kept = []
    for name, content in files().items():
        seal = sealing.Seal(person.dataset.zone, sealing.recipient_of(person.dataset.zone))
        seal.write(content)
        kept.append((seal.finish(name), Reading()))
    return actions.gather_files(person.dataset, by=person, files=kept)


def test_the_pages_of_several_tables_have_no_barrier(visit, steward, sign_in, axe, settings, tmp_path):
    pictures = Path(os.environ.get("TERRAIN_PICTURES", tmp_path))
    desk = sign_in(visit("/compte/login/"), steward)
    signed = desk.context.storage_state()
    dataset, settings.SOURCES_FOLDER = steward.dataset, tmp_path / "operator"

    def look(name, path):
        for width, scheme in (("desktop", "light"), ("phone", "light"), ("phone", "dark"), ("desktop", "dark")):
            page = visit("/", width=width, scheme=scheme)
            page.context.add_cookies(signed["cookies"])
            page.goto(path)
            page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)
            assert fits(page), (name, width)
            if (width, scheme) != ("desktop", "dark"):
                axe(page)

    for name in ("units.csv", "2026/lost.csv", "2026/waiting.csv"):
        (settings.SOURCES_FOLDER / dataset.zone.slug / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.SOURCES_FOLDER / dataset.zone.slug / name).write_bytes(f"code,{name[:-4]}\nkg,kilogramme\n".encode())
    tasks.list_places(dataset.zone_id)
    version = gathered(steward)
    look("placed", f"/jeux/{dataset.slug}/versions/sur-place/")
    chosen = [placing.Chosen("folder", ref, Reading()) for ref in ("units.csv", "2026/lost.csv", "2026/waiting.csv")]
    orders = placing.choose_files(dataset, by=steward, files=chosen)
    (settings.SOURCES_FOLDER / dataset.zone.slug / "2026/lost.csv").unlink()
    for order in orders[:2]:
        tasks.take_source(order.pk)
    look("gathering", version.get_absolute_url())
    tasks.take_source(orders[2].pk)
    look("upload", f"/jeux/{dataset.slug}/versions/nouvelle/")
    actions.receive_version(version, by=steward)
    tasks.profile_version(version.pk)
    look("version", version.get_absolute_url())
    look("roles", f"/jeux/{dataset.slug}/colonnes/?revue=1")
    look("dataset", dataset.get_absolute_url())
