"""A source, from the browser to its profile: sealed as it arrives, opened by the worker alone."""

import gzip
import hashlib
import json
import stat
from pathlib import Path

import pyrage
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse

from broker.accounts import grants
from broker.errors import BadInput
from broker.keys.store import KeyStore
from tests import factories
from tests.actors import signed_in
from zones import actions, sealing, sources, tasks
from zones.models import Table
from zones.reading import Limits, Reading

pytestmark = pytest.mark.django_db

STAYS = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "data" / "diabetic_data.csv.gz"
TRAFFIC = STAYS.with_name("Metro_Interstate_Traffic_Volume.csv.gz")
MARK = b"patient-in-clear-7f3a"
OPTIONS = {"format": "csv", "encoding": "utf-8", "delimiter": "comma", "header": "yes", "missing": "?", "decimal": "."}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    for name in ("SOURCES", "SCRATCH"):
        setattr(settings, name, tmp_path / name.lower())
    store = tmp_path / "keys"
    store.mkdir(mode=0o700)
    settings.KEY_STORE = str(store)
    return tmp_path


@pytest.fixture
def dataset():
    zone = factories.zone()
    KeyStore().create("source", f"zone:{zone.pk}")
    return factories.dataset(zone, columns=[], status="draft")


@pytest.fixture
def empty(dataset):
    """A draft without any version yet."""
    return actions.create_dataset(
        dataset.zone, by=steward_of(dataset.zone), title="Séjours", summary="s", domains=["clinical"], is_personal=True
    )


def steward_of(zone):
    person = factories.user(organisation=zone.operator)
    grants.give(person, "zones.steward", zone, by=person)
    return person


def upload(client, dataset, content, name="stays.csv", **options):
    return client.post(
        reverse("version-upload", args=[dataset.slug]),
        {**OPTIONS, **options, "file": SimpleUploadedFile(name, content)},
    )


def on_disk(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def sealed(dataset, content, reading=None, by=None):
    """A version whose source is `content`, as the upload makes it, without the worker's job."""
    seal = sealing.Seal(dataset.zone, sealing.recipient_of(dataset.zone))
    seal.write(content)
    return actions.add_version(
        dataset, by=by or steward_of(dataset.zone), sealed=seal.finish("stays.csv"), reading=reading or Reading()
    )


# Sealed as it arrives


def test_an_upload_is_sealed_to_the_zone_and_never_lies_clear(empty, folders, settings):
    client = signed_in(steward_of(empty.zone))
    content = b"a,b\n" + b"%s,1\n" % MARK * 50_000

    answer = upload(client, empty, content)

    version = empty.versions.get()
    assert answer.status_code == 302 and answer.url == version.get_absolute_url()
    assert (version.sha256, version.size) == (hashlib.sha256(content).hexdigest(), len(content))
    files = [f for f in on_disk(folders) if f.suffix != ".key"]
    assert files == [settings.SOURCES / version.stored_as]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.SOURCES.stat().st_mode) == 0o700
    assert MARK not in files[0].read_bytes()
    identity = KeyStore().open("source", f"zone:{empty.zone_id}").decode()
    assert pyrage.decrypt(files[0].read_bytes(), [pyrage.x25519.Identity.from_str(identity)]) == content
    assert b"".join(sources.open_source(version)) == content


def test_the_reading_options_are_kept_and_the_profile_is_asked_for(empty):
    client = signed_in(steward_of(empty.zone))

    upload(client, empty, b"a;b\n1;2\n", delimiter="semicolon", missing="? NA", encoding="cp1252")

    version = empty.versions.get()
    assert version.reading["delimiter"] == ";"
    assert version.reading["missing"] == ["?", "NA"]
    assert version.reading["encoding"] == "cp1252"
    with connection.cursor() as cursor:
        cursor.execute("SELECT args->>'version_id', lock FROM procrastinate_jobs WHERE queue_name = 'builds'")
        assert cursor.fetchall() == [(str(version.pk), "builds")]


