"""Files that stay where the operator keeps them, in a folder or in S3: listed, chosen and read by the worker alone.

The S3 is a server process of its own (moto), spoken to over HTTP with the library that production uses.
"""

import gzip
import hashlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import obstore
import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from obstore.store import S3Store

from broker.errors import BadInput, WrongState
from tests.actors import signed_in
from tests.integration.test_parquet_sources import STAYS, written
from tests.integration.test_sources import dataset, empty, folders, on_disk, steward_of
from zones import actions, places, placing, sealing, sources, tasks
from zones.models import DatasetVersion, SourceOrder, VersionFile
from zones.reading import Reading

__all__ = ["dataset", "empty", "folders"]  # fixtures
pytestmark = pytest.mark.django_db
STAYS_CSV = b"patient_id,age\n" + b"1,40\n2,41\n" * 50
SECRET = "not-to-be-told-7f3a"


class InFolder:
    kind = VersionFile.Place.FOLDER

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True)

    def put(self, ref: str, content: bytes) -> None:
        (self.root / ref).parent.mkdir(parents=True, exist_ok=True)
        (self.root / ref).write_bytes(content)

    def remove(self, ref: str) -> None:
        (self.root / ref).unlink()


class InBucket:
    kind = VersionFile.Place.S3

    def __init__(self, endpoint: str, bucket: str, slug: str):
        request = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")  # noqa: S310  on this machine
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
        self.store = S3Store(
            bucket, prefix=slug, endpoint=endpoint, region="us-east-1", access_key_id="k", secret_access_key=SECRET,
            virtual_hosted_style_request=False, client_options={"allow_http": True},
        )  # fmt: skip

    def put(self, ref: str, content: bytes) -> None:
        obstore.put(self.store, ref, content)

    def remove(self, ref: str) -> None:
        obstore.delete(self.store, ref)


@pytest.fixture(scope="module")
def endpoint():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=2).close()
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None and time.monotonic() < until, "the S3 server of the tests does not start"
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture(params=["folder", "s3"])
def place(request, empty, settings, tmp_path):
    settings.SOURCES_FOLDER, settings.S3_BUCKET = None, ""
    if request.param == "folder":
        settings.SOURCES_FOLDER = tmp_path / "operator"
        return InFolder(settings.SOURCES_FOLDER / empty.zone.slug)
    settings.S3_ENDPOINT = request.getfixturevalue("endpoint")
    settings.S3_BUCKET = f"sources-{empty.pk}-{os.getpid()}"
    settings.S3_REGION, settings.S3_KEY, settings.S3_SECRET = "us-east-1", "k", SECRET
    return InBucket(settings.S3_ENDPOINT, settings.S3_BUCKET, empty.zone.slug)


def listed(dataset):
    tasks.list_places(dataset.zone_id)
    return {one["ref"]: one["size"] for listing in dataset.zone.listings.all() for one in listing.files}


def taken(dataset, place, ref, reading=None) -> SourceOrder:
    """The choice of `ref`, read by the worker."""
    [order] = several_taken(dataset, place, [ref], reading)
    return order


def several_taken(dataset, place, refs, reading=None, *, more=False) -> list[SourceOrder]:
    """The choice of these files, each read by the worker."""
    chosen = [placing.Chosen(place.kind, ref, reading or Reading()) for ref in refs]
    orders = placing.choose_files(dataset, by=steward_of(dataset.zone), files=chosen, more=more)
    for order in orders:
        tasks.take_source(order.pk)
        order.refresh_from_db()
    return orders


def version_of(dataset, place, ref) -> DatasetVersion:
    version = taken(dataset, place, ref).version
    assert version is not None
    return version


def test_a_file_is_listed_chosen_and_read_where_it_lies(empty, place, settings):
    content = gzip.compress(STAYS_CSV)
    place.put("2024/séjours à lire.csv.gz", content)
    place.put("stays.parquet", written(STAYS))
    place.put("notes.docx", b"PK\x03\x04")

    files = listed(empty)
    tasks.profile_version(version_of(empty, place, "2024/séjours à lire.csv.gz").pk)

    assert set(files) == {"2024/séjours à lire.csv.gz", "stays.parquet"}
    version = empty.versions.get()
    assert version.status == "profiled", version.problem
    file = version.only_file
    assert (file.place, file.place_ref, file.stored_as) == (place.kind, "2024/séjours à lire.csv.gz", "")
    assert version.sha256 == hashlib.sha256(content).hexdigest()
    assert version.rows == 100 and version.size == len(content) == files["2024/séjours à lire.csv.gz"]
    assert on_disk(settings.SOURCES) == [] and on_disk(settings.SCRATCH) == [], "nothing is copied"


