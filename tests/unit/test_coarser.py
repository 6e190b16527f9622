"""What a column told coarser would cost: what the preview says of it, and what the release so made then has."""

import csv
import gzip
import io
import random

import pytest

from broker.releases import engine
from consent import treatments
from tests.tables import KEEP, KEY, PSEUDONYM, TOKEN_KEY, column
from zones import groups

GROUPED = {"kind": "commune_group", "edition": groups.EDITION, "sha256": groups.sha256()}
BANDS = {"kind": "band_age", "width": 5, "top": 90}
BIRTHS = {"kind": "birth_band", "width": 5, "top": 90, "year": 2026}
NAMES = ["id", "age", "commune", "born", "sex"]


def asked(**changed) -> dict:
    """A recipe of one table, some of its columns treated otherwise."""
    ways = {"id": PSEUDONYM, "age": BANDS, "commune": GROUPED, "born": BIRTHS, "sex": KEEP, **changed}
    roles = {"id": "subject_key", "born": "birth", "commune": "geo"}
    return {
        "personal": True, "reading": {}, "source_columns": NAMES, "identifiers": [], "subject_key": "id",
        "columns": [column(name, ways[name], role=roles.get(name, "quasi_identifier")) for name in NAMES],
        "minors": {"rule": "exclude", "age_column": "age"}, "quasi_identifiers": NAMES[1:], "k": 5,
        "suppression_max_pct": 5, "rank_by": None, "blanked": [], "consent": None,
        "output": {"format": "csv", "sealed": False},
    }  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Visits of two thousand persons in a few communes of two départements, some overseas, some unknown."""
    draw = random.Random(8)
    known = list(csv.DictReader(io.StringIO(gzip.decompress(groups.PATH.read_bytes()).decode())))
    places = [*[one["code"] for one in known if one["code"][:2] in ("74", "97")][:60], "74999", ""]
    lines = [",".join(NAMES)]
    for n in range(2000):
        age = draw.choice([17, 33, 35, 36, 41, 44, 47, 88, 93, 95])
        line = f"p{n},{age},{draw.choice(places)},{2026 - age},{draw.choice('FH')}"
        lines += [line] * draw.randint(1, 3)
    path = tmp_path_factory.mktemp("visits") / "visits.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def previewed(folder, source, recipe, **more) -> dict:
    job = {
        "recipe": recipe, "source": str(source), "scratch": str(folder), "recipients": [], "pseudonym_key": KEY,
        "token_key": TOKEN_KEY, "opposed": [], "consented": [], "lookups": {"commune_group": str(groups.PATH)},
        "memory_mib": 256, "threads": 2, "preview": {"floor": 11, **more},
    }  # fmt: skip
    last = engine.run(job, lambda line: None)
    assert "result" in last, last
    return last["result"]


def test_what_a_coarser_column_saves_is_what_the_recipe_so_changed_then_loses(tmp_path, source):
    milder = {one["name"]: treatments.coarser(one["treatment"]) for one in asked()["columns"]}
    milder = {name: treatment for name, treatment in milder.items() if treatment}

    found = previewed(tmp_path / "whole", source, asked(), coarser=milder)

    assert milder == {"age": {**BANDS, "width": 10}, "commune": {"kind": "department"}, "born": {**BIRTHS, "width": 10}}
    lost = found["dropped"]["small_class"]
    assert found["coarser"].keys() == milder.keys() and found["coarser"]["commune"] < lost
    for name, treatment in milder.items():
        changed = previewed(tmp_path / name, source, asked(**{name: treatment}))
        assert changed["dropped"]["small_class"] == found["coarser"][name], name
        assert changed["coarser"] == {}


def test_figures_of_the_preview_stay_what_they_were(tmp_path, source):
    milder = {"commune": {"kind": "department"}, "age": {**BANDS, "width": 10}}

    with_it = previewed(tmp_path / "a", source, asked(), coarser=milder)
    without = previewed(tmp_path / "b", source, asked())

    assert {**with_it, "coarser": {}} == without


@pytest.mark.parametrize(
    ("treatment", "next_one"),
    [
        ({**BANDS, "width": 10}, {**BANDS, "width": 20}), ({**BANDS, "width": 20}, None), (KEEP, None),
        (GROUPED, {"kind": "department"}), ({"kind": "department"}, None), ({"kind": "category"}, None),
    ],
)  # fmt: skip
def test_a_treatment_has_one_coarser_degree_or_none(treatment, next_one):
    assert treatments.coarser(treatment) == next_one