REFUSED = [
    ("stays.xlsx", b"PK\x03\x04", {}, "n&#x27;est pas un fichier lisible ici"),
    ("stays.csv", b"", {}, "Le fichier est vide"),
    ("stays.csv", b"a,b\n1,2\n", {"encoding": "ebcdic"}, "Sélectionnez un choix valide"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), REFUSED, ids=[r[3] for r in REFUSED])
def test_a_bad_upload_comes_back_with_its_mend_and_leaves_nothing(
    client, empty, folders, name, content, options, message
):
    client = signed_in(steward_of(empty.zone))

    answer = upload(client, empty, content, name, **options)

    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert not empty.versions.exists()
    assert [f for f in on_disk(folders) if f.suffix != ".key"] == []


def test_a_request_that_is_too_large_is_refused_before_its_file_is_read(empty, folders, settings):
    settings.SOURCE_MAX_BYTES = 1000
    client = signed_in(steward_of(empty.zone))

    answer = upload(client, empty, b"x" * 100_000)

    assert answer.status_code == 422
    assert "1 000 octets" in answer.content.decode()
    assert [f for f in on_disk(folders) if f.suffix != ".key"] == []


def test_a_file_over_the_limit_stops_while_it_arrives(empty, folders, settings):
    settings.SOURCE_MAX_BYTES = 70_000
    client = signed_in(steward_of(empty.zone))

    answer = upload(client, empty, b"x" * 100_000)

    assert answer.status_code == 422
    assert "70 000 octets" in answer.content.decode()
    assert [f for f in on_disk(folders) if f.suffix != ".key"] == []


def test_without_a_csrf_token_nothing_is_kept(empty, folders):
    from django.test import Client

    guarded = Client(enforce_csrf_checks=True)
    guarded.cookies = signed_in(steward_of(empty.zone)).cookies

    answer = upload(guarded, empty, b"a,b\n1,2\n")

    assert answer.status_code == 403
    assert [f for f in on_disk(folders) if f.suffix != ".key"] == []


def test_without_the_zone_s_key_the_page_says_to_wait():
    young = factories.dataset(columns=[], status="draft")
    client = signed_in(steward_of(young.zone))

    answer = client.get(reverse("version-upload", args=[young.slug]))

    assert answer.status_code == 409
    assert "pas encore prête" in answer.content.decode()


def test_whoever_has_no_role_sends_nothing(empty, folders):
    client = signed_in(factories.user(organisation=empty.zone.operator))

    answer = upload(client, empty, b"a,b\n1,2\n")

    assert answer.status_code == 403
    assert [f for f in on_disk(folders) if f.suffix != ".key"] == []


def test_a_disk_that_refuses_leaves_nothing_and_says_so(empty, folders, monkeypatch):
    client = signed_in(steward_of(empty.zone))
    monkeypatch.setattr(sealing.Seal, "write", lambda self, piece: (_ for _ in ()).throw(OSError(28, "No space left")))

    answer = upload(client, empty, b"a,b\n1,2\n")

    assert answer.status_code == 422
    assert "disque des sources" in answer.content.decode()
    assert [f for f in on_disk(folders) if f.suffix != ".key"] == []


def test_the_same_file_twice_is_one_version(empty, folders):
    client = signed_in(steward_of(empty.zone))
    upload(client, empty, b"a,b\n1,2\n")

    answer = upload(client, empty, b"a,b\n1,2\n")

    assert answer.status_code == 422
    assert "déjà la version 1" in answer.content.decode()
    assert len([f for f in on_disk(folders) if f.suffix == ".age"]) == 1


def test_what_a_killed_web_process_left_goes_after_a_day(empty, settings):
    seal = sealing.Seal(empty.zone, sealing.recipient_of(empty.zone))
    seal.write(b"a,b")

    sealing.remove_stale()
    assert seal.partial.exists(), "an upload may be under way"
    sealing.remove_stale(older_than=-1)

    assert not seal.partial.exists()
    seal.abandon()