def test_a_parquet_file_is_read_where_it_lies(empty, place):
    place.put("stays.parquet", written(STAYS))
    listed(empty)

    tasks.profile_version(version_of(empty, place, "stays.parquet").pk)

    version = empty.versions.get()
    assert (version.status, version.rows, version.only_file.format) == ("profiled", 90, "parquet")


def test_a_source_that_changed_after_its_version_is_refused_with_its_mend(empty, place):
    place.put("stays.csv", STAYS_CSV)
    listed(empty)
    version = version_of(empty, place, "stays.csv")
    assert b"".join(sources.open_source(version)) == STAYS_CSV

    place.put("stays.csv", STAYS_CSV.replace(b"40", b"39"))

    with pytest.raises(BadInput, match=r"La source a changé : « stays\.csv »"):
        list(sources.open_source(version))


def test_a_source_that_is_gone_is_refused_with_its_mend(empty, place):
    place.put("stays.csv", STAYS_CSV)
    listed(empty)
    version = version_of(empty, place, "stays.csv")

    place.remove("stays.csv")

    with pytest.raises(BadInput, match="n'est plus là où l'opérateur le tenait"):
        list(sources.open_source(version))


def test_a_file_that_changed_since_the_list_is_not_taken(empty, place, settings):
    place.put("stays.csv", STAYS_CSV)
    listed(empty)
    place.put("stays.csv", STAYS_CSV + b"3,42\n")

    order = taken(empty, place, "stays.csv")

    assert "La source a changé" in order.problem and not empty.versions.exists()


def test_a_name_that_no_list_gave_is_not_read(empty, place):
    place.put("stays.csv", STAYS_CSV)
    listed(empty)

    with pytest.raises(BadInput, match="n'est pas dans la liste"):
        taken(empty, place, "../stays.csv")


def test_the_same_bytes_are_not_taken_twice(empty, place):
    place.put("stays.csv", STAYS_CSV)
    place.put("again.csv", STAYS_CSV)
    listed(empty)
    taken(empty, place, "stays.csv")

    order = taken(empty, place, "again.csv")

    assert "déjà la version 1" in order.problem


@pytest.mark.parametrize(
    "ref",
    ["../x.csv", "/etc/passwd", "a/../../x.csv", "./x.csv", "a//x.csv", "", "x\0.csv", "a/b/c/d/e.csv", "x\n.csv"],
)
def test_an_address_that_leaves_the_place_opens_nothing(empty, place, ref):
    place.put("x.csv", STAYS_CSV)
    here = places.of_zone(empty.zone, place.kind)

    with pytest.raises(BadInput, match="n'est pas celle d'un fichier de la zone"):
        here.look(ref)


# The folder


@pytest.fixture
def folder(empty, settings, tmp_path):
    settings.SOURCES_FOLDER, settings.S3_BUCKET = tmp_path / "operator", ""
    return InFolder(settings.SOURCES_FOLDER / empty.zone.slug)


def test_links_pipes_and_devices_are_neither_listed_nor_opened(empty, folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(STAYS_CSV)
    (folder.root / "link.csv").symlink_to(outside / "secret.csv")
    (folder.root / "linked").symlink_to(outside)
    os.mkfifo(folder.root / "pipe.csv")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder.root / "s.csv"))
    folder.put("good.csv", STAYS_CSV)

    assert set(listed(empty)) == {"good.csv"}
    here = places.of_zone(empty.zone, "folder")
    for ref in ("link.csv", "linked/secret.csv", "pipe.csv", "s.csv"):
        with pytest.raises(BadInput, match="un lien, un tube ou un périphérique"):
            here.look(ref)
    listener.close()


def test_a_file_replaced_by_a_link_between_list_and_reading_is_refused(empty, folder, tmp_path):
    folder.put("stays.csv", STAYS_CSV)
    listed(empty)
    folder.remove("stays.csv")
    (folder.root / "stays.csv").symlink_to("/etc/passwd")

    order = taken(empty, folder, "stays.csv")

    assert "un lien, un tube ou un périphérique" in order.problem


