"""The story with one guard broken in the worker's engine: it must fail, and say which protection is missing.

The product has no switch that turns a guard off: the worker of the test's own demo is made to start another engine,
whose plan or key is wrong. All else is the story as `make demo ONCE=1` plays it, as far as the release concerned, and
its second program; tests/functional/test_story.py plays the same rooms with every guard.
"""

import pytest

from tests.functional import demos

ROOMS = ("--rooms", "zones,offer,opposition,registry,convention,release")  # what leads to a release
CONSENTED = ("--rooms", "zones,places,newcomers,energy,notice,energy:RELEASES")  # to one that persons agreed to
ANOTHER_ENGINE = """
import subprocess

class Popen(subprocess.Popen):
    def __init__(self, command, *arguments, **options):
        if list(command)[1:] == ["-m", "broker.releases.engine"]:
            command = [command[0], "-c", BROKEN]
        super().__init__(command, *arguments, **options)

subprocess.Popen = Popen
BROKEN = '''
import sys
from broker.releases import engine
from broker.releases.plan import Plan

class Broken(Plan):
    def nothing(self): pass
{methods}

engine.Build.plan_class = Broken
real_run = engine.run
engine.run = lambda job, say, build_class=engine.Build: real_run({{**job, {job}}}, say, build_class)
sys.exit(engine.main())
'''
"""


def sabotage(methods: str = "", job: str = "") -> str:
    return ANOTHER_ENGINE.format(methods=methods, job=job)


@pytest.fixture(scope="module")
def make():
    with demos.prepared("guarded") as make:
        yield make


@pytest.fixture
def demo(request, make):
    made = make("broken-" + request.node.name[-20:].strip("_"))
    yield made
    made.remove()


def test_without_the_k_threshold_the_story_fails(demo):
    broken = sabotage(
        "    def small(self): return 'false'\n    def smallest_class(self): return 'SELECT 999'"  # and it believes so
    )

    status = demo.play(*ROOMS, sabotage=broken)

    assert status != 0
    assert "au moins 5 personnes" in demo.said, demo.said


def test_without_the_opposition_filter_the_story_fails(demo):
    status = demo.play(*ROOMS, sabotage=sabotage("    def unopposed(self): return 'true'"))

    # the gate sees it first: an opposed person is in the release, so its download is refused by G26
    assert status != 0
    assert "au regard des droits des personnes" in demo.said, demo.said


def test_without_the_consent_filter_the_story_fails(demo):
    status = demo.play(*CONSENTED, sabotage=sabotage("    def consented(self): return 'true'"))

    # the gate sees it first: a home that did not consent is in the release, so its download is refused by G27
    assert status != 0
    assert "exigent l'accord de chaque personne" in demo.said, demo.said


def test_under_another_pseudonym_key_the_story_fails(demo):
    status = demo.play(*ROOMS, sabotage=sabotage(job="'pseudonym_key': '6f' * 32"))

    assert status != 0
    assert "sous la clé de la convention" in demo.said, demo.said
