"""One specification, two engines: the fragments of each, and what the statements may hold."""

import re

import pytest

from broker.releases import dialects
from broker.releases.dialects import DIALECTS, spelled
from broker.releases.plan import Plan
from broker.releases.tables import TablesPlan
from tests.tables import care_record

# Every path of the plan: an age, codes to blank, an order, consent, names and marks that hold signs of quotation.
RECIPE = {
    "personal": True, "reading": {"missing": ["?", "l'inconnu"], "decimal": ","},
    "source_columns": ["id", 'a"b', "age", "diag", "poids", "jour", "dep"], "identifiers": ["diag"],
    "columns": [
        {"name": "id", "type": "text", "role": "subject_key", "treatment": {"kind": "pseudonym"}},
        {"name": 'a"b', "type": "text", "role": "quasi_identifier", "treatment": {"kind": "category"}},
        {"name": "age", "type": "text", "role": "quasi_identifier",
         "treatment": {"kind": "band_age", "width": 5, "top": 90}},
        {"name": "diag", "type": "text", "role": "measure", "treatment": {"kind": "keep"}},
        {"name": "poids", "type": "number", "role": "measure",
         "treatment": {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}},
        {"name": "jour", "type": "timestamp", "role": "timestamp", "treatment": {"kind": "shift_days"}},
        {"name": "dep", "type": "text", "role": "geo", "treatment": {"kind": "department"}},
    ],
    "blanked": [{"column": "diag", "codes": "icd9", "classes": ["x"], "categories": ["042"], "beginnings": ["V08"]}],
    "consent": {"purpose": "p", "recipient": "r"},
    "subject_key": "id", "minors": {"rule": "exclude", "age_column": "age"}, "quasi_identifiers": ['a"b', "age", "dep"],
    "k": 2, "suppression_max_pct": 100, "rank_by": {"column": "jour", "order": "time"},
    "output": {"format": "csv", "sealed": False},
}  # fmt: skip


def texts(dialect: str, recipe=RECIPE) -> list[str]:
    """Every text of a plan but the reading of the source, which the embedded engine does for both."""
    plan = Plan(recipe, path="/x", dialect=dialect)
    found = [one.sql for one in plan.statements() if one.step != "source"]
    found += [plan.output(), plan.tokens(), plan.smallest_class(), plan.own_identifiers()[1]]
    found += [sql for _name, sql in plan.looking_like_identifiers() + plan.misread()]
    found += [plan.losses(name) for name in plan.quasi]
    return [spelled(text, dialect) for text in found]


def test_every_word_of_one_engine_exists_for_the_other():
    assert DIALECTS["duckdb"].keys() == DIALECTS["spark"].keys()
    for word in DIALECTS["duckdb"]:
        parts = {name: set(re.findall(r"\{(\w+)\}", DIALECTS[name][word])) for name in DIALECTS}
        if word not in ("rank", "read_by"):  # an order that the other engine knows from where the rows lie
            assert parts["spark"] <= parts["duckdb"] | {"type"}, word


def texts_over_tables(dialect: str, recipe: dict) -> list[str]:
    whole = TablesPlan(recipe, paths={one["name"]: "/x" for one in recipe["tables"]}, dialect=dialect)
    found = [one.sql for one in whole.statements() if not one.name.startswith("source_")]
    found += [whole.tokens(), whole.doubled()]
    for one in whole.released:
        found += [one.output(), one.fates(), one.smallest_class(), one.scan()[1], *map(one.losses, one.quasi)]
        found += [sql for _name, sql in one.told_among_words()]
    return [spelled(text, dialect) for text in found]


@pytest.mark.parametrize(
    "found",
    [texts("spark"), texts("spark", {**RECIPE, "personal": False}), texts_over_tables("spark", care_record())],
    ids=["personal", "plain", "tables"],
)
def test_no_text_for_spark_holds_what_only_duckdb_reads(found):
    for text in found:
        without_texts = re.sub(r"'(?:[^'\\]|\\.)*'|`(?:[^`]|``)*`", "''", text)
        for own in ('"', "::", "//", "getvariable", "ANTI JOIN", "VARCHAR", "UBIGINT", "TEMP TABLE", "["):
            assert own not in without_texts, text


def test_the_statements_of_both_engines_differ_by_their_fragments_alone(monkeypatch):
    monkeypatch.setitem(DIALECTS, "spark", DIALECTS["duckdb"])
    monkeypatch.setitem(dialects.TYPES, "spark", {})
    monkeypatch.setattr(dialects, "CASTS", {})

    assert Plan(RECIPE, path="/x", dialect="spark").statements() == Plan(RECIPE, path="/x").statements()


@pytest.mark.parametrize(
    ("standard", "spark"),
    [
        ('SELECT "a""b`c" FROM t', 'SELECT `a"b``c` FROM t'),
        ("SELECT 'l''eau \"vive\"'", "SELECT 'l\\'eau \"vive\"'"),
        (r"match('^\[x\z')", r"match('^\\[x\\z')"),
        ('SELECT \'\' AS """"', "SELECT '' AS `\"`"),
    ],
)
def test_names_and_texts_are_spelled_as_spark_reads_them(standard, spark):
    assert spelled(standard, "spark") == spark
    assert spelled(standard, "duckdb") == standard
