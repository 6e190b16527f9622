"""What goes with a release: its signed manifest, licence, data package and Croissant, judged by ordinary tools."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import duckdb
import pyrage
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, transaction
from django.test import Client, override_settings

from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from broker.releases import licence, signing, store
from broker.releases.models import Release
from tests import judges, releasing
from tests.actors import signed_in
from tests.logs import rows

ENCLOSED = ("LICENCE.txt", "datapackage.json", "croissant.json")
FORMULAS = """moment,débit,note,=total
2026-01-05 08:00:00,-12.5,=1+1,+33
2026-01-05 08:01:00,+3e2,"@SUM(A1)
and ""quotes"", kept",-0.5
2026-01-05 08:02:00,,-12,-
2026-01-05 08:03:00,7,\tx,plain
"""
FORMULA_COLUMNS = (("moment", "timestamp"), ("débit", "number"), ("note", "text"), ("=total", "text"))


@pytest.fixture
def places(committed, tmp_path):
    (tmp_path / "keys").mkdir(mode=0o700)
    with override_settings(
        KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
        SCRATCH=tmp_path / "scratch",
    ):  # fmt: skip
        yield tmp_path


def opened(release: Release, identity: str, folder: Path) -> Path:
    """The released file as its recipient has it after `age -d`."""
    stored = store._folder() / release.stored_as
    target = folder / release.manifest["files"][0]["path"]
    if not identity:
        target.write_bytes(stored.read_bytes())
    elif shutil.which("age"):
        key = folder / "identity.txt"
        key.write_text(identity + "\n")
        subprocess.run(["age", "-d", "-i", str(key), "-o", str(target), str(stored)], check=True)
    else:
        target.write_bytes(pyrage.decrypt(stored.read_bytes(), [pyrage.x25519.Identity.from_str(identity)]))
    return target


def taken(release: Release, person, folder: Path) -> Path:
    """Everything that the release's page offers beside the file, in `folder`."""
    browser = signed_in(person)
    for name in (*ENCLOSED, "manifeste.json", "manifeste.sig"):
        answer = browser.get(f"/remises/{release.pk}/{name}")
        assert answer.status_code == 200, (name, answer.content)
        (folder / name).write_bytes(answer.content)
    return folder


def accepted_by_openssl(folder: Path, pem: str) -> bool:
    """Whether the manifest of `folder` bears the signature of that public key, by the ordinary tool."""
    (folder / "key.pem").write_text(pem)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "manifeste.json"]
    told = subprocess.run([*command, "-sigfile", "manifeste.sig"], cwd=folder, capture_output=True)
    return told.returncode == 0


def published_keys(zone) -> dict[str, dict]:
    """The keys that anybody reads, without an account, by their name in a manifest."""
    return {one["key"]: one for one in Client().get(f"/zones/{zone.slug}/cles/").json()["keys"]}


def test_a_stranger_checks_the_manifest_with_ordinary_tools(stays, tmp_path):
    release = releasing.built(stays)
    folder = taken(release, stays.person, tmp_path)

    manifest = json.loads((folder / "manifeste.json").read_bytes())
    key = published_keys(stays.convention.zone)[manifest["signed_by"]["key"]]
    pem = Client().get(key["url"]).content.decode()

    assert pem == key["pem"]
    assert accepted_by_openssl(folder, pem)
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ENCLOSED} == manifest["enclosed"]
    whole = (folder / "manifeste.json").read_bytes()
    [(event, detail)] = rows(
        "SELECT e.payload::json->>'act', d.body::json->>'manifest_sha256' FROM audit_event e"
        " JOIN audit_detail d ON d.event_id = e.id WHERE e.payload::json->>'act' = 'release.ready'"
    )
    assert (event, detail) == ("release.ready", hashlib.sha256(whole).hexdigest())
    (folder / "manifeste.json").write_bytes(whole.replace(b'"out":', b'"out" :', 1))
    assert not accepted_by_openssl(folder, pem)


