"""A build that is killed, cheated or starved at any of its steps: nothing of it is ever ready, nothing clear is left.

The engine and the worker are real processes, killed by SIGKILL as each step of the plan is said. Larger faults, with
the worker of the process list, are in test_builds_survive.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from broker.releases import actions, engine, tasks
from broker.releases.models import Release
from broker.releases.plan import Plan
from tests import releasing
from tests.actors import signed_in
from tests.recompute import recompute
from zones import sources

KNOWN = (b"8222157", b"86047875", b"82442376")  # patients of the first lines
AROUND = ["opening", "thresholds", "writing"]  # said by the worker and the engine, around the plan's own steps


@pytest.fixture
def few(committed, tmp_path):
    """As `stays`, on fewer lines: what is asked of each step takes as long as it takes to die."""
    (tmp_path / "keys").mkdir(mode=0o700)
    with override_settings(
        KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
        SCRATCH=tmp_path / "scratch",
    ):  # fmt: skip
        yield releasing.convention_on_stays(tmp_path, lines=2000, releases_per_month=100)


def steps_of(release: Release) -> list[str]:
    """Every step that a build of this release says, once."""
    plan = Plan(release.recipe, path="")
    return list(dict.fromkeys([AROUND[0], *(statement.step for statement in plan.statements()), *AROUND[1:]]))


def clear_on_disk() -> list[str]:
    """Files of the worker's folders in which a patient's number stands in clear."""
    folders = [settings.SCRATCH, settings.RELEASES, settings.SOURCES]
    files = [path for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(number in path.read_bytes() for number in KNOWN)]


def stored() -> list[str]:
    return sorted(path.name for path in (settings.RELEASES / "experimental").glob("*"))


def is_refused_whole(release: Release, words: str) -> None:
    """Failed with a reason that its page shows; no file, no digest, no scratch, nothing clear."""
    release.refresh_from_db()
    assert release.status == "failed"
    assert words in release.problem
    assert (release.sha256, release.stored_as, release.signature, release.manifest) == ("", "", b"", {})
    assert stored() == []
    assert not list(settings.SCRATCH.iterdir())
    assert clear_on_disk() == []


def children() -> list[int]:
    """The processes that this one started and that still run."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed]


def test_an_engine_killed_at_any_step_gives_a_refusal_and_leaves_nothing(few, monkeypatch):
    say = actions.report_progress
    died = []
    first = few.ask()
    steps = [step for step in steps_of(first) if step != "opening"]  # said before the engine starts
    releases = dict(zip(steps, [first, *(few.ask() for _step in steps[1:])], strict=True))

    for step, release in releases.items():

        def kill(of, said, percent, step=step):
            say(of, said, percent)
            if said == step and step not in died:
                died.append(step)
                before = children()
                for pid in before:
                    if b"broker.releases.engine" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)

        monkeypatch.setattr(actions, "report_progress", kill)
        tasks.build(release)

    assert died == list(releases), "each step was reached"
    for release in releases.values():
        is_refused_whole(release, "La préparation")
    assert "La préparation" in signed_in(few.person).get(f"/remises/{first.pk}/").content.decode()


DIES = """
import os, signal, sys
import django; django.setup()
from django.test import override_settings
from broker.releases import actions, tasks
from broker.releases.models import Release
say, step = actions.report_progress, sys.argv[2]
def die(release, said, percent):
    say(release, said, percent)
    if said == step:
        os.killpg(0, signal.SIGKILL)
actions.report_progress = die
tasks.build(Release.objects.get(pk=sys.argv[1]))
"""


def test_a_worker_killed_at_any_step_leaves_nothing_ready_and_the_next_attempt_is_whole(few):
    release = few.ask()
    environment = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "broker.settings", "TERRAIN_KEY_STORE": str(settings.KEY_STORE),
        "TERRAIN_SOURCES": str(settings.SOURCES), "TERRAIN_RELEASES": str(settings.RELEASES),
        "TERRAIN_SCRATCH": str(settings.SCRATCH),
    }  # fmt: skip
    steps = steps_of(release)

    for attempt, step in enumerate(steps, start=1):
        killed = subprocess.run(
            [sys.executable, "-c", DIES, str(release.pk), step], cwd=settings.BASE_DIR, env=environment,
            start_new_session=True, capture_output=True,
        )  # fmt: skip
        connection.close()
        release.refresh_from_db()
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert (release.status, release.attempt, release.progress["step"]) == ("building", attempt, step)
        assert (release.sha256, release.manifest) == ("", {})
        assert not [name for name in stored() if not name.endswith(".part")]

    tasks.build(release)
    release.refresh_from_db()
    assert (release.status, release.attempt) == ("ready", len(steps) + 1)
    assert stored() == [release.stored_as]
    assert not list(settings.SCRATCH.iterdir())
    assert clear_on_disk() == []
    assert recompute(few.inputs(release)).failed == []


def test_a_source_that_changed_under_the_build_is_refused(few):
    release = few.ask()
    file = release.dataset_version.files.get()
    path = sources.path_of(file)
    path.write_bytes(path.read_bytes()[:-7] + b"changed")

    tasks.build(release)

    is_refused_whole(release, "nvoyez-")


def test_a_key_destroyed_before_the_build_refuses_it_for_good(few):
    release = few.ask()
    KeyStore(settings.KEY_STORE).destroy(DataKey.Purpose.PSEUDONYM, f"convention:{few.convention.pk}", reason="x")

    tasks.build(release)

    is_refused_whole(release, "a été détruite")


def test_a_corrupt_page_of_parquet_is_refused_without_a_word_of_its_values(tmp_path):
    source = tmp_path / "clear.parquet"
    with duckdb.connect() as writer:
        writer.execute(
            "COPY (SELECT 'PATIENT-' || i AS id, 'x' AS note FROM range(20000) r(i))"
            f" TO '{source}' (FORMAT parquet, COMPRESSION zstd)"
        )
    whole = bytearray(source.read_bytes())
    middle = len(whole) // 3
    whole[middle : middle + 64] = bytes(64)
    source.write_bytes(whole)
    recipe = {
        "format": 1, "personal": True, "convention": "CV-1", "dataset": {"slug": "jeu"}, "consent": None, "k": 2,
        "reading": {"format": "parquet", "types": [["id", "VARCHAR"], ["note", "VARCHAR"]]},
        "source_columns": ["id", "note"], "subject_key": "id", "identifiers": [],
        "columns": [
            {"name": "id", "type": "text", "role": "subject_key", "treatment": {"kind": "pseudonym"}},
            {"name": "note", "type": "text", "role": "measure", "treatment": {"kind": "keep"}},
        ],
        "minors": {"rule": "covered", "age_column": None}, "rank_by": None, "quasi_identifiers": [], "blanked": [],
        "suppression_max_pct": 5, "output": {"format": "parquet", "sealed": False},
    }  # fmt: skip
    said: list[dict] = []

    last = engine.run(
        {
            "recipe": recipe, "source": str(source), "output": str(tmp_path / "out"), "scratch": str(tmp_path / "s"),
            "recipients": [], "pseudonym_key": "ab" * 32, "token_key": "cd" * 32, "opposed": [], "memory_mib": 256,
        },
        said.append,
    )  # fmt: skip

    assert set(last) == {"failed", "errno"}
    assert "PATIENT" not in str(said)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "s").iterdir())