# Opened by the worker


def test_a_clear_copy_goes_whatever_happens(empty, settings):
    version = sealed(empty, b"a;b\n1;?\n", Reading(delimiter=";", missing=("?",)))

    with pytest.raises(ZeroDivisionError), sources.clear_copy(version) as path:
        assert path.read_text() == "a,b\n1,?\n"
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        raise ZeroDivisionError

    assert on_disk(settings.SCRATCH) == []


def test_what_a_killed_worker_left_is_cleared(empty, settings):
    version = sealed(empty, b"a,b\n1,2\n")
    copy = sources.clear_copy(version)
    left = copy.__enter__()

    sources.clear_scratch()

    assert not left.exists()
    with pytest.raises(FileNotFoundError):
        copy.__exit__(None, None, None)


def test_a_source_that_was_swapped_is_not_read(empty, settings):
    version = sealed(empty, b"a,b\n1,2\n")
    other = sealed(empty, b"a,b\n3,4\n")
    sources.path_of(other).replace(sources.path_of(version))

    with pytest.raises(Exception, match="empreinte"), sources.clear_copy(version):
        pass

    assert on_disk(settings.SCRATCH) == []


def test_a_damaged_source_says_to_send_it_again(empty):
    version = sealed(empty, b"a,b\n1,2\n" * 100_000)
    path = sources.path_of(version)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(Exception, match="abîmée"), sources.clear_copy(version):
        pass


def test_a_plain_source_is_copied_and_another_is_written_anew(empty):
    plain = sealed(empty, b'a,b\r\n"1",2\r\n', Reading(blank_lines=0))
    other = sealed(empty, b'a,b\r\n\r\n"1",2\r\n')

    with sources.clear_copy(plain) as path:
        assert path.read_bytes() == b'a,b\r\n"1",2\r\n'
    with sources.clear_copy(other) as path:
        assert path.read_bytes() == b"a,b\n1,2\n"


# Profiled


def profiled(version):
    tasks.profile_version(version.pk)
    version.refresh_from_db()
    return version


def test_the_real_stays_are_profiled_with_their_dirt(empty, settings):
    version = profiled(sealed(empty, STAYS.read_bytes(), Reading(missing=("?",))))

    assert (version.status, version.rows) == ("profiled", 101_766)
    seen = {c.name: c for c in empty.columns.all()}
    assert len(seen) == 50
    missing = {name: c.profile["missing"] for name, c in seen.items() if c.profile["missing"]}
    assert missing == {
        "weight": 98_569, "medical_specialty": 49_949, "payer_code": 40_256, "race": 2_273, "diag_3": 1_423,
        "diag_2": 358, "diag_1": 21,
    }  # fmt: skip
    assert seen["patient_nbr"].profile["distinct"] == 71_518
    assert seen["max_glu_serum"].profile["missing"] == 0, "None is a value"
    assert [seen[n].suggested_role for n in ("encounter_id", "patient_nbr", "race", "gender", "age")] == [
        "direct_identifier", "subject_key", "sensitive", "quasi_identifier", "quasi_identifier",
    ]  # fmt: skip
    assert seen["race"].sensitive_class == "origin"
    assert all(c.suggested_because for c in seen.values() if c.suggested_role)
    assert all(c.role == "" for c in seen.values()), "a suggestion confirms nothing"
    assert on_disk(settings.SCRATCH) == []


def test_no_value_of_fewer_than_five_rows_is_shown(empty):
    rare = b"age,town,note\n" + b"40,A,x\n" * 30 + b"97,Hameau,y\n" * 4 + b"41,B,z\n" * 5
    version = profiled(sealed(empty, rare))

    shown = json.dumps([c.profile for c in version.dataset.columns.all()])

    assert "Hameau" not in shown
    assert "97" not in shown
    assert '"B"' in shown


