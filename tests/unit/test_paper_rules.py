"""Deadlines, the automatic checks of a request, the completeness of signatures."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import checks, deadlines, signatures
from consent.signatures import Signed

TODAY = date(2026, 11, 23)
EVIDENCE = {
    "mandate": "statuts, article 12", "insurer": "Mutuelle", "insurance_policy": "RC-1",
    "insurance_until": "2028-01-31", "dpo_contact": "dpo@exemple.fr", "record_extract": "fiche 7",
    "questionnaire": list(checks.QUESTIONNAIRE), "hosting_country": "FR", "hosting_name": "Hébergeur",
    "hds_until": "2027-06-30", "commitment": True,
}  # fmt: skip
IN_ORDER = checks.File(
    siren="900000076", name="Glycéa", names=("Julie Caron",), domains=frozenset({"clinical"}), evidence=EVIDENCE,
    company=checks.Company("GLYCEA SAS", True, "Julie CARON"), has_duplicate=False, today=TODAY,
)  # fmt: skip


def failed(file):
    return [check.key for check in checks.run(file) if not check.ok]


def without(*names, **others):
    return {**{k: v for k, v in EVIDENCE.items() if k not in names}, **others}


def test_a_file_in_order_passes_every_check():
    assert failed(IN_ORDER) == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"siren": "900000077"}, "siren_form"),
        ({"company": checks.Company("Glycéa", False, "Julie Caron")}, "siren_active"),
        ({"name": "Glycémia"}, "name"),
        ({"names": ("Samir Diallo",)}, "representative"),
        ({"has_duplicate": True}, "duplicate"),
        ({"evidence": without("mandate")}, "mandate"),
        ({"evidence": without("insurance_until")}, "insurance"),
        ({"evidence": without(insurance_until="2026-11-22")}, "insurance"),
        ({"evidence": without("dpo_contact")}, "dpo"),
        ({"evidence": without("record_extract")}, "record"),
        ({"evidence": without(questionnaire=["two_factors"])}, "security"),
        ({"evidence": without(hosting_country="US")}, "country"),
        ({"evidence": without("commitment")}, "commitment"),
        ({"evidence": without(hds_until="2026-11-22")}, "hds"),
    ],
)
def test_one_fault_is_one_failed_check(change, key):
    assert failed(replace(IN_ORDER, **change)) == [key]


def test_a_company_that_is_not_in_the_directory_fails_once():
    assert failed(replace(IN_ORDER, company=None)) == ["siren_active"]


def test_a_scope_without_personal_data_asks_for_identity_mandate_and_insurance_alone():
    bare = {k: EVIDENCE[k] for k in ("mandate", "insurer", "insurance_policy", "insurance_until")}

    assert failed(replace(IN_ORDER, domains=frozenset({"road_infrastructure"}), evidence=bare)) == []


def test_load_curves_ask_for_a_dpo_but_not_for_a_certified_health_host():
    file = replace(IN_ORDER, domains=frozenset({"energy_metering"}), evidence=without("hds_until", "hosting_name"))

    assert failed(file) == []


def test_insurance_valid_today_is_still_valid():
    assert failed(replace(IN_ORDER, evidence=without(insurance_until=TODAY.isoformat()))) == []


def test_an_accreditation_never_outlives_its_first_expiring_piece():
    assert checks.earliest_end(IN_ORDER) == date(2027, 6, 30)
    assert checks.earliest_end(replace(IN_ORDER, domains=frozenset({"hd_map"}))) == date(2028, 1, 31)


@given(st.text(max_size=40))
def test_names_are_compared_without_case_accents_or_legal_form(name):
    assert checks.plain(name) == checks.plain(name.upper().lower() if name.isascii() else name)
    assert checks.plain("Glycéa, S.A.S.") != checks.plain("Glycéa Santé")
    assert checks.plain("GLYCEA SAS") == checks.plain("Glycéa")


@pytest.mark.parametrize(
    ("day", "number", "expected"),
    [
        (date(2026, 11, 23), 2, date(2026, 11, 25)),
        (date(2026, 11, 27), 2, date(2026, 12, 1)),  # over a week-end
        (date(2026, 12, 24), 1, date(2026, 12, 28)),  # Christmas is a Friday
        (date(2027, 4, 30), 2, date(2027, 5, 4)),  # 1 May is a Saturday
        (date(2027, 5, 7), 1, date(2027, 5, 10)),  # 8 May is a Saturday
        (date(2027, 5, 5), 1, date(2027, 5, 7)),  # Ascension, Thursday 6 May 2027
    ],
)
def test_working_days_leave_out_week_ends_and_french_holidays(day, number, expected):
    assert deadlines.add_working_days(day, number) == expected


@pytest.mark.parametrize(
    ("day", "months", "last"),
    [
        (date(2026, 11, 30), 12, date(2027, 11, 29)),
        (date(2026, 1, 1), 12, date(2026, 12, 31)),
        (date(2024, 2, 29), 12, date(2025, 2, 27)),
        (date(2026, 8, 31), 6, date(2027, 2, 27)),
    ],
)
def test_a_period_of_months_ends_the_day_before_its_anniversary(day, months, last):
    assert deadlines.last_day_of(day, months) == last


SHA = "a" * 64


def signed(party="operator", **changes):
    facts = {"sha256": SHA, "level": "strengthened", "signed_on": TODAY, "mandate": "statuts", **changes}
    return Signed(party=party, **facts)


def missing(*given_, level="strengthened", holder=False):
    return signatures.missing_parties(given_, document_sha256=SHA, required_level=level, holder_is_distinct=holder)


def test_both_parties_at_the_level_asked_miss_nothing():
    assert missing(signed(), signed("experimenter")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "b" * 64},
        {"level": "simple"},
        {"level": "magic"},
        {"mandate": ""},
        {"mandate_until": date(2026, 11, 22)},
    ],
)
def test_a_signature_that_lacks_one_thing_does_not_count(change):
    assert missing(signed(**change), signed("experimenter")) == ["operator"]


def test_a_mandate_that_ends_on_the_day_of_the_signature_is_valid():
    assert missing(signed(mandate_until=TODAY), signed("experimenter")) == []


def test_a_distinct_holder_must_sign_too():
    assert missing(signed(), signed("experimenter"), holder=True) == ["holder"]


@given(st.sampled_from(signatures.LEVELS), st.sampled_from(signatures.LEVELS))
def test_a_higher_level_reaches_a_lower_one_and_never_the_other_way(level, required):
    assert signatures.reaches(level, required) == (signatures.LEVELS.index(level) >= signatures.LEVELS.index(required))
