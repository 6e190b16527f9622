"""What happens to a build when its machine fails it: the worker killed, the database killed, the disk full.

Real processes throughout: the worker of the process list, the engine in its own process, PostgreSQL, small file
systems of their own. Each time either one whole release comes of it, or a refusal whose words name the mend, in the
log; never half of something.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from broker.releases import tasks
from broker.releases.models import Release
from tests import factories, postgres, releasing
from tests.logs import rows
from tests.recompute import recompute
from zones.models import DatasetVersion

PATIENCE = 90  # seconds, on a busy machine
FOLDERS = {"TERRAIN_KEY_STORE": "keys", "TERRAIN_SOURCES": "sources", "TERRAIN_RELEASES": "releases",
           "TERRAIN_SCRATCH": "scratch"}  # fmt: skip
SMALL = 256 * 1024  # bytes of a disk that is soon full
# A mount of one process tree's own; without root's rights a user namespace gives them over that mount.
PRIVATE = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Urm"]


@pytest.fixture
def stays(fresh_database, django_db_blocker, tmp_path, monkeypatch):
    """A convention on a cut of the real stays, committed; the folders are those of the processes started here too."""
    (tmp_path / "keys").mkdir(mode=0o700)
    folders = {variable: tmp_path / name for variable, name in FOLDERS.items()}
    for variable, folder in folders.items():
        monkeypatch.setenv(variable, str(folder))
    with (
        django_db_blocker.unblock(),
        override_settings(
            KEY_STORE=str(folders["TERRAIN_KEY_STORE"]), SOURCES=folders["TERRAIN_SOURCES"],
            RELEASES=folders["TERRAIN_RELEASES"], SCRATCH=folders["TERRAIN_SCRATCH"],
        ),
    ):  # fmt: skip
        yield releasing.convention_on_stays(tmp_path, lines=20_000)


def in_a_small_disk(folder: Path, command: list[str], size: int = SMALL) -> list[str]:
    """`command`, for whom `folder` is a file system of `size` bytes."""
    mounted = 'mount -t tmpfs -o size="$1",mode=0700 tmpfs "$2" && shift 2 && exec "$@"'
    return [*PRIVATE, "sh", "-c", mounted, "sh", str(size), str(folder), *command]


@pytest.fixture
def small_disks(tmp_path):
    """Whether this machine lets a process have a file system of its own."""
    probe = tmp_path / "probe"
    probe.mkdir()
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(in_a_small_disk(probe, ["true"]), capture_output=True).returncode == 0:
            return
    pytest.skip("this machine lets no process mount a file system of its own: no disk can be filled")


@contextlib.contextmanager
def working(*, small: Path | None = None):
    """The worker of the process list. Yields its process; whatever is left of it is killed at the end."""
    command = [sys.executable, "manage.py", "procrastinate", "worker", "--queues", "builds", "--concurrency", "1"]
    if small is not None:
        small.mkdir(mode=0o700, exist_ok=True)
        command = in_a_small_disk(small, command)
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env={**os.environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def has_tidied_up(release: Release) -> bool:
    """The worker removes its scratch after the release is said ready."""
    return not list(settings.SCRATCH.iterdir())


def wait_for(what, release: Release):
    """The release, once `what` holds of it."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        release.refresh_from_db()
        if what(release):
            return release
        time.sleep(0.01)
    raise AssertionError(f"still {release.status} {release.progress} {release.problem!r}")


def is_under_way(release: Release) -> bool:
    return release.status == "building" and release.progress.get("percent", 0) > 2


def is_over(release: Release) -> bool:
    return release.status not in ("queued", "building")


