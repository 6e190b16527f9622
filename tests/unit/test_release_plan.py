"""The treatments, the recipe's text and the plan, without a database."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.releases import engine, manifest
from broker.releases.plan import Plan
from consent import treatments


def column(role="measure", name="mesure", kind="text", *, personal=True, domains=("clinical",), consented=False):
    dataset = SimpleNamespace(is_personal=personal, domains=list(domains), consent_required=consented)
    return SimpleNamespace(name=name, role=role, type=kind, dataset=dataset, sensitive_class="")


@pytest.mark.parametrize(
    ("given", "approved", "kind"),
    [
        (column("direct_identifier"), False, "drop"),
        (column("free_text"), False, "drop"),
        (column("staff"), False, "drop"),
        (column("subject_key"), False, "pseudonym"),
        (column("quasi_identifier", "age"), False, "band_age"),
        (column("quasi_identifier", "gender"), False, "category"),
        (column("sensitive", "race"), False, "drop"),
        (column("sensitive", "race"), True, "category"),
        (column("measure", kind="integer"), False, "clip"),
        (column("measure", "REASONCODE", kind="integer"), False, "keep"),
        (column("measure", "drug_concept_id", kind="integer"), False, "keep"),
        (column("measure"), False, "keep"),
        (column("measure", kind="number", domains=("energy_metering",), consented=True), False, "keep"),
        (column("measure", kind="number", domains=("energy_metering",)), False, "clip"),
        (column("measure", kind="number", domains=("energy_metering", "clinical"), consented=True), False, "clip"),
        (column("timestamp", kind="timestamp"), False, "shift_days"),
        (column("timestamp", kind="timestamp", domains=("energy_metering",)), False, "keep"),
        (column("geo", "code_postal"), False, "department"),
        (column("geo", "latitude", "number"), False, "drop"),
        (column("measure", kind="integer", personal=False), False, "keep"),
        (column("direct_identifier", personal=False), False, "drop"),
    ],
)
def test_each_role_has_its_default_treatment(given, approved, kind):
    assert treatments.default_treatment(given, approved=approved)["kind"] == kind


@pytest.mark.parametrize(
    ("given", "treatment"),
    [
        (column("direct_identifier"), {"kind": "keep"}),
        (column("subject_key"), {"kind": "keep"}),
        (column("quasi_identifier", "age"), {"kind": "keep"}),
        (column("quasi_identifier", "age"), {"kind": "band_age", "width": 1, "top": 90}),
        (column("quasi_identifier", "age"), {"kind": "band_age", "width": 5, "top": 110}),
        (column("sensitive", "race"), {"kind": "category"}),
        (column("measure", kind="integer"), {"kind": "clip", "low_per_mille": 0, "high_per_mille": 1000}),
        (column("measure"), {"kind": "publish"}),
    ],
)
def test_no_treatment_goes_below_the_floor(given, treatment):
    assert treatments.problems(treatment, given)


def test_dropping_a_column_is_always_allowed():
    for role in ("direct_identifier", "subject_key", "quasi_identifier", "sensitive", "measure", "timestamp", "geo"):
        assert treatments.problems({"kind": "drop"}, column(role)) == []


RECIPE = {
    "personal": True, "reading": {"missing": ["?"]}, "source_columns": ["id", 'a"b', "age"], "identifiers": [],
    "columns": [
        {"name": "id", "type": "text", "role": "subject_key", "treatment": {"kind": "pseudonym"}},
        {"name": 'a"b', "type": "text", "role": "quasi_identifier", "treatment": {"kind": "category"}},
        {"name": "age", "type": "text", "role": "quasi_identifier",
         "treatment": {"kind": "band_age", "width": 5, "top": 90}},
    ],
    "subject_key": "id", "minors": {"rule": "exclude", "age_column": "age"}, "quasi_identifiers": ['a"b', "age"],
    "k": 2, "suppression_max_pct": 100, "rank_by": None, "output": {"format": "csv", "sealed": False},
}  # fmt: skip


def build(tmp_path, recipe, lines, **job):
    source = tmp_path / "clear.csv"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = []
    last = engine.run(
        {
            "recipe": recipe, "source": str(source), "output": str(tmp_path / "out"), "scratch": str(tmp_path / "s"),
            "recipients": [], "pseudonym_key": "ab" * 32, "token_key": "cd" * 32, "opposed": [], "memory_mib": 256,
            **job,
        },
        said.append,
    )  # fmt: skip
    return last, said


@pytest.mark.parametrize(
    ("read", "released"),
    [
        ("[70-80)", "70-79"), ("[90-100)", "90+"), ("40", "40-44"), ("41-47", "40-49"), ("18-20", "15-24"),
        ("95", "90+"),
        ("75+", "75+"), ("[10-20)", None), ("17", None), ("", None), ("inconnu", None),
    ],
)  # fmt: skip
def test_an_age_is_never_finer_than_the_source_and_a_band_that_reaches_below_18_is_a_minor(tmp_path, read, released):
    last, _said = build(tmp_path, RECIPE, ['id,"a""b",age', f"p1,x,{read}", f"p2,x,{read}", "p3,y,50", "p4,y,50"])

    rows = (tmp_path / "out").read_text().splitlines()[1:]
    assert last["result"]["dropped"]["minor"] == (2 if released is None else 0)
    assert {row.rsplit(",", 1)[1] for row in rows} - {"50-54"} == ({released} if released else set())


def test_rare_categories_are_merged_and_small_classes_dropped(tmp_path):
    lines = ['id,"a""b",age', *(f"p{n},x,50" for n in range(3)), "p4,rare,50", "p5,unique,50", "p6,x,30"]

    last, _said = build(tmp_path, RECIPE, lines)

    assert last["result"]["merged"] == {'a"b': 2}
    assert last["result"]["dropped"]["small_class"] == 1
    assert last["result"]["k_min"] == 2


def test_one_person_with_many_rows_is_one_subject_for_k(tmp_path):
    lines = ['id,"a""b",age', *("p1,x,50" for _n in range(9)), "p2,y,50", "p3,y,50"]

    last, _said = build(tmp_path, RECIPE, lines)

    assert last["result"]["dropped"]["small_class"] == 9
    assert (last["result"]["rows_out"], last["result"]["k_min"]) == (2, 2)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["id,autre,age", "p1,x,50"], "header"),
        (['id,"a""b",age', "p1,x,12"], "empty"),
        (['id,"a""b",age', "p1,jean.dupont@exemple.fr,50", "p2,jean.dupont@exemple.fr,50"], "identifier"),
    ],
)
def test_what_cannot_be_built_is_refused_by_a_code_and_leaves_no_file(tmp_path, lines, code):
    last, said = build(tmp_path, RECIPE, lines)

    assert last["refused"] == code
    assert not (tmp_path / "out").exists()
    assert "dupont" not in json.dumps(said)


WRITTEN = {
    **RECIPE, "source_columns": ["id", "nom", "mot"], "identifiers": ["nom"], "quasi_identifiers": [],
    "minors": {"rule": "covered", "age_column": None},
    "columns": [RECIPE["columns"][0],
                {"name": "mot", "type": "text", "role": "measure", "treatment": {"kind": "keep"}}],
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "rappeler au 06 12 34 56 78 avant midi",
        "joignable (+33 (0)6.12.34.56.78) le soir",
        "assurée 2 84 05 88 451 089 46 depuis 2019",
        "écrire à jean.dupont@exemple.fr pour le compte rendu",
        "vu Mme DUVAL-Ada, sortie prévue",
        "dossier dos-000417 : à revoir",
    ],
)
def test_an_identifier_among_the_words_of_a_text_refuses_the_build(tmp_path, text):
    lines = ["id,nom,mot", f'dos-000417,Duval Ada,"{text}"', "dos-000418,Morel Bea,rien à dire"]

    last, said = build(tmp_path, WRITTEN, lines)

    assert (last.get("refused"), last.get("facts")) == ("identifier", {"columns": ["mot"]})
    assert not (tmp_path / "out").exists()
    assert text not in json.dumps(said)


@pytest.mark.parametrize(
    "text", ["vu Mme Duvalier, Adamsville", "posologie 1-0-1, 250 mg/12 h", "le 12/03/2020 à 06 h"]
)
def test_words_that_only_resemble_an_identifier_leave(tmp_path, text):
    lines = ["id,nom,mot", f'dos-000417,Duval Ada,"{text}"', "dos-000418,Morel Bea,rien à dire"]

    last, _said = build(tmp_path, WRITTEN, lines)

    assert last["result"]["rows_out"] == 2


def test_a_key_stands_in_no_statement_and_no_message(tmp_path):
    plan = Plan(RECIPE, path="/x")

    texts = [statement.sql for statement in plan.statements()] + [plan.output(), plan.tokens()]
    _last, said = build(tmp_path, RECIPE, ['id,"a""b",age', "p1,x,50", "p2,x,50"])

    assert not any("ab" * 32 in text or "cd" * 32 in text for text in [*texts, json.dumps(said)])


def test_an_error_of_the_engine_never_quotes_a_value(tmp_path):
    last, said = build(tmp_path, RECIPE, ['id,"a""b",age', "p1,secret-42"])

    assert "failed" in last
    assert "secret-42" not in json.dumps(said)


def test_the_engine_process_knows_nothing_of_the_site():
    code = "import broker.releases.engine, sys; print([m for m in ('django', 'zones', 'consent') if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"


def test_two_conventions_never_share_a_watermark():
    assert manifest.watermark(b"a" * 64, "CV-1", "r") != manifest.watermark(b"b" * 64, "CV-1", "r")
    assert manifest.watermark(b"a" * 64, "CV-1", "r") != manifest.watermark(b"a" * 64, "CV-2", "r")


def test_recipients_read_one_sum_for_all_protected_persons():
    told = manifest.lost_to_tell({"no_subject": 1, "opposed": 2, "minor": 3, "small_class": 4})

    assert told == {"protected_persons": 6, "small_classes": 4}