def test_identifiers_show_no_value_at_all(empty):
    rows = "".join(f"{1000 + n // 6},{n % 3}\n" for n in range(600))
    version = profiled(sealed(empty, b"patient_id,n\n" + rows.encode()))

    column = version.dataset.columns.get(name="patient_id")

    assert column.suggested_role == "subject_key"
    assert not {"top", "shape", "histogram"} & set(column.profile)


def test_data_about_no_person_show_their_extremes(empty):
    traffic = actions.create_dataset(
        empty.zone, by=steward_of(empty.zone), title="Trafic", summary="s", domains=["road_infrastructure"],
        is_personal=False,
    )  # fmt: skip
    version = profiled(sealed(traffic, TRAFFIC.read_bytes()))

    seen = {c.name: c for c in traffic.columns.all()}
    assert version.rows == 48_204
    assert seen["date_time"].suggested_role == "timestamp"
    assert (seen["date_time"].profile["from"], seen["date_time"].profile["to"]) == ("2012-10", "2018-09")
    assert seen["traffic_volume"].profile["shape"]["max"] == 7280
    assert seen["holiday"].profile["missing"] == 0


BAD = [
    (b"a,b\n1,2\n1\n", "Ligne 3"),
    (gzip.compress(b"a,b\n1,2\n" * 1000)[:-20], "incomplet"),
    ("a,b\n1,é\n".encode("latin-1"), "Ligne 2, colonne 3"),
    (b"a,a\n1,2\n", "même nom"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[m for _, m in BAD])
def test_a_file_that_cannot_be_read_is_refused_and_the_log_says_so(empty, content, message):
    version = profiled(sealed(empty, content))

    assert version.status == "refused"
    assert message in version.problem
    assert not empty.columns.exists()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payload::json->>'act' FROM audit_event "
            "WHERE payload::json->>'act' NOT LIKE 'key.%' ORDER BY id DESC LIMIT 3"
        )
        assert [row[0] for row in cursor.fetchall()] == ["version.refuse", "data.profile", "version.receive"]
    client = signed_in(steward_of(empty.zone))
    page = client.get(version.get_absolute_url())
    assert "Ce fichier ne peut pas être lu ainsi" in page.content.decode()


def test_a_worker_killed_on_the_way_starts_over(empty):
    version = sealed(empty, b"a,b\n1,2\n3,4\n")
    actions.begin_profile(version)

    assert profiled(version).status == "profiled"
    tasks.profile_version(version.pk)  # once more changes nothing

    version.refresh_from_db()
    assert version.rows == 2


def test_a_new_version_keeps_the_confirmed_columns_or_is_refused(empty):
    steward = steward_of(empty.zone)
    profiled(sealed(empty, b"a,b\n1,2\n"))
    actions.set_column_roles(empty, by=steward, roles={n: actions.ChosenRole("measure") for n in "ab"})

    same = profiled(sealed(empty, b"b,a\n5,6\n7,8\n"))
    other = profiled(sealed(empty, b"a,c\n5,6\n"))

    assert (same.status, other.status) == ("profiled", "refused")
    assert "absentes : b" in other.problem and "nouvelles : c" in other.problem
    assert list(empty.columns.values_list("name", "role")) == [("b", "measure"), ("a", "measure")]


def test_a_moment_that_is_not_read_as_dates_is_refused_with_its_mend(empty):
    steward = steward_of(empty.zone)
    profiled(sealed(empty, b"patient_id,admis,sortie\n" + b"1,03/04/2023,\n2,05/06/2023,\n" * 30))
    roles = {"patient_id": "subject_key", "admis": "timestamp", "sortie": "timestamp"}
    chosen = {name: actions.ChosenRole(role) for name, role in roles.items()}

    with pytest.raises(BadInput, match="« admis » : ses valeurs ne sont pas lues comme des dates"):
        actions.set_column_roles(empty, by=steward, roles=chosen)

    reread = actions.reread_version(empty.versions.get(), by=steward, reading=Reading(dates={"admis": "dmy"}))
    profiled(reread)
    actions.set_column_roles(empty, by=steward, roles=chosen)
    assert [(c.type, c.role) for c in empty.columns.order_by("position")][1:] == [
        ("date", "timestamp"), ("empty", "timestamp"),
    ]  # fmt: skip