def test_a_signing_key_is_replaced_by_destroying_it_and_what_it_signed_stays_checkable(stays, tmp_path):
    zone = stays.convention.zone
    before = releasing.built(stays)
    KeyStore(settings.KEY_STORE).destroy(DataKey.Purpose.SIGNING, before.signed_with.ref, reason="rotation")

    after = releasing.built(stays)

    assert (before.signed_with.ref, after.signed_with.ref) == (f"zone:{zone.pk}", f"zone:{zone.pk}/2")
    keys = published_keys(zone)
    assert [bool(one["until"]) for one in keys.values()] == [True, False]
    for release in (before, after):
        folder = tmp_path / str(release.pk)
        folder.mkdir()
        name = release.manifest["signed_by"]["key"]
        assert accepted_by_openssl(taken(release, stays.person, folder), keys[name]["pem"])


def test_a_build_that_cannot_sign_is_refused_and_publishes_nothing(stays):
    key = signing.living_key(stays.convention.zone)
    (Path(settings.KEY_STORE) / f"{key.wrapping_key_id}.key").unlink()

    release = releasing.built(stays)

    assert release.status == "failed"
    assert "magasin" in release.problem
    assert (release.signature, release.stored_as) == (b"", "")
    assert not list((settings.RELEASES / "experimental").iterdir())


def test_what_was_signed_never_changes(stays):
    release = releasing.built(stays)

    for change in ({"signature": b"x" * 64}, {"enclosed": {}}, {"signed_with": None}):
        with pytest.raises(DatabaseError, match="never change"), transaction.atomic():
            Release.objects.filter(pk=release.pk).update(**change)


def test_the_other_people_s_tools_read_a_release_opened_with_its_identity(stays, tmp_path):
    release = releasing.built(stays)
    folder = taken(release, stays.person, tmp_path)

    file = opened(release, stays.identity, folder)

    assert hashlib.sha256(file.read_bytes()).hexdigest() == release.clear_sha256
    assert judges.refused_by_frictionless(folder / "datapackage.json") == []
    [resource] = json.loads((folder / "datapackage.json").read_bytes())["resources"]
    read = judges.read_by_croissant(folder / "croissant.json", resource["name"])
    assert len(read) == release.rows_out
    assert (folder / "LICENCE.txt").read_text().startswith("Licence d'expérimentation Terrain\n")
    with duckdb.connect() as engine:
        marks = dict(engine.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(file)]).fetchall())
    assert marks[b"terrain_watermark"].decode() == release.manifest["watermark"]
    assert licence.SHA256 in marks[b"terrain_licence"].decode()


def test_a_csv_leaves_without_formulas_and_says_so(places, tmp_path):
    made = releasing.convention_on_plain(tmp_path, FORMULAS.encode(), FORMULA_COLUMNS)

    release = releasing.built(made, [name for name, _kind in FORMULA_COLUMNS])

    assert release.status == "ready", release.problem
    folder = taken(release, made.person, tmp_path)
    file = opened(release, "", folder)
    assert file.read_text(encoding="utf-8").splitlines() == [
        "moment,débit,note,'=total",
        "2026-01-05 08:00:00,-12.5,'=1+1,+33",
        "2026-01-05 08:01:00,+3e2,\"'@SUM(A1)",
        'and ""quotes"", kept",-0.5',
        "2026-01-05 08:02:00,,-12,'-",
        "2026-01-05 08:03:00,7,'\tx,plain",
    ]
    assert release.manifest["files"][0]["neutralised"] == {"note": 3, "=total": 1}
    assert release.manifest["watermark_in"] == "manifest"
    assert judges.refused_by_frictionless(folder / "datapackage.json") == []
    [resource] = json.loads((folder / "datapackage.json").read_bytes())["resources"]
    kinds = [field["type"] for field in resource["schema"]["fields"]]
    assert kinds == ["datetime", "number", "string", "string"]
    assert resource["terrain:neutralised"]["cells"] == {"note": 3, "=total": 1}
    assert len(judges.read_by_croissant(folder / "croissant.json", resource["name"])) == 4


def test_a_manifest_is_signed_by_the_worker_alone():
    with override_settings(KEY_STORE=""), pytest.raises(ImproperlyConfigured, match="Only the zone's worker"):
        signing.sign(DataKey(purpose="signing", ref="zone:1"), b"{}")