def test_a_zone_whose_folder_is_a_link_has_nothing(empty, settings, tmp_path):
    settings.SOURCES_FOLDER, settings.S3_BUCKET = tmp_path / "operator", ""
    settings.SOURCES_FOLDER.mkdir()
    (settings.SOURCES_FOLDER / empty.zone.slug).symlink_to("/etc")

    assert listed(empty) == {}
    with pytest.raises(BadInput):
        places.of_zone(empty.zone, "folder").look("passwd")


def test_a_file_that_changes_while_it_is_read_is_refused(empty, folder):
    folder.put("stays.csv", STAYS_CSV * 40_000)
    listed(empty)
    here = places.of_zone(empty.zone, "folder")
    pieces = here.open("stays.csv", mark=here.look("stays.csv").mark)
    next(pieces)

    with (folder.root / "stays.csv").open("ab") as file:
        file.write(b"3,42\n")

    with pytest.raises(BadInput, match="La source a changé"):
        list(pieces)


def test_other_bytes_of_the_same_size_and_time_are_found_by_their_fingerprint(empty, folder):
    folder.put("stays.csv", STAYS_CSV)
    listed(empty)
    version = version_of(empty, folder, "stays.csv")
    path = folder.root / "stays.csv"
    before = path.stat()
    with path.open("r+b") as file:
        file.write(STAYS_CSV.replace(b"40", b"39"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(BadInput, match="La source a changé"):
        list(sources.open_source(version))


def test_the_mark_of_a_file_and_the_answer_to_a_choice_never_change(empty, folder):
    folder.put("stays.csv", STAYS_CSV)
    listed(empty)
    version = version_of(empty, folder, "stays.csv")

    with pytest.raises(IntegrityError, match="version_file_mark_kept"), transaction.atomic():
        version.files.update(place_mark="other")
    with pytest.raises(IntegrityError, match="source_order_told_once"), transaction.atomic():
        SourceOrder.objects.filter(file__version=version).update(file=None, problem="no")


# Several tables


PATIENTS = b"Id,BIRTHDATE,GENDER\n" + b"".join(b"p-%016d,19%02d-01-02,M\n" % (n, n) for n in range(40))
VISITS = b"Id,PATIENT,COST\n" + b"".join(b"s-%016d,p-%016d,%d\n" % (n, n % 30, n) for n in range(90))
NOTES = b"".join(b'{"VISIT":"s-%016d","CODE":"c%d"}\n' % (n % 50, n % 3) for n in range(200))


def as_parquet(content: bytes) -> bytes:
    """The same rows as a Parquet file, every column a text."""
    header, *rows = [line.split(",") for line in content.decode().splitlines()]
    return written(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))


def test_files_of_three_formats_in_a_place_are_tables_of_one_version(empty, place, settings):
    place.put("2026/patients.csv.gz", gzip.compress(PATIENTS, mtime=0))
    place.put("2026/visits.parquet", as_parquet(VISITS))
    place.put("2026/notes.ndjson", NOTES)
    listed(empty)

    several_taken(empty, place, ["2026/patients.csv.gz", "2026/visits.parquet"])
    several_taken(empty, place, ["2026/notes.ndjson"], Reading(format="ndjson"))
    draft = empty.versions.get()
    assert (draft.status, draft.files.count()) == ("draft", 3)
    actions.receive_version(draft, by=steward_of(empty.zone))
    tasks.profile_version(draft.pk)

    version = empty.versions.get()
    assert version.status == "profiled", version.problem
    files = {file.table.name: file for file in version.files.select_related("table")}
    assert {name: (one.format, one.rows, one.place) for name, one in files.items()} == {
        "patients": ("csv", 40, place.kind), "visits": ("parquet", 90, place.kind),
        "notes": ("ndjson", 200, place.kind),
    }  # fmt: skip
    assert files["patients"].sha256 == hashlib.sha256(gzip.compress(PATIENTS, mtime=0)).hexdigest()
    keys = {c.path: c.profile["link"]["of"] for c in empty.columns.all() if "link" in c.profile}
    assert keys == {"visits.PATIENT": ["patients", "Id"], "notes.VISIT": ["visits", "Id"]}
    assert on_disk(settings.SOURCES) == [] and on_disk(settings.SCRATCH) == [], "nothing is copied"


def test_a_table_that_changes_once_the_version_is_examined_stops_every_reading_of_it(empty, place):
    place.put("patients.csv", PATIENTS)
    place.put("visits.csv", VISITS)
    listed(empty)
    several_taken(empty, place, ["patients.csv", "visits.csv"])
    version = actions.receive_version(empty.versions.get(), by=steward_of(empty.zone))
    tasks.profile_version(version.pk)
    version.refresh_from_db()

    place.put("visits.csv", VISITS + b"s-1,p-1,1\n")

    with pytest.raises(BadInput, match=r"La source a changé : « visits\.csv »"), sources.clear_copies(version):
        pass


def test_an_uploaded_table_and_one_of_the_operator_are_one_version(empty, folder):
    steward = steward_of(empty.zone)
    seal = sealing.Seal(empty.zone, sealing.recipient_of(empty.zone))
    seal.write(PATIENTS)
    draft = actions.gather_files(empty, by=steward, files=[(seal.finish("patients.csv"), Reading())])
    folder.put("visits.csv", VISITS)
    listed(empty)

    order = taken(empty, folder, "visits.csv")
    actions.receive_version(draft, by=steward)
    tasks.profile_version(draft.pk)

    draft.refresh_from_db()
    assert order.version == draft and draft.status == "profiled", draft.problem
    assert {file.table.name: file.place for file in draft.files.select_related("table")} == {
        "patients": "upload", "visits": "folder",
    }  # fmt: skip
    with sources.clear_copies(draft) as copies:
        assert {name: path.read_bytes() for name, path in copies.items()} == {"patients": PATIENTS, "visits": VISITS}


def test_two_files_of_one_table_name_are_told_apart(empty, folder):
    folder.put("2025/visits.csv", VISITS)
    folder.put("2026/visits.csv", PATIENTS)
    listed(empty)

    first, second = several_taken(empty, folder, ["2025/visits.csv", "2026/visits.csv"])

    assert first.version == empty.versions.get() and second.version is None
    assert "remplit déjà" in second.problem


def test_resources_of_fhir_in_a_place_are_tables_of_their_type(empty, folder):
    folder.put("a.ndjson", b'{"resourceType":"Patient","id":"p1","gender":"female"}\n')
    folder.put("b.ndjson", b'{"resourceType":"Encounter","id":"e1","subject":{"reference":"Patient/p1"}}\n')
    listed(empty)

    several_taken(empty, folder, ["a.ndjson", "b.ndjson"], Reading(format="ndjson"))

    files = empty.versions.get().files.select_related("table")
    assert {(one.table.name, one.format) for one in files} == {("Patient", "fhir"), ("Encounter", "fhir")}


def test_a_version_waits_for_the_files_that_were_chosen_for_it(empty, folder):
    folder.put("patients.csv", PATIENTS)
    folder.put("visits.csv", VISITS)
    listed(empty)
    steward = steward_of(empty.zone)
    taken_first = several_taken(empty, folder, ["patients.csv"], more=True)[0]
    chosen = [placing.Chosen("folder", "visits.csv", Reading())]
    [order] = placing.choose_files(empty, by=steward, files=chosen)

    with pytest.raises(BadInput, match=r"lit encore visits\.csv"):
        actions.receive_version(taken_first.version, by=steward)
    with pytest.raises(IntegrityError, match="version_has_its_orders"), transaction.atomic():
        empty.versions.update(status="received", sha256=taken_first.version.files.get().sha256, size=len(PATIENTS))
    with pytest.raises(WrongState, match="déjà en train d'être lu"):
        placing.choose_files(empty, by=steward, files=chosen)
    tasks.take_source(order.pk)

    assert actions.receive_version(taken_first.version, by=steward).files.count() == 2


def test_a_choice_joins_no_version_but_one_in_preparation(empty, folder):
    folder.put("patients.csv", PATIENTS)
    listed(empty)
    version = version_of(empty, folder, "patients.csv")

    with pytest.raises(IntegrityError, match="source_order_joins_a_draft"), transaction.atomic():
        SourceOrder.objects.create(
            dataset=empty, into=version, place="folder", ref="visits.csv", size=1, mark="m",
            asked_by=steward_of(empty.zone),
        )  # fmt: skip


def test_a_version_given_up_takes_its_choices_along(empty, folder):
    folder.put("patients.csv", PATIENTS)
    folder.put("visits.csv", VISITS)
    listed(empty)
    steward = steward_of(empty.zone)
    done = several_taken(empty, folder, ["patients.csv"], more=True)[0]
    [order] = placing.choose_files(empty, by=steward, files=[placing.Chosen("folder", "visits.csv", Reading())])

    actions.drop_draft(done.version, by=steward)
    tasks.take_source(order.pk)

    assert not empty.versions.exists() and not empty.source_orders.exists() and not empty.tables.exists()


def test_a_file_taken_back_may_be_chosen_again(empty, folder):
    folder.put("patients.csv", PATIENTS)
    listed(empty)
    done = several_taken(empty, folder, ["patients.csv"], more=True)[0]

    actions.take_back_file(done.file, by=steward_of(empty.zone))
    again = several_taken(empty, folder, ["patients.csv"], more=True)[0]

    assert again.version.files.count() == 1 and empty.source_orders.count() == 1


# S3 that does not answer


def test_a_bucket_that_does_not_answer_is_told_without_its_secret(empty, settings, caplog):
    settings.SOURCES_FOLDER, settings.S3_BUCKET = None, "nobody"
    settings.S3_ENDPOINT, settings.S3_KEY, settings.S3_SECRET = "http://127.0.0.1:9", "key-of-nobody", SECRET

    tasks.list_places(empty.zone_id)

    listing = empty.zone.listings.get()
    assert "Le stockage S3 ne répond pas" in listing.problem
    told = caplog.text + listing.problem
    assert SECRET not in told and "key-of-nobody" not in told


# The page


def test_the_steward_asks_for_the_list_chooses_a_file_and_sees_what_came_of_it(empty, folder):
    folder.put("stays.csv", STAYS_CSV)
    client = signed_in(steward_of(empty.zone))
    page = reverse("placed-files", args=[empty.slug])
    assert "n’a encore rien listé" in client.get(page).content.decode()

    client.post(page, {"act": "list"})
    tasks.list_places(empty.zone_id)
    shown = client.get(page).content.decode()
    options = {
        "format": "csv",
        "encoding": "utf-8",
        "delimiter": "comma",
        "header": "yes",
        "missing": "",
        "decimal": ".",
    }
    nothing = client.post(page, options)
    chosen = client.post(page, {**options, "file": "folder:stays.csv"})
    waiting = client.get(page).content.decode()
    tasks.take_source(empty.source_orders.get().pk)
    told = client.get(page).content.decode()

    assert "stays.csv" in shown and 'value="folder:stays.csv"' in shown
    assert nothing.status_code == 422 and "Choisissez un fichier" in nothing.content.decode()
    assert chosen.status_code == 302
    assert "en attente du poste de la zone" in waiting
    assert empty.versions.get().get_absolute_url() in told


def test_several_files_chosen_on_the_page_are_tables_of_a_version_in_preparation(empty, folder):
    folder.put("patients.csv", PATIENTS)
    folder.put("visits.csv", VISITS)
    listed(empty)
    client, page = signed_in(steward_of(empty.zone)), reverse("placed-files", args=[empty.slug])
    options = {"format": "csv", "encoding": "utf-8", "delimiter": "comma", "header": "yes", "decimal": "."}

    answer = client.post(page, {**options, "file": ["folder:patients.csv", "folder:visits.csv"]})
    draft = empty.versions.get()
    waiting = client.get(draft.get_absolute_url()).content.decode()
    asked = client.get(draft.get_absolute_url(), headers={"HX-Request": "true"})
    for order in empty.source_orders.order_by("pk"):
        tasks.take_source(order.pk)
    told = client.get(draft.get_absolute_url(), headers={"HX-Request": "true"})
    there = client.get(draft.get_absolute_url()).content.decode()

    assert (answer.status_code, answer.url) == (302, draft.get_absolute_url())
    assert waiting.count("en cours de lecture par le poste de la zone") == 2 and "Aucun fichier" not in waiting
    assert (asked.status_code, asked.headers.get("HX-Refresh")) == (204, None)
    assert told.headers["HX-Refresh"] == "true"
    assert "Examiner les 2 tables" in there and "en cours de lecture" not in there
    assert f"version {draft.number}, en préparation" in client.get(page).content.decode()