def test_the_roles_of_a_version_are_those_of_the_next_and_what_it_suggests_stands_beside(empty):
    steward = steward_of(empty.zone)
    profiled(sealed(empty, "".join(["badge,ville\n", *(f"{n % 60},V{n % 4}\n" for n in range(300))]).encode()))
    chosen = {
        "badge": actions.ChosenRole("subject_key", description="numéro de badge"),
        "ville": actions.ChosenRole("quasi_identifier", description="là où la personne habite"),
    }
    actions.set_column_roles(empty, by=steward, roles=chosen)

    rows = "".join(["badge,ville\n", *(f"{n % 50},{'Lyon' if n % 50 < 2 else 'Gap'}\n" for n in range(200))])
    profiled(sealed(empty, rows.encode(), by=steward))

    badge, town = empty.columns.order_by("position")
    assert (badge.role, town.role, badge.confirmed_by, town.description) == (
        "subject_key", "quasi_identifier", steward, "là où la personne habite",
    )  # fmt: skip
    assert (badge.suggested_role, town.suggested_role) == ("measure", "geo")
    assert town.profile["classes"] == {
        "by": "subject", "subjects": 50, "k": 2, "under": 2, "without": 0, "together": {"k": 2, "under": 2},
    }  # fmt: skip
    page = signed_in(steward).get(reverse("column-roles", args=[empty.slug])).content.decode()
    assert page.count("confirmé</span>") == 2 and "suggéré : lieu" in page


def test_the_page_of_a_version_says_by_what_a_person_could_be_known(empty):
    people = [f"{n},{['F', 'M'][n % 2]},{20 + n % 7},{n % 40 // 2}\n" for n in range(80)]
    version = profiled(sealed(empty, "".join(["patient_nbr,gender,age,zip\n", *people * 2]).encode()))
    page = signed_in(steward_of(empty.zone)).get(version.get_absolute_url()).content.decode()

    assert "Toutes ensemble (gender, age, zip), telles que lues : plus petit groupe de personnes, 1" in page
    assert "La colonne qui coûte le plus : zip" in page
    assert page.count('class="meter"') >= 2 * 4 + 2 * 3


def test_a_process_that_dies_is_an_error_not_a_profile(empty):
    with pytest.raises(RuntimeError, match="profile ended"):
        tasks.run_apart({"relation": "nowhere", "scratch": "/tmp", "memory": 64, "decimal": ".", "personal": True})  # noqa: S108


def test_a_profile_that_runs_out_of_memory_refuses_the_version_and_says_why(empty, monkeypatch, settings):
    monkeypatch.setattr(tasks, "MEMORY", 1)

    version = profiled(sealed(empty, b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7) for n in range(50_000))))

    assert version.status == "refused"
    assert "mémoire" in version.problem
    assert on_disk(settings.SCRATCH) == []


def test_limits_stop_a_swelling_source(empty):
    version = sealed(empty, gzip.compress(b"a,b\n" + b"1,2\n" * 500_000))

    with pytest.raises(Exception, match="gonfle"):
        with sources.clear_copy(version, limits=Limits(ratio=20, ratio_from=100_000)):
            pass


# The pages


