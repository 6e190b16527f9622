"""The whole story, told over HTTP by the cast to real processes, on a database of its own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.demo import cast
from tests.functional import demos, pages_of_the_story


@pytest.fixture(scope="module")
def told():
    demo = demos.new("story")
    status = demo.play()
    yield demo, status
    demo.remove()


def test_every_step_of_the_story_holds(told):
    demo, status = told

    assert status == 0, demo.said
    assert "Le second programme est d'accord." in demo.said


def test_the_summary_says_who_did_what_and_how_long_it_took(told):
    demo, _ = told

    steps = demo.summary["steps"]
    assert {"name", "who", "status", "seconds"} == set().union(*steps)
    # the second factor at the door, a refusal told as such: a step ended on an answer of the site, or asked it nothing
    # and read what was received
    assert sum(step["status"] is None for step in steps) <= 4
    assert {step["status"] for step in steps} - {None} <= {200, 201, 206, 403, 404, 409, 422}
    assert {one.key for one in cast.CAST} - {step["who"] for step in steps} == set(), "everybody of the cast acts"


def test_the_summary_has_every_kind_of_zone_on_a_real_commune(told):
    demo, _ = told

    zones = demo.summary["zones"]
    assert {zone["kind"] for zone in zones} >= {
        "hospital", "care_network", "eco_district", "av_city", "av_motorway", "av_mountain"
    }  # fmt: skip
    for zone in zones:
        assert zone.get("length_km", 0) > 0 or (zone["commune"] and zone["population"] > 0), zone


def test_the_summary_tells_every_refusal_with_its_rules(told):
    demo, _ = told

    summary = demo.summary
    refusals = summary["refusals"]
    assert refusals
    for refusal in refusals:
        assert {"step", "who", "rules"} <= refusal.keys()
        assert refusal["rules"] and refusal["step"]
        assert refusal["who"] in {"machine", *(one.key for one in cast.CAST)}
    said = {rule for refusal in refusals for rule in refusal["rules"]}
    assert {"G02", "G06", "G10", "G12", "G26"} <= said  # unnamed, commercial, suspended, unsigned, objected


def test_the_release_of_the_summary_is_counted(told):
    demo, _ = told

    release = demo.summary["release"]
    assert release["rows_in"] == 101_766
    assert release["rows_out"] + sum(release["dropped"].values()) == release["rows_in"]
    assert release["k_min"] >= 5
    assert {"subjects_out", "decision_id", "sha256"} <= release.keys()


def test_the_story_ends_with_the_offline_verification_of_its_own_log(told):
    demo, _ = told

    audit, last = demo.summary["audit"], demo.summary["steps"][-1]
    assert (last["who"], last["name"].endswith("tout le journal se vérifie hors ligne")) == ("anne", True)
    assert audit["verified"] is True
    assert audit["altered_byte_found"] is True
    assert audit["size"] > audit["extends"] > 0  # it goes on from the log that she had verified half-way


def test_the_bundle_of_the_story_verifies_again(told, tmp_path):
    demo, _ = told
    with zipfile.ZipFile(demos.ROOT / demo.summary["artefacts"]["audit_bundle"]) as bundle:
        bundle.extractall(tmp_path)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert demo.summary["audit"]["root"] in done.stdout


def test_the_artefacts_of_the_summary_are_there(told):
    demo, _ = told

    artefacts = demo.summary["artefacts"]
    assert {
        "convention_pdf", "release_file", "release_manifest", "recipient_identity", "release_inputs", "audit_bundle",
        "registry_json",
    } <= artefacts.keys()  # fmt: skip
    named = [path for value in artefacts.values() for path in (value.values() if isinstance(value, dict) else [value])]
    assert [path for path in named if not (demos.ROOT / path).exists()] == []
    assert [path for path in named if Path(path).is_absolute()] == []


@pytest.fixture(scope="module")
def again(told):
    """The played demo started a second time: the demo, its address, the summary as it was before."""
    demo, _ = told
    summary = (demo.var / "summary.json").read_bytes()
    with demo.serving() as site:
        yield demo, site, summary


def test_every_page_of_the_story_has_no_barrier(again, chromium):
    """Axe, width, one h1, title, language, no complaint of the browser: phone and desktop, light and dark."""
    demo, site, _summary = again

    opened, faults = pages_of_the_story.look(chromium, demo, site)

    assert opened > 60
    assert faults == [], "\n".join(faults)


def test_a_second_start_keeps_the_story_and_does_not_tell_it_again(again):
    demo, _site, summary = again

    assert "déjà jouée" in demo.said
    assert (demo.var / "summary.json").read_bytes() == summary


def test_the_secrets_are_private(told):
    demo, _ = told

    for name in ("env", "cast.json"):
        assert (demo.var / name).stat().st_mode & 0o777 == 0o600
