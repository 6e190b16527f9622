"""Which zones may open: thresholds, and every reason at once (legal-gate, section 3.1)."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zones import geography
from zones.models import Zone
from zones.rules import BY_KIND, ServiceFacts, ZoneFacts, months_after, refusals

DAY = date(2026, 11, 22)
ROUEN = geography.commune("76540")
FRAME = {
    "day": DAY,
    "contact_email": "contact@exemple.fr",
    "dpo_email": "dpo@exemple.fr",
    "general_information_on": DAY,
    "frame_adopted_on": DAY,
}
SYSTEM = {"information_system": "Entrepôt de l'établissement"}

IN_ORDER = {
    "hospital": ZoneFacts(
        kind="hospital",
        communes=(ROUEN,),
        services=(ServiceFacts("Diabétologie", DAY, date(2027, 2, 22)),),
        evidence={**SYSTEM, "finess": "760780239", "dpia": "AIPD 2026-04"},
        **FRAME,
    ),
    "care_network": ZoneFacts(
        kind="care_network",
        communes=(geography.Commune("00001", "Bourg", "00", 2_000),),
        evidence={
            **SYSTEM,
            "members": {"pharmacy": "Officine", "general_practice": "Cabinet", "home_hospitalisation": "HAD"},
            "joined": {
                "pharmacy_joined_on": "2026-03-03",
                "general_practice_joined_on": "2026-03-10",
                "home_hospitalisation_joined_on": "2026-11-22",
            },
        },
        **FRAME,
    ),
    "eco_district": ZoneFacts(
        kind="eco_district",
        communes=(geography.Commune("00001", "Bourg", "00", 2_000),),
        evidence={
            **SYSTEM,
            "items": {
                "intermittent_production": "operational",
                "demand_management": "operational",
                "electric_vehicles": "planned",
                "electric_public_transport": "planned",
                "smart_city": "planned",
            },
        },
        **FRAME,
    ),
    "av_city": ZoneFacts(
        kind="av_city",
        communes=(geography.Commune("00001", "Ville", "00", 50_000),),
        evidence={**SYSTEM, "infrastructure": "40 bornes", "hd_map": "relevé 2026"},
        **FRAME,
    ),
    "av_motorway": ZoneFacts(
        kind="av_motorway",
        communes=(geography.commune("38185"),),
        evidence={**SYSTEM, "length_km": "100.1", "section": "A48-A49", "agreement_on": "2026-10-01"},
        **FRAME,
    ),
    "av_mountain": ZoneFacts(
        kind="av_mountain",
        communes=(geography.commune("05023"),),
        evidence={**SYSTEM, "winter": True, "road_profile": "relevé 2025", "winter_data": "neige 2024-2026"},
        **FRAME,
    ),
    "industrial_site": ZoneFacts(
        kind="industrial_site",
        communes=(ROUEN,),
        evidence={
            **SYSTEM,
            "siret": "73282932000074",
            "emissions": True,
            "employees_informed_on": "2026-10-01",
        },
        **FRAME,
    ),
}


def codes(facts):
    return [reason.code for reason in refusals(facts)]


def with_evidence(kind, **change):
    facts = IN_ORDER[kind]
    return replace(facts, evidence={**facts.evidence, **change})


def test_every_kind_has_its_rules():
    assert set(BY_KIND) == set(Zone.Kind.values) == set(IN_ORDER)


@pytest.mark.parametrize("kind", IN_ORDER)
def test_a_zone_in_order_may_open(kind):
    assert codes(IN_ORDER[kind]) == []


@pytest.mark.parametrize("kind", IN_ORDER)
def test_an_empty_draft_is_told_every_reason_with_its_source(kind):
    reasons = refusals(ZoneFacts(kind=kind, day=DAY))

    assert [r.code for r in reasons][:5] == ["Z01", "Z02", "Z03", "Z04", "Z06"]
    assert len(reasons) > 5
    assert all(reason.source and reason.message.endswith(".") for reason in reasons)


FAULTS = [
    ("hospital", {"contact_email": ""}, "Z01"),
    ("hospital", {"dpo_email": ""}, "Z02"),
    ("hospital", {"frame_adopted_on": DAY + timedelta(days=1)}, "Z03"),
    ("hospital", {"communes": ()}, "Z04"),
    ("hospital", {"unknown_communes": ("75101",)}, "Z05"),
    ("hospital", {"evidence.information_system": " "}, "Z06"),
    ("hospital", {"evidence.finess": "76078023"}, "Z10"),
    ("hospital", {"evidence.finess": "2C0780239"}, "Z10"),
    ("hospital", {"services": ()}, "Z11"),
    ("hospital", {"services": (ServiceFacts("Passé", date(2025, 1, 1), DAY - timedelta(days=1)),)}, "Z11"),
    ("hospital", {"services": (ServiceFacts("Court", DAY, date(2027, 2, 21)),)}, "Z12"),
    ("hospital", {"evidence.dpia": ""}, "Z13"),
    ("hospital", {"general_information_on": None}, "Z14"),
    ("care_network", {"communes": (geography.Commune("00001", "Hameau", "00", 1_999),)}, "Z20"),
    ("care_network", {"evidence.members": {"pharmacy": "Officine", "general_practice": "Cabinet"}}, "Z21"),
    (
        "care_network",
        {"evidence.joined": {"pharmacy_joined_on": "2026-03-03", "general_practice_joined_on": "2026-03-10"}},
        "Z22",
    ),
    (
        "care_network",
        {
            "evidence.joined": {
                "pharmacy_joined_on": "2026-11-23",
                "general_practice_joined_on": "2026-03-10",
                "home_hospitalisation_joined_on": "2026-03-10",
            }
        },
        "Z22",
    ),
    ("eco_district", {"communes": (geography.Commune("00001", "Hameau", "00", 1_999),)}, "Z30"),
    ("av_city", {"evidence.infrastructure": ""}, "Z41"),
    ("av_city", {"evidence.hd_map": ""}, "Z42"),
    ("av_motorway", {"evidence.length_km": "cent"}, "Z50"),
    ("av_motorway", {"evidence.length_km": "NaN"}, "Z50"),
    ("av_motorway", {"evidence.length_km": "Infinity"}, "Z50"),
    ("av_motorway", {"evidence.section": ""}, "Z51"),
    ("av_motorway", {"evidence.agreement_on": "2026-11-23"}, "Z52"),
    ("av_motorway", {"evidence.agreement_on": "bientôt"}, "Z52"),
    ("av_mountain", {"evidence.winter": False}, "Z60"),
    ("av_mountain", {"evidence.road_profile": ""}, "Z61"),
    ("av_mountain", {"evidence.winter_data": ""}, "Z62"),
    ("industrial_site", {"evidence.siret": "73282932000075"}, "Z70"),
    ("industrial_site", {"evidence.emissions": False}, "Z71"),
    ("industrial_site", {"evidence.employees_informed_on": ""}, "Z72"),
]


@pytest.mark.parametrize(("kind", "change", "code"), FAULTS, ids=[f"{c}-{n}" for n, (_, _, c) in enumerate(FAULTS)])
def test_one_fault_is_one_reason(kind, change, code):
    facts = IN_ORDER[kind]
    evidence = {k.removeprefix("evidence."): v for k, v in change.items() if k.startswith("evidence.")}
    plain = {k: v for k, v in change.items() if not k.startswith("evidence.")}

    faulty = replace(facts, evidence={**facts.evidence, **evidence}, **plain)

    assert codes(faulty) == [code]


def test_a_district_needs_a_production_and_a_consumption_in_service():
    items = IN_ORDER["eco_district"].evidence["items"]

    assert codes(with_evidence("eco_district", items={**items, "intermittent_production": "planned"})) == ["Z32"]
    assert codes(with_evidence("eco_district", items={**items, "demand_management": "planned"})) == ["Z32"]
    assert codes(with_evidence("eco_district", items={**items, "smart_city": "none"})) == ["Z31"]


@given(st.integers(min_value=0, max_value=3_000_000))
def test_a_city_zone_opens_from_fifty_thousand_inhabitants(population):
    facts = replace(IN_ORDER["av_city"], communes=(geography.Commune("00001", "Ville", "00", population),))

    assert codes(facts) == ([] if population >= 50_000 else ["Z40"])


@pytest.mark.parametrize(("population", "expected"), [(49_999, ["Z40"]), (50_000, [])])
def test_the_threshold_of_a_city_is_included(population, expected):
    facts = replace(IN_ORDER["av_city"], communes=(geography.Commune("00001", "Ville", "00", population),))

    assert codes(facts) == expected


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("av_city", {"communes": (geography.Commune("00001", "Ville", "00", 49_999),)}, ["Z40"]),
        ("av_city", {"communes": (geography.Commune("00001", "Ville", "00", 50_000),)}, []),
        ("av_city", {"communes": (geography.commune("85194"),)}, ["Z40"]),  # Les Sables-d'Olonne, 49,603
        ("av_city", {"communes": (geography.commune("35238"),)}, []),  # Rennes, 230,890
        ("av_motorway", {"length_km": "100.0"}, ["Z50"]),
        ("av_motorway", {"length_km": "100.1"}, []),
    ],
    ids=["49 999", "50 000", "Les Sables-d'Olonne", "Rennes", "100.0 km", "100.1 km"],
)
def test_scenario_21_a_zone_below_the_threshold_is_refused_and_at_it_accepted(kind, change, expected):
    facts = IN_ORDER[kind]
    if length := change.get("length_km"):
        facts = with_evidence(kind, length_km=length)
    else:
        facts = replace(facts, **change)

    reasons = refusals(facts)

    assert [reason.code for reason in reasons] == expected


def test_several_villages_do_not_make_a_city():
    villages = tuple(geography.Commune(f"0000{n}", f"Village {n}", "00", 30_000) for n in range(3))

    assert codes(replace(IN_ORDER["av_city"], communes=villages)) == ["Z40"]


def test_les_sables_d_olonne_is_no_city_zone_and_its_population_says_why():
    facts = replace(IN_ORDER["av_city"], communes=(geography.commune("85194"),))

    (reason,) = refusals(facts)

    assert reason.code == "Z40"
    assert "Les Sables-d'Olonne" in reason.message
    assert geography.commune("85194").population == 49_603


@given(st.decimals(min_value=0, max_value=1000, places=1))
def test_a_motorway_section_is_longer_than_a_hundred_kilometres(length):
    assert codes(with_evidence("av_motorway", length_km=str(length))) == ([] if length > Decimal("100.0") else ["Z50"])


@pytest.mark.parametrize(("length", "expected"), [("100.0", ["Z50"]), ("100,0", ["Z50"]), ("100.1", []), ("100,1", [])])
def test_the_threshold_of_a_motorway_is_excluded(length, expected):
    assert codes(with_evidence("av_motorway", length_km=length)) == expected


@given(st.dates(min_value=date(2026, 1, 1), max_value=date(2030, 1, 1)), st.integers(min_value=0, max_value=400))
def test_a_service_hosts_for_three_months_at_least(start, days):
    end = start + timedelta(days=days)
    facts = replace(IN_ORDER["hospital"], day=start, services=(ServiceFacts("S", start, end),))
    facts = replace(facts, frame_adopted_on=start, general_information_on=start)

    assert codes(facts) == ([] if end >= months_after(start, 3) else ["Z12"])


@pytest.mark.parametrize(
    ("day", "after"),
    [
        (date(2026, 11, 22), date(2027, 2, 22)),
        (date(2026, 11, 30), date(2027, 2, 28)),
        (date(2027, 11, 30), date(2028, 2, 29)),
        (date(2026, 8, 31), date(2026, 11, 30)),
    ],
)
def test_three_months_later_is_the_same_day_or_the_last_of_its_month(day, after):
    assert months_after(day, 3) == after


def test_communes_are_the_current_ones_with_their_population():
    assert geography.commune("76540") == geography.Commune("76540", "Rouen", "76", 117_662)
    assert geography.commune("2A004").name == "Ajaccio"
    assert geography.find("75101") is None, "an arrondissement is no commune"
    with pytest.raises(KeyError):
        geography.commune("00000")


def test_a_commune_is_found_by_code_and_by_name_without_accents():
    assert [c.code for c in geography.search("38151")] == ["38151"]
    assert geography.search("echirolles")[0].code == "38151"
    assert geography.search("valence")[0].code == "26362", "the largest of one name comes first"
    assert geography.search("x") == []


def test_the_packaged_communes_stay_small():
    assert (geography.REFERENCE / "communes-2026.csv.gz").stat().st_size <= 450_000
    assert geography.outline("76540") and geography.outline("01001") is None
