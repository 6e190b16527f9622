"""Files that are kept no longer, and the same content built again from the recipe while the key lives."""

from datetime import timedelta

import pyrage
import pytest
from django.conf import settings

from broker import clock
from broker.audit.actor import SYSTEM
from broker.errors import NotAllowed, WrongState
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from broker.releases import actions, rebuilds, store, tasks
from broker.releases.models import Release
from tests import factories, releasing
from tests.actors import signed_in
from tests.logs import rows
from tests.recompute import recompute


@pytest.fixture
def later(monkeypatch):
    """A function that moves the day by so many."""
    real = clock.real_now
    return lambda days: monkeypatch.setattr(clock, "real_now", lambda: real() + timedelta(days=days))


def files() -> list[str]:
    return sorted(path.name for path in (settings.RELEASES / "experimental").iterdir())


def expired(made, later, days: int = 91) -> Release:
    release = releasing.built(made)
    later(days)
    tasks.expire_files(0)
    release.refresh_from_db()
    return release


def clear_of(made, release) -> bytes:
    stored = (store._folder() / release.stored_as).read_bytes()
    return pyrage.decrypt(stored, [pyrage.x25519.Identity.from_str(made.identity)])


def rebuilt(release, by=SYSTEM) -> Release:
    again = rebuilds.start(release, by=by)
    tasks.build(again)
    again.refresh_from_db()
    return again


def test_a_file_is_kept_ninety_days_and_never_after_its_convention(stays, later):
    release = releasing.built(stays)

    assert release.kept_until == clock.today() + timedelta(days=90)
    with pytest.raises(WrongState, match="encore conservé"):
        actions.expire(release, by=SYSTEM)
    later(90)
    tasks.expire_files(0)
    assert files() == [release.stored_as], "the last day is included"
    later(91)
    tasks.expire_files(0)
    release.refresh_from_db()
    assert (release.status, files()) == ("expired", [])
    acts = rows(
        "SELECT payload::json->>'act' FROM audit_event WHERE payload::json->>'act' = 'release.expire'"
        " AND payload::json->>'out' <> 'deny'"
    )
    assert acts == [("release.expire",)]
    stays.convention.ends_on = clock.today() - timedelta(days=80)
    assert Release(built_at=release.built_at, convention=stays.convention).kept_until == stays.convention.ends_on


def test_an_expired_release_is_built_again_to_the_same_byte_from_its_recipe(stays, later):
    former = releasing.built(stays)
    before = clear_of(stays, former)
    dataset = stays.convention.offer.dataset
    type(dataset).objects.filter(pk=dataset.pk).update(title="Renommé depuis")
    later(91)
    tasks.expire_files(0)
    page = signed_in(stays.person).get(f"/remises/{former.pk}/").content.decode()

    answer = signed_in(stays.person).post(f"/remises/{former.pk}/refaire/")
    again = former.rebuilds.get()
    tasks.build(again)
    again.refresh_from_db()
    former.refresh_from_db()

    assert 'id="expired"' in page and 'id="rebuild-form"' in page
    assert answer.status_code == 302
    assert again.status == "ready", again.problem
    assert clear_of(stays, again) == before
    assert again.clear_sha256 == former.clear_sha256
    assert again.manifest["rebuilt_from"] == {
        "release": str(former.pk), "clear_sha256": former.clear_sha256, "is_identical": True,
    }  # fmt: skip
    assert {name: again.enclosed[name] for name in former.enclosed} == former.enclosed
    assert former.status == "withdrawn"
    assert recompute(stays.inputs(again)).failed == []
    assert 'id="identical"' in signed_in(stays.person).get(f"/remises/{again.pk}/").content.decode()


def test_without_its_key_an_expired_release_is_refused_and_says_why(stays, later):
    release = expired(stays, later)
    KeyStore(settings.KEY_STORE).destroy(
        DataKey.Purpose.PSEUDONYM, f"convention:{stays.convention.pk}", reason="closed"
    )

    with pytest.raises(WrongState, match="ne peuvent plus être refaits, ni cette remise"):
        rebuilds.start(release, by=SYSTEM)

    page = signed_in(stays.person).get(f"/remises/{release.pk}/").content.decode()
    assert "a été détruite" in page and 'id="rebuild-form"' not in page
    assert Release.objects.count() == 1


def test_an_expired_release_is_rebuilt_by_those_concerned_alone(stays, later):
    release = expired(stays, later)

    with pytest.raises(NotAllowed, match="personnes nommées"):
        rebuilds.start(release, by=factories.user())
    assert rebuilt(release, by=stays.person).status == "ready"
    with pytest.raises(WrongState, match="n'est plus à jour"):
        rebuilds.start(Release.objects.get(pk=release.pk), by=stays.person)


def test_a_file_that_outlived_its_worker_goes_with_the_next_round(stays, later):
    release = expired(stays, later)
    (store._folder() / release.stored_as).write_bytes(b"left by a worker that died")

    tasks.expire_files(0)

    assert files() == []