def test_from_the_file_to_the_catalogue_through_the_pages(empty):
    zone = empty.zone
    steward = steward_of(zone)
    client = signed_in(steward)
    upload(client, empty, b"patient_id,age,city\n" + b"1,40,Rouen\n2,41,Rouen\n1,40,Rouen\n" * 30)
    version = empty.versions.get()
    assert 'hx-trigger="every 1s"' in client.get(version.get_absolute_url()).content.decode()
    profiled(version)
    assert client.get(version.get_absolute_url(), headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert client.get(reverse("dataset-publish", args=[empty.slug])).status_code == 200
    assert client.post(reverse("dataset-publish", args=[empty.slug])).status_code == 409

    roles = reverse("column-roles", args=[empty.slug])
    assert client.post(roles, {"act": "suggested", "role:patient_id": "subject_key"}).status_code == 302
    assert dict(empty.columns.values_list("name", "role")) == {
        "patient_id": "subject_key", "age": "quasi_identifier", "city": "geo",
    }  # fmt: skip
    assert client.post(reverse("dataset-publish", args=[empty.slug])).status_code == 302

    client.logout()
    shown = client.get(reverse("catalogue"), {"q": "SEJOURS"}).content.decode()
    assert empty.title in shown
    assert client.get(empty.get_absolute_url()).status_code == 200
    found = client.get(reverse("api-catalogue"), {"q": "séjours", "personal": "yes"}).json()
    assert [entry["slug"] for entry in found["results"]] == [empty.slug]
    assert client.get(reverse("api-catalogue"), {"q": "trafic"}).json()["count"] == 0


def test_the_public_page_shows_no_value_of_a_column(client):
    dataset = factories.dataset()
    dataset.columns.filter(name="age").update(profile={"top": [["[70-80)", 26068]], "missing": 3, "distinct": 10})

    page = client.get(dataset.get_absolute_url()).content.decode()

    assert "[70-80)" not in page
    assert "quasi-identifiant" in page


@pytest.mark.parametrize("route", ["catalogue", "zone-list", "api-catalogue"])
def test_a_list_asks_as_many_questions_for_three_as_for_thirty(client, django_assert_num_queries, route):
    from django.test.utils import CaptureQueriesContext

    def count():
        client.get(reverse(route))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse(route)).status_code == 200
        return len(queries)

    for _ in range(2):
        factories.dataset()
    few = count()
    for _ in range(10):
        factories.dataset()

    assert count() == few


def test_suggestions_are_reviewed_before_they_are_accepted_and_undone_one_by_one(empty):
    client = signed_in(steward_of(empty.zone))
    profiled(sealed(empty, b"patient_id,age,city\n" + b"1,40,Rouen\n2,41,Rouen\n1,40,Rouen\n" * 30))
    empty.columns.filter(name="patient_id").update(suggested_role="subject_key", suggested_because="revient")
    roles = reverse("column-roles", args=[empty.slug])

    review = client.get(roles, {"revue": "1"}).content.decode()
    assert "Ce que les suggestions feraient" in review
    assert not empty.columns.exclude(role="").exists(), "a review confirms nothing"
    client.post(roles, {"act": "save", "role:age": "measure", "role:city": "geo", "role:patient_id": "subject_key"})
    assert "suggéré : quasi-identifiant" in client.get(roles).content.decode()
    client.post(roles, {"back": "age", "role:city": "measure"})

    assert dict(empty.columns.values_list("name", "role")) == {
        "patient_id": "subject_key", "age": "quasi_identifier", "city": "geo",
    }  # fmt: skip


def test_every_table_of_a_version_has_its_clear_copy(empty, settings):
    stays, visits = (Table.objects.create(dataset=empty, name=name, position=n) for n, name in enumerate(["a", "../b"]))
    files = {}
    for table, content in ((stays, b"id,n\n1,2\n"), (visits, b"id;m\n1;3\n")):
        seal = sealing.Seal(empty.zone, sealing.recipient_of(empty.zone))
        seal.write(content)
        files[table.name] = seal.finish("x.csv")
    readings = {"a": {**Reading().as_json(), "blank_lines": 0}, "../b": Reading(delimiter=";").as_json()}
    version = factories.version(empty, files, rows={"a": 1, "../b": 1}, readings=readings)

    with sources.clear_copies(version) as paths:
        found = {name: path.read_text() for name, path in paths.items()}
        folders = {path.parent for path in paths.values()}

    assert found == {"a": "id,n\n1,2\n", "../b": "id,m\n1,3\n"}
    assert {folder.parent for folder in folders} == {settings.SCRATCH}
    assert not any(folder.exists() for folder in folders)