def heard_of_nobody_for_a_minute() -> None:
    """The worker that was killed sends no sign of life: what the periodic job sees a minute later."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 minute'")
    tasks.retry_stalled(0)


def stored() -> list[str]:
    return sorted(path.name for path in (settings.RELEASES / "experimental").glob("*"))


def acts_on(release: Release) -> list[str]:
    found = rows(
        "SELECT payload::json->>'act' FROM audit_event WHERE payload::json->'obj'->>'id' = %s ORDER BY id",
        str(release.pk),
    )
    return [act for (act,) in found]


def is_whole(release: Release, stays) -> bool:
    """Ready, its only file there, and what the second program recomputes."""
    assert release.status == "ready", release.problem
    assert stored() == [release.stored_as]
    return recompute(stays.inputs(release)).failed == []


def test_a_build_whose_worker_is_killed_is_taken_up_again_and_gives_one_release(stays):
    release = stays.ask()
    with working() as worker:
        wait_for(is_under_way, release)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    before = list(settings.SCRATCH.iterdir())

    heard_of_nobody_for_a_minute()
    with working():
        wait_for(is_over, release)
        wait_for(has_tidied_up, release)

    assert before, "the killed worker could not tidy up"
    assert is_whole(release, stays)
    assert release.attempt == 2
    assert list(settings.SCRATCH.iterdir()) == []
    assert Release.objects.count() == 1
    assert acts_on(release) == ["release.request", "data.build", "data.build", "release.ready"]


def test_a_build_whose_database_is_killed_ends_whole(stays):
    """The server itself, by kill -9, with every connection; it comes back a moment later, as systemd has it."""
    release = stays.ask()
    cluster = postgres.cluster()
    with working() as worker:
        wait_for(is_under_way, release)
        os.kill(int((cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        connection.close()
        time.sleep(1)
        cluster.start()
        time.sleep(2)
        died = worker.poll() is not None
    heard_of_nobody_for_a_minute()

    with working():
        wait_for(is_over, release)
        wait_for(has_tidied_up, release)

    assert is_whole(release, stays), died
    assert list(settings.SCRATCH.iterdir()) == []
    assert Release.objects.count() == 1
    acts = acts_on(release)
    assert (acts[:2], acts[-1]) == (["release.request", "data.build"], "release.ready")
    assert acts.count("release.ready") == 1


def test_a_build_without_room_for_its_scratch_says_so_and_leaves_nothing(stays, small_disks):
    release = stays.ask()

    with working(small=settings.SCRATCH) as worker:
        wait_for(is_over, release)
        left = list(Path(f"/proc/{worker.pid}/root{settings.SCRATCH}").iterdir())

    assert release.status == "failed"
    assert "Le disque du poste de préparation est plein" in release.problem
    assert "faire de la place" in release.problem
    assert (left, stored()) == ([], [])
    assert acts_on(release)[-1] == "release.fail"


def test_a_build_without_room_for_its_file_publishes_nothing_and_is_asked_for_again(stays, small_disks):
    release = stays.ask()

    with working(small=settings.RELEASES) as worker:
        wait_for(is_over, release)
        left = [path for path in Path(f"/proc/{worker.pid}/root{settings.RELEASES}").rglob("*") if path.is_file()]

    heard_of_nobody_for_a_minute()  # should it have been killed before it could say that the job was over
    again = stays.ask()
    with working():
        wait_for(is_over, again)
        wait_for(has_tidied_up, again)

    assert release.status == "failed"
    assert "est plein" in release.problem and "faire de la place" in release.problem
    assert left == []
    assert is_whole(again, stays)
    assert (release.stored_as, release.sha256) == ("", "")
    assert list(settings.SCRATCH.iterdir()) == []
    assert acts_on(release)[-1] == "release.fail"


UPLOAD = """
import json, os, pathlib, sys
import django; django.setup()
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from broker.accounts.models import User
from tests.actors import signed_in
browser = signed_in(User.objects.get(pk=int(sys.argv[1])))
sent = SimpleUploadedFile("stays.csv", b"a,b\\n" + os.urandom(2 ** 21), content_type="text/csv")
answer = browser.post(sys.argv[2], {"file": sent, "missing": "?"})
left = [str(path) for path in pathlib.Path(settings.SOURCES).rglob("*") if path.is_file()]
print(json.dumps({"status": answer.status_code, "page": answer.content.decode(), "left": left}))
"""


def test_an_upload_without_room_for_its_sealed_copy_says_so_and_keeps_nothing(stays, small_disks):
    from broker.accounts import grants
    from broker.audit.actor import SYSTEM

    dataset = stays.convention.offer.dataset
    steward = factories.user(organisation=dataset.zone.operator)
    grants.give(steward, "zones.steward", dataset.zone, by=SYSTEM)
    before = DatasetVersion.objects.count()

    told = subprocess.run(
        in_a_small_disk(
            settings.SOURCES,
            [sys.executable, "-c", UPLOAD, str(steward.pk), f"/jeux/{dataset.slug}/versions/nouvelle/"],
        ),
        cwd=settings.BASE_DIR, env={**os.environ, "DJANGO_SETTINGS_MODULE": "broker.settings"}, capture_output=True,
        text=True,
    )  # fmt: skip

    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout.splitlines()[-1])
    assert answer["status"] == 422
    assert "le disque des sources est plein" in answer["page"]
    assert "Prévenez" in answer["page"] and "envoyez-le à nouveau" in answer["page"]
    assert answer["left"] == []
    assert DatasetVersion.objects.count() == before
