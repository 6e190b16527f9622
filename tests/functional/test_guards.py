"""Three guards, each broken once: the second program must see it. Real engine, real stays, real keys.

What is broken is broken in this file alone, by a plan of its own: the product has no switch that turns a guard off.
"""

import hmac

import pyrage
import pytest

from broker.releases import engine, recipe
from broker.releases.plan import Plan
from tests import releasing
from tests.recompute import Inputs, recompute

KEY, TOKEN_KEY = "5e" * 32, "7a" * 32
OPPOSED = ("284400", "5287950", "8222157")


class WithoutThreshold(Plan):
    """k is not applied: classes of one person leave."""

    def small(self):
        return "false"

    def smallest_class(self):  # and the build believes that it holds
        return "SELECT 999"


class WithoutOppositions(Plan):
    """Those who objected stay in."""

    def unopposed(self):
        return "true"


class WithoutMinorsRule(Plan):
    """Children stay in."""

    def adult(self):
        return "true"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return releasing.cut_of_stays(tmp_path_factory.mktemp("stays") / "stays.csv.gz", 20_000)


@pytest.fixture
def recipe_of_stays(source):
    import gzip
    import hashlib

    def column(name, treatment):
        kind, role = releasing.ROLES.get(name, ("text", "measure"))
        return {"name": name, "type": kind, "role": role, "treatment": treatment}

    category = {"kind": "category"}
    clip = {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}
    with gzip.open(source, "rt") as lines:
        header = lines.readline().strip().split(",")
    return {
        "format": 1, "kind": "experimental", "convention": "CV-2026-0001",
        "dataset": {"slug": "sejours", "version": 1, "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest()},
        "personal": True, "reading": {"missing": ["?"]}, "source_columns": header,
        "columns": [
            column("patient_nbr", {"kind": "pseudonym"}), column("race", category), column("gender", category),
            column("age", {"kind": "band_age", "width": 5, "top": 90}), column("admission_type_id", category),
            column("num_medications", clip), column("diag_1", {"kind": "keep"}), column("readmitted", {"kind": "keep"}),
        ],
        "subject_key": "patient_nbr", "identifiers": ["encounter_id"],
        "minors": {"rule": "exclude", "age_column": "age"},
        "quasi_identifiers": ["race", "gender", "age", "admission_type_id"], "k": 5, "suppression_max_pct": 5,
        "rank_by": {"column": "encounter_id", "order": "number"}, "output": {"format": "parquet", "sealed": True},
        "engine": {"plan": recipe.PLAN}, "ruleset": "2026.11.0",
    }  # fmt: skip


def built(source, recipe_of_stays, folder, *, plan=Plan, key=KEY) -> list[str]:
    """Build with `plan` under `key`; what the second program, given the true key, finds wrong."""
    import gzip

    class Build(engine.Build):
        plan_class = plan

    clear = folder / "clear.csv"
    clear.write_bytes(gzip.decompress(source.read_bytes()))
    identity = pyrage.x25519.Identity.generate()
    opposed = [hmac.digest(TOKEN_KEY.encode(), one.encode(), "sha256").hex() for one in OPPOSED]
    job = {
        "recipe": recipe_of_stays, "source": str(clear), "output": str(folder / "out.age"),
        "scratch": str(folder / "scratch"), "recipients": [str(identity.to_public())], "pseudonym_key": key,
        "token_key": TOKEN_KEY, "opposed": opposed, "memory_mib": 512, "threads": 2,
    }  # fmt: skip
    last = engine.run(job, lambda line: None, build_class=Build)
    assert "result" in last, last
    opened = pyrage.decrypt((folder / "out.age").read_bytes(), [identity])
    return recompute(Inputs(source, recipe_of_stays, KEY, TOKEN_KEY, opposed, opened)).failed


def test_with_every_guard_the_second_program_finds_nothing(source, recipe_of_stays, tmp_path):
    assert built(source, recipe_of_stays, tmp_path) == []


def test_a_release_without_the_k_threshold_is_found(source, recipe_of_stays, tmp_path):
    failed = built(source, recipe_of_stays, tmp_path, plan=WithoutThreshold)

    assert any("au moins 5 personnes" in words for words in failed), failed


def test_a_release_without_the_opposition_filter_is_found(source, recipe_of_stays, tmp_path):
    failed = built(source, recipe_of_stays, tmp_path, plan=WithoutOppositions)

    assert any("aucune personne opposée" in words for words in failed), failed


def test_a_release_under_another_pseudonym_key_is_found(source, recipe_of_stays, tmp_path):
    failed = built(source, recipe_of_stays, tmp_path, key="6f" * 32)

    assert any("sous la clé de la convention" in words for words in failed), failed


def test_a_release_without_the_minors_rule_is_found(source, recipe_of_stays, tmp_path):
    failed = built(source, recipe_of_stays, tmp_path, plan=WithoutMinorsRule)

    assert any("tranche d'âge sous 18 ans" in words for words in failed), failed


def test_the_engine_itself_refuses_a_file_whose_smallest_class_is_too_small(source, recipe_of_stays, tmp_path):
    class OnlyTheFilter(Plan):
        def small(self):
            return "false"

    with pytest.raises(AssertionError, match="'refused': 'k'"):
        built(source, recipe_of_stays, tmp_path, plan=OnlyTheFilter)
    assert not (tmp_path / "out.age").exists()
