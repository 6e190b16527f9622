"""Data keys: wrapped in the database, opened only with the store, gone when their file is gone."""

import stat

import psycopg
import pyrage
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from broker.errors import BadInput, WrongState
from broker.keys import subject
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from broker.keys.tasks import create_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "keys"
    made.mkdir(mode=0o700)
    return made


def acts():
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act' FROM audit_event ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize(("purpose", "ref"), [("token", "zone:1"), ("pseudonym", "convention:1")])
def test_a_key_of_subjects_is_64_hexadecimal_characters(folder, purpose, ref):
    KeyStore(folder).create(purpose, ref)

    key = KeyStore(folder).open(purpose, ref)

    assert len(key) == 64
    assert len(bytes.fromhex(key.decode())) == 32
    assert acts() == ["key.create", "key.open"]


def test_a_zone_s_source_key_opens_what_is_sealed_to_its_public_half(folder):
    made = KeyStore(folder).create("source", "zone:1")
    sealed = pyrage.encrypt(b"lignes", [pyrage.x25519.Recipient.from_str(made.public)])

    identity = pyrage.x25519.Identity.from_str(KeyStore(folder).open("source", "zone:1").decode())

    assert pyrage.decrypt(sealed, [identity]) == b"lignes"


def test_the_database_holds_the_wrapped_form_only(folder):
    made = KeyStore(folder).create("pseudonym", "convention:1")
    key = KeyStore(folder).open("pseudonym", "convention:1")

    made.refresh_from_db()

    assert key not in bytes(made.wrapped)
    assert bytes.fromhex(key.decode()) not in bytes(made.wrapped)
    assert made.public == ""


def test_each_key_has_a_wrapping_key_of_its_own_that_others_cannot_read(folder):
    for number in range(3):
        KeyStore(folder).create("pseudonym", f"convention:{number}")

    files = sorted(folder.iterdir())

    assert [file.stem for file in files] == sorted(DataKey.objects.values_list("wrapping_key_id", flat=True))
    assert len({file.read_bytes() for file in files}) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_making_a_key_twice_makes_it_once(folder, settings):
    settings.KEY_STORE = str(folder)

    create_key("pseudonym", "convention:1")
    create_key("pseudonym", "convention:1")

    assert DataKey.objects.count() == 1
    assert acts() == ["key.create"]


def test_the_job_waits_in_the_queue_of_the_keys():
    assert (create_key.name, create_key.queue) == ("broker.keys.tasks.create_key", "keys")


def test_a_destroyed_key_cannot_be_opened_nor_made_again(folder):
    store = KeyStore(folder)
    store.create("pseudonym", "convention:1")

    store.destroy("pseudonym", "convention:1", reason="convention close")

    assert list(folder.iterdir()) == []
    with pytest.raises(WrongState, match="a été détruite"):
        store.open("pseudonym", "convention:1")
    with pytest.raises(WrongState, match="a été détruite"):
        store.create("pseudonym", "convention:1")
    assert acts()[1] == "key.destroy"


def test_a_copy_of_the_database_with_another_store_opens_nothing(folder, tmp_path):
    KeyStore(folder).create("pseudonym", "convention:1")
    (other := tmp_path / "other").mkdir(mode=0o700)

    with pytest.raises(WrongState, match="montez le magasin"):
        KeyStore(other).open("pseudonym", "convention:1")


def test_a_wrapped_key_moved_to_another_row_does_not_open(folder):
    store = KeyStore(folder)
    moved = store.create("pseudonym", "convention:1")
    (folder / f"{moved.wrapping_key_id}.key").rename(folder / "moved.key")
    DataKey.objects.create(
        purpose="pseudonym", ref="convention:2", wrapping_key_id="moved", wrapped=bytes(moved.wrapped)
    )

    with pytest.raises(WrongState, match="ne s'ouvre pas"):
        store.open("pseudonym", "convention:2")


def test_an_altered_wrapping_key_is_found(folder):
    store = KeyStore(folder)
    made = store.create("pseudonym", "convention:1")
    path = folder / f"{made.wrapping_key_id}.key"
    path.write_bytes(bytes(32))

    with pytest.raises(WrongState, match="ne s'ouvre pas"):
        store.open("pseudonym", "convention:1")


def test_opening_under_an_act_that_tells_it_is_not_told_twice(folder):
    KeyStore(folder).create("pseudonym", "convention:1")

    KeyStore(folder).open("pseudonym", "convention:1", covered_by="data.build")

    assert acts() == ["key.create"]


def test_an_unknown_use_makes_no_key(folder):
    with pytest.raises(BadInput, match="usage de clé"):
        KeyStore(folder).create("everything", "zone:1")

    assert list(folder.iterdir()) == []


def test_a_row_that_fails_leaves_no_file(folder):
    with pytest.raises(Exception, match="key_pseudonym_is_of_a_convention"):
        KeyStore(folder).create("pseudonym", "zone:1")

    assert list(folder.iterdir()) == []


def test_the_web_has_no_key_store(settings):
    settings.KEY_STORE = ""

    with pytest.raises(ImproperlyConfigured, match="TERRAIN_KEY_STORE is not set"):
        KeyStore()


def test_a_missing_folder_is_not_made_in_silence(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="install -d -m 700"):
        KeyStore(tmp_path / "absent")


def test_a_folder_open_to_others_is_refused(folder):
    folder.chmod(0o755)

    with pytest.raises(ImproperlyConfigured, match="chmod 700"):
        KeyStore(folder)


def test_a_key_file_open_to_others_is_refused(folder):
    made = KeyStore(folder).create("pseudonym", "convention:1")
    (folder / f"{made.wrapping_key_id}.key").chmod(0o644)

    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        KeyStore(folder).open("pseudonym", "convention:1")


def test_pseudonyms_of_one_subject_differ_between_conventions(folder):
    store = KeyStore(folder)
    keys = []
    for number in (1, 2):
        store.create("pseudonym", f"convention:{number}")
        keys.append(store.open("pseudonym", f"convention:{number}"))

    first, second = (subject.pseudonym(key, "8222157") for key in keys)

    assert first != second
    assert len(first) == len(second) == 32
    assert subject.pseudonym(keys[0], "8222157") == first


def test_a_token_is_the_hmac_that_postgresql_would_find_too():
    key = b"0" * 64

    # HMAC-SHA-256 by its definition (RFC 2104), in the database's own sha256().
    padded = key.ljust(64, b"\0")
    inner, outer = bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded)
    with psycopg.connect(**connection.get_connection_params()) as other:
        row = other.execute("SELECT sha256(%s || sha256(%s || %s))", [outer, inner, b"8222157"]).fetchone()

    assert subject.token(key, "8222157") == bytes(row[0])
    assert subject.pseudonym(key, "8222157") == bytes(row[0]).hex()[:32]
