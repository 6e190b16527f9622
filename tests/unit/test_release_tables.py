"""A recipe over several tables: who leaves, with which rows, under which keys. The real engine, without a database."""

import copy
import csv
import hmac
import zipfile
from datetime import date

import pytest

from broker.releases import engine, manifest, recipe, words
from broker.releases.tables import TablePlan, TablesPlan, columns_of, quasi_of, tables_of
from tests.recompute import Inputs, moment, recompute
from tests.tables import (
    CATEGORY,
    KEEP,
    KEY,
    PSEUDONYM,
    RECORD,
    REKEYED,
    TOKEN_KEY,
    build,
    care_record,
    column,
    opened,
    table,
)


def token(subject: str) -> str:
    return hmac.digest(TOKEN_KEY.encode(), subject.encode(), "sha256").hex()


def pseudonym(subject: str, key: str = KEY) -> str:
    return hmac.digest(key.encode(), subject.encode(), "sha256").hex()[:32]


def rekeyed(domain: str, value: str, key: str = KEY) -> str:
    return hmac.digest(key.encode(), f"{domain}\x1f{value}".encode(), "sha256").hex()[:32]


def record(**lines) -> dict:
    """The record, with lines added to some tables."""
    return {name: [*every, *lines.get(name, [])] for name, every in RECORD.items()}


def test_a_release_of_several_tables_is_one_archive_with_its_licence(tmp_path):
    last = build(tmp_path, care_record(), RECORD)

    with zipfile.ZipFile(tmp_path / "out") as archive:
        members = archive.infolist()
        assert archive.testzip() is None
    assert [one.filename for one in members] == [
        *(f"data/{name}.csv" for name in RECORD), "LICENCE.txt",
    ]  # fmt: skip
    assert {one.compress_type for one in members} == {zipfile.ZIP_STORED}
    assert {one.date_time[:3] for one in members} == {(1980, 1, 1)}
    assert [one["rows_out"] for one in last["result"]["tables"]] == [4, 5, 5, 2, 2]


def test_keys_join_the_tables_of_a_release_under_its_own_key(tmp_path):
    build(tmp_path, care_record(), RECORD)

    rows = opened(tmp_path / "out")
    assert {row["pseudonym"] for row in rows["visits"]} == {pseudonym(f"patient-{n}") for n in range(1, 5)}
    assert {row["visit"] for row in rows["labs"]} == {row["visit"] for row in rows["visits"]}
    assert {row["carer"] for row in rows["visits"]} == {row["carer"] for row in rows["staff"]}
    assert rekeyed("visits.visit", "visit-100") in {row["visit"] for row in rows["visits"]}


def test_two_conventions_share_no_key_of_any_table(tmp_path):
    build(tmp_path / "a", care_record(), RECORD)
    build(tmp_path / "b", care_record(), RECORD, pseudonym_key="12" * 32)

    one, other = opened(tmp_path / "a" / "out"), opened(tmp_path / "b" / "out")
    for name, keys in (("patients", ["pseudonym"]), ("visits", ["pseudonym", "visit", "carer"]), ("staff", ["carer"])):
        for key in keys:
            assert not {row[key] for row in one[name]} & {row[key] for row in other[name]}


def test_one_value_under_two_keys_has_two_pseudonyms(tmp_path):
    same = record(visits=["carer-1,patient-4,carer-1,2020-06-01,A"])

    build(tmp_path, care_record(), same)

    [row] = [one for one in opened(tmp_path / "out")["visits"] if one["visit"] == rekeyed("visits.visit", "carer-1")]
    assert row["carer"] == rekeyed("staff.carer", "carer-1") != row["visit"]


def test_an_opposed_person_leaves_no_row_in_any_table(tmp_path):
    last = build(tmp_path, care_record(), RECORD, opposed=[token("patient-1")])

    rows = opened(tmp_path / "out")
    assert all(pseudonym("patient-1") not in row.values() for name in rows for row in rows[name])
    assert "1.5" not in {row["value"] for row in rows["labs"]}
    assert [one["dropped"].get("opposed") for one in last["result"]["tables"]] == [1, 2, 2, None, None]


def test_a_consent_is_asked_for_every_table(tmp_path):
    asks = care_record(consent={"purpose": "x", "recipient": "y"}, k=1)

    last = build(tmp_path, asks, RECORD, consented=[token("patient-2")])

    rows = opened(tmp_path / "out")
    assert {row["pseudonym"] for name in ("patients", "visits", "labs") for row in rows[name]} == {
        pseudonym("patient-2")
    }
    assert last["result"]["dropped"]["no_consent"] == 3 + 4 + 4


def test_a_row_without_a_known_subject_does_not_leave(tmp_path):
    strange = record(
        visits=["visit-200,,carer-1,2020-01-01,A", "visit-201,patient-77,carer-1,2020-01-01,A"],
        labs=["visit-999,2020-01-01 00:00:00,9", ",2020-01-01 00:00:00,9", "visit-201,2020-01-01 00:00:00,9"],
    )

    last = build(tmp_path, care_record(), strange)

    assert [one["dropped"].get("no_subject") for one in last["result"]["tables"]] == [0, 2, 3, None, None]
    assert last["result"]["tables"][1]["rows_out"] == 5


def test_a_key_that_stands_for_two_subjects_stands_for_none(tmp_path):
    doubled = record(visits=["visit-100,patient-2,carer-1,2020-06-01,A"])

    build(tmp_path, care_record(), doubled)

    assert "2.5" not in {row["value"] for row in opened(tmp_path / "out")["labs"]}


def test_two_keys_of_a_table_lead_to_its_subject_each_for_another_table(tmp_path):
    recipe, scanned = care_record(), copy.deepcopy(RECORD)
    visits, labs = recipe["tables"][1:3]
    visits["columns"].append(column("ticket", REKEYED, role="record_key"))
    visits["keys"].append({"column": "ticket", "of": ["visits", "ticket"]})
    visits["source_columns"].append("ticket")
    scanned["visits"] = ["visit,patient,carer,day,ward,ticket"] + [
        f"{line},T-{number}" for number, line in enumerate(RECORD["visits"][1:], start=1)
    ]
    scans = copy.deepcopy(labs) | {"name": "scans"}
    scans["columns"][0] |= {"name": "ticket"}
    scans["source_columns"][0] = "ticket"
    scans |= {"subject": {"column": "ticket", "through": ["visits", "ticket"]},
              "keys": [{"column": "ticket", "of": ["visits", "ticket"]}]}  # fmt: skip
    recipe["tables"].append(scans)
    scanned["scans"] = ["ticket,at,value", "T-3,2020-03-02 10:00:00,7.5", "T-9,2020-03-02 10:00:00,8.5"]

    build(tmp_path, recipe, scanned)

    rows = opened(tmp_path / "out")
    assert len(rows["labs"]) == 5
    assert [(row["pseudonym"], row["value"]) for row in rows["scans"]] == [(pseudonym("patient-2"), "7.5")]
    assert rows["scans"][0]["ticket"] in {row["ticket"] for row in rows["visits"]}


def test_the_days_between_two_rows_of_a_subject_are_kept_across_tables(tmp_path):
    build(tmp_path, care_record(), RECORD)

    rows = opened(tmp_path / "out")
    mine = pseudonym("patient-1")
    visits = sorted(date.fromisoformat(row["day"][:10]) for row in rows["visits"] if row["pseudonym"] == mine)
    labs = sorted(date.fromisoformat(row["at"][:10]) for row in rows["labs"] if row["pseudonym"] == mine)
    assert visits == labs and (visits[1] - visits[0]).days == 20
    assert visits[0] != date(2020, 1, 10)


def test_events_are_ranked_within_the_subject_in_each_table(tmp_path):
    build(tmp_path, care_record(), RECORD)

    mine = [row for row in opened(tmp_path / "out")["labs"] if row["pseudonym"] == pseudonym("patient-1")]
    assert [(row["event_rank"], row["value"]) for row in mine] == [("1", "2.5"), ("2", "1.5")]


def grown(*births, visits):
    """A record whose first patients were born on these days, with these visits only."""
    lines = [RECORD["patients"][0], *(f"patient-{n},Nom {n},{b},F," for n, b in enumerate(births, 1))]
    return {**RECORD, "patients": lines, "visits": [RECORD["visits"][0], *visits], "labs": RECORD["labs"][:1]}


@pytest.mark.parametrize(
    ("day", "leaves"),
    [("2020-05-05", False), ("2020-05-06", True), ("", False), ("hier", False), ("1999-05-06", False)],
)
def test_a_row_counts_by_the_age_of_its_subject_at_its_own_event(tmp_path, day, leaves):
    given = grown("2002-05-06", "1980-01-01", visits=[f"v1,patient-1,c,{day},A", "v2,patient-2,c,2020-01-01,A"])
    recipe = care_record(k=1)
    recipe["tables"][1]["columns"][3]["treatment"] = {"kind": "drop"}  # an unreadable day is then no wrong type

    last = build(tmp_path, recipe, given)

    assert (rekeyed("visits.visit", "v1") in {row["visit"] for row in opened(tmp_path / "out")["visits"]}) is leaves
    assert last["result"]["tables"][1]["dropped"]["minor"] == (0 if leaves else 1)


@pytest.mark.parametrize(("year", "leaves"), [("2002", False), ("2001", True), ("", False), ("x", False)])
def test_of_a_year_of_birth_the_latest_birthday_counts(tmp_path, year, leaves):
    given = grown(year, "1980", visits=["v1,patient-1,c,2020-12-31,A", "v2,patient-2,c,2020-01-01,A"])
    recipe = care_record(k=1)
    recipe["minors"]["birth"] = {"column": "birth", "as": "year"}

    build(tmp_path, recipe, given)

    assert (rekeyed("visits.visit", "v1") in {row["visit"] for row in opened(tmp_path / "out")["visits"]}) is leaves


def test_a_subject_whose_rows_are_all_a_minors_leaves_no_row_of_their_own(tmp_path):
    given = grown(
        "2000-01-01", "2000-01-01", "2000-01-01", "2010-01-01",
        visits=["v1,patient-1,c,2010-01-01,A", "v2,patient-2,c,2010-01-01,A", "v3,patient-2,c,2020-01-01,A"],
    )  # fmt: skip

    last = build(tmp_path, care_record(k=1), given)

    # the first: a child at the only event; the second: a child, then an adult; the others: no event, 26 and 16 today
    assert {row["pseudonym"] for row in opened(tmp_path / "out")["patients"]} == {
        pseudonym("patient-2"), pseudonym("patient-3"),
    }  # fmt: skip
    assert last["result"]["tables"][0]["dropped"]["minor"] == 2


def as_they_are(name: str, recipe: dict) -> dict:
    """`recipe`, in which rare values of the column `name` are not merged."""
    for one in (c for t in recipe["tables"] for c in t["columns"] if c["name"] == name):
        one["treatment"] = {"kind": "keep"}
    return recipe


FIVE = {
    "patients": ["patient-5,Gil Roux,1980-01-01,H,"],
    "visits": ["visit-105,patient-5,carer-1,2020-06-01,A"],
}


def test_a_subject_of_a_small_class_takes_all_their_rows_along(tmp_path):
    last = build(tmp_path, as_they_are("sex", care_record(k=3)), record(**FIVE))

    rows = opened(tmp_path / "out")  # two women among three men
    assert {row["sex"] for row in rows["patients"]} == {"H"}
    assert {row["pseudonym"] for row in rows["labs"]} <= {row["pseudonym"] for row in rows["patients"]}
    assert [one["dropped"]["small_class"] for one in last["result"]["tables"][:3]] == [2, 3, 3]


def test_a_row_of_a_small_class_of_its_own_leaves_alone(tmp_path):
    rare = record(visits=["visit-105,patient-1,carer-1,2021-01-01,Z", "visit-106,patient-3,carer-1,2021-01-01,Z"])

    last = build(tmp_path, as_they_are("ward", care_record()), rare)

    rows = opened(tmp_path / "out")  # two in ward Z: one of each sex, so that each is alone in their class
    assert {row["ward"] for row in rows["visits"]} == {"A"} and len(rows["patients"]) == 4
    assert last["result"]["tables"][1]["dropped"]["small_class"] == 2
    assert last["result"]["k_min"] == 2


def test_another_persons_pseudonym_stands_only_where_that_person_leaves(tmp_path):
    build(tmp_path, care_record(), RECORD)

    mothers = {row["pseudonym"]: row["mother"] for row in opened(tmp_path / "out")["patients"]}
    assert mothers[pseudonym("patient-2")] == pseudonym("patient-1")
    assert mothers[pseudonym("patient-1")] == ""  # patient-9 is nobody here


def test_a_reference_to_a_row_that_does_not_leave_is_empty_and_counted(tmp_path):
    recipe = kept_apart(care_record())
    more = record(
        visits=["visit-105,patient-1,carer-1,2020-06-01,Z"],
        labs=["visit-105,2020-06-01 08:00:00,6.5", "visit-105,2020-06-01 09:00:00,7.5"],
    )

    last = build(tmp_path, recipe, more)

    told = {one["name"]: one for one in last["result"]["tables"]}
    assert told["visits"]["dropped"]["small_class"] == 1, "the only one of ward Z"
    rows = opened(tmp_path / "out")
    there = {row["visit"] for row in rows["visits"]}
    by_value = {row["value"]: row["visit"] for row in rows["labs"]}
    assert rekeyed("visits.visit", "visit-105") not in (tmp_path / "out").read_bytes().decode("latin-1")
    assert by_value["6.5"] == by_value["7.5"] == ""
    assert {by_value[value] for value in ("1.5", "2.5", "3.5", "4.5", "5.5")} == there
    assert told["labs"]["emptied"] == {"visit": 2} and told["visits"]["emptied"] == {"carer": 0}
    assert manifest._told_of_table(told["labs"])["references_emptied"] == {"visit": 2}


def followed(recipe: dict) -> dict:
    """The recipe, whose visits name the one before."""
    visits = recipe["tables"][1]
    visits["columns"].append(column("before", REKEYED, role="record_key"))
    visits["source_columns"].append("before")
    visits["keys"].append({"column": "before", "of": ["visits", "visit"]})
    return recipe


def test_a_row_that_names_another_of_its_table_names_it_still_unless_it_stays(tmp_path):
    lines = RECORD["visits"]
    given = record(patients=["patient-6,Hal Noel,1980-01-01,H,patient-4"])
    given["visits"] = [
        f"{lines[0]},before", f"{lines[1]},", f"{lines[2]},visit-100", f"{lines[3]},visit-101",
        f"{lines[4]},visit-104", f"{lines[5]},visit-104",
    ]  # fmt: skip
    opposed = [token("patient-4")]

    last = build(tmp_path, followed(care_record(k=1)), given, opposed=opposed)

    rows, told = opened(tmp_path / "out"), {one["name"]: one for one in last["result"]["tables"]}
    held = {row["visit"]: row["before"] for row in rows["visits"]}
    named = [rekeyed("visits.visit", f"visit-10{n}") for n in range(5)]
    assert held == {named[0]: "", named[1]: named[0], named[2]: named[1], named[3]: ""}
    assert told["visits"]["emptied"] == {"carer": 0, "before": 1}, "the visit of whoever objects"
    mothers = {row["pseudonym"]: row["mother"] for row in rows["patients"]}
    assert mothers[pseudonym("patient-6")] == mothers[pseudonym("patient-1")] == ""
    assert told["patients"]["emptied"] == {"mother": 2}, "one objects, one is nobody here"
    inputs = Inputs(
        source=tmp_path, recipe=followed(care_record(k=1)), pseudonym_key=KEY, token_key=TOKEN_KEY, opposed=opposed,
        clear=(tmp_path / "out").read_bytes(), sources={name: tmp_path / f"{name}.csv" for name in given},
    )  # fmt: skip
    assert recompute(inputs).failed == []


def test_a_single_table_keeps_the_persons_and_rows_that_it_names_if_they_leave(tmp_path):
    stays = table(
        "stays",
        [
            column("stay", REKEYED, role="record_key"), column("patient", PSEUDONYM, role="subject_key"),
            column("mother", REKEYED, role="record_key"), column("before", REKEYED, role="record_key"),
            column("birth", {"kind": "drop"}, "date", "birth"), column("day", {"kind": "drop"}, "date", "timestamp"),
        ],
        subject={"column": "patient"}, event="day",
        keys=[{"column": "stay", "of": ["stays", "stay"]}, {"column": "mother", "of": ["stays", "patient"]},
              {"column": "before", "of": ["stays", "stay"]}],
    )  # fmt: skip
    recipe = {**care_record(k=1), "tables": [stays], "subjects": {"table": "stays", "column": "patient"}}
    lines = ["stay,patient,mother,before,birth,day", "s1,p1,p2,,1980-01-01,2020-01-01",
             "s2,p2,p3,s3,1980-01-01,2020-01-01", "s3,p3,,s1,2015-01-01,2020-01-01"]  # fmt: skip

    last = build(tmp_path, recipe, {"stays": lines})

    rows = list(csv.DictReader((tmp_path / "out").open()))
    found = {row["stay"]: (row["mother"], row["before"]) for row in rows}
    assert found == {rekeyed("stays.stay", "s1"): (pseudonym("p2"), ""), rekeyed("stays.stay", "s2"): ("", "")}
    assert last["result"]["tables"][0]["emptied"] == {"mother": 1, "before": 1}, "the third one is a child"


def by_reference(recipe: dict) -> dict:
    """The recipe, whose staff leave where a visit or one of them names them; each names who leads them."""
    staff = recipe["tables"][3]
    staff["columns"].insert(1, column("leader", REKEYED, role="record_key"))
    staff["source_columns"] = ["carer", "leader", "name", "speciality"]
    staff["keys"].append({"column": "leader", "of": ["staff", "carer"]})
    return {**recipe, "tables": [*recipe["tables"][:3], {**staff, "leaves": "referred"}, recipe["tables"][4]]}


STAFF = [
    "carer,leader,name,speciality", "carer-1,carer-3,Eve Blanc,cardio", "carer-2,,Flo Noir,neuro",
    "carer-3,carer-4,Guy Vert,cardio", "carer-4,,Ida Roux,direction", "carer-5,carer-4,Jo Brun,neuro",
]  # fmt: skip


def test_rows_of_no_person_leave_where_a_row_that_leaves_names_them(tmp_path):
    recipe, given = by_reference(care_record(k=1)), {**RECORD, "staff": STAFF}
    opposed = [token("patient-2"), token("patient-4")]  # who alone saw the second carer

    last = build(tmp_path, recipe, given, opposed=opposed)

    rows, told = opened(tmp_path / "out"), {one["name"]: one for one in last["result"]["tables"]}
    named = {rekeyed("staff.carer", f"carer-{n}"): n for n in range(1, 6)}
    assert {named[row["carer"]]: named.get(row["leader"]) for row in rows["staff"]} == {1: 3, 3: 4, 4: None}
    assert told["staff"]["dropped"] == {"unreferred": 2, "small_class": 0} and told["staff"]["rows_in"] == 5
    assert (told["units"]["rows_out"], told["units"]["dropped"]) == (2, {"small_class": 0}), "nobody names a unit"
    assert manifest._told_of_table(told["staff"])["rows"]["lost"]["unreferred"] == 2
    inputs = Inputs(
        source=tmp_path, recipe=recipe, pseudonym_key=KEY, token_key=TOKEN_KEY, opposed=opposed,
        clear=(tmp_path / "out").read_bytes(), sources={name: tmp_path / f"{name}.csv" for name in given},
    )  # fmt: skip
    assert recompute(inputs).failed == []


def nobodys(name: str, **refers: str) -> dict:
    """A table of no person with its own key "id", whose other columns refer to the key of another."""
    keys = [{"column": "id", "of": [name, "id"]}, *({"column": c, "of": [to, "id"]} for c, to in refers.items())]
    return table(name, [column(one["column"], REKEYED) for one in keys], keys=keys)


def test_a_recipe_says_which_tables_of_no_person_leave_by_reference():
    visits = {**nobodys("visits", carer="staff"), "subject": {"column": "patient"}}
    every = [visits, nobodys("staff", unit="units", leader="staff"), nobodys("units"), nobodys("drugs"),
             nobodys("left", of="right"), nobodys("right", of="left"), nobodys("after", of="right")]  # fmt: skip

    told = {one["name"]: one.get("leaves") for one in recipe._with_leaving(every, personal=True)}
    of_nobody = recipe._with_leaving(every[1:], personal=False)

    assert told == {
        "visits": None, "staff": "referred", "units": "referred", "drugs": "whole", "left": "whole", "right": "whole",
        "after": "whole",
    }  # fmt: skip
    assert all("leaves" not in one for one in of_nobody)
    assert [name for name, _words in words.leaving({"format": 2, "tables": [visits, {**every[1], "leaves": "whole"}]})]


def test_small_classes_of_a_table_of_no_person_are_made_of_the_rows_that_leave(tmp_path):
    recipe = by_reference(care_record(k=2))
    recipe["tables"][3]["quasi_identifiers"] = ["speciality"]

    last = build(tmp_path, recipe, {**RECORD, "staff": STAFF})

    told = last["result"]["tables"][3]  # two of cardio leave; of neuro one is named, of the direction one leads
    assert told["dropped"] == {"unreferred": 1, "small_class": 2} and told["k_min"] == 2
    assert {row["speciality"] for row in opened(tmp_path / "out")["staff"]} == {"cardio"}


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("labs", "visit-100,2020-01-10 09:00:00,Carl Petit"),
        ("labs", "visit-100,2020-01-10 09:00:00,Eve Blanc"),
        ("labs", "visit-100,2020-01-10 09:00:00,patient-3"),
        ("units", "mg,Bea Morel"),
        ("units", "mg,jean.dupont@exemple.fr"),
        ("labs", "visit-100,2020-01-10 09:00:00,venue avec patient-3 (sa voisine)"),
        ("units", "mg,milligramme; écrire à jean.dupont@exemple.fr pour le détail"),
        ("units", "mg,rappeler au 06 12 34 56 78 avant midi"),
        ("labs", "visit-100,2020-01-10 09:00:00,venue avec CARL  PETIT sa voisine"),
        ("labs", "visit-100,2020-01-10 09:00:00,avis du Dr Eve-Blanc ce jour"),
        ("units", "mg,dose de Bea Morel"),
        ("units", "mg,dose de béa môrel. à revoir"),
    ],
)
def test_an_identifier_of_any_table_is_found_in_every_other(tmp_path, where, line):
    last = build(tmp_path, care_record(), record(**{where: [line]}))

    assert last["refused"] == "identifier"
    assert last["facts"]["columns"] == [f"{where}.{'value' if where == 'labs' else 'meaning'}"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("said", ["la carl petite", "Petit Carl", "carl et petit", "bea, puis morel le soir"])
def test_words_that_only_look_like_a_name_are_nobodys(tmp_path, said):
    last = build(tmp_path, care_record(), record(labs=[f'visit-100,2020-01-10 09:00:00,"{said}"']))

    assert "result" in last, last


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (record(patients=["patient-1,Ada Duval,1980-03-02,F,"]), "doubled"),
        ({**RECORD, "staff": ["carer,name", "carer-1,Eve Blanc"]}, "header"),
        (record(visits=["visit-300,patient-1,carer-1,hier,A"]), "type"),
        ({**RECORD, "patients": RECORD["patients"][:1]}, "empty"),
    ],
)
def test_what_cannot_be_built_is_refused_and_leaves_no_file(tmp_path, given, code):
    recipe = care_record()
    recipe["tables"] = recipe["tables"][:3] if code == "empty" else recipe["tables"]

    last = build(tmp_path, recipe, given)

    assert last["refused"] == code
    assert not (tmp_path / "out").exists()


def test_more_subjects_lost_than_the_share_allowed_refuse_the_build(tmp_path):
    last = build(tmp_path, as_they_are("sex", care_record(k=3, suppression_max_pct=5)), record(**FIVE))

    assert (last["refused"], last["facts"]["rows"]) == ("suppression", 2)


def test_a_table_of_persons_without_an_age_refuses_the_build(tmp_path):
    recipe = care_record()
    recipe["tables"][2]["event"] = None

    last = build(tmp_path, recipe, RECORD)

    assert (last["refused"], last["facts"]) == ("no_age", {"table": "labs"})


def test_the_same_recipe_makes_the_same_bytes(tmp_path):
    one = build(tmp_path / "a", care_record(), RECORD)["result"]
    other = build(tmp_path / "b", care_record(), RECORD)["result"]

    assert one["clear_sha256"] == other["clear_sha256"]


def test_the_order_of_the_source_is_not_that_of_the_release(tmp_path):
    turned = {name: [lines[0], *reversed(lines[1:])] for name, lines in RECORD.items()}

    one = build(tmp_path / "a", care_record(), RECORD)["result"]
    other = build(tmp_path / "b", care_record(), turned)["result"]

    assert one["clear_sha256"] == other["clear_sha256"]


def test_no_clear_file_is_left_and_no_pipe(tmp_path):
    build(tmp_path, care_record(), RECORD)

    assert sorted(one.name for one in (tmp_path / "scratch").rglob("*")) == ["tokens"]


def test_a_table_that_is_not_asked_is_read_and_does_not_leave(tmp_path):
    recipe = care_record()
    recipe["tables"][1]["columns"] = []
    recipe["tables"][1]["quasi_identifiers"] = []

    last = build(tmp_path, recipe, RECORD)

    rows = opened(tmp_path / "out")
    assert "visits" not in rows and len(rows["labs"]) == 5
    assert [one["name"] for one in last["result"]["tables"]] == ["patients", "labs", "staff", "units"]


def test_one_table_of_format_2_is_one_file_judged_row_by_row(tmp_path):
    stays = table(
        "stays",
        [
            column("patient", {"kind": "pseudonym"}, role="subject_key"),
            column("birth", {"kind": "drop"}, "date", "birth"), column("day", {"kind": "drop"}, "date", "timestamp"),
            column("sex", CATEGORY, role="quasi_identifier"),
        ],
        subject={"column": "patient"}, event="day", quasi_identifiers=["sex"],
    )  # fmt: skip
    recipe = {**care_record(), "tables": [stays], "subjects": {"table": "stays", "column": "patient"}}
    lines = ["patient,birth,day,sex", "p1,2000-01-01,2010-01-01,F", "p1,2000-01-01,2020-01-01,F",
             "p2,1980-01-01,2020-01-01,F"]  # fmt: skip

    last = build(tmp_path, recipe, {"stays": lines})

    assert (tmp_path / "out").read_text().splitlines()[0] == "pseudonym,event_rank,sex"
    assert (last["result"]["rows_out"], last["result"]["dropped"]["minor"], last["result"]["k_min"]) == (2, 1, 2)
    assert list(last["result"]["losses"]) == ["sex"]


def broken_build(guard: str, answer: str) -> type[engine.Build]:
    class Broken(TablePlan):
        """One guard is not kept."""

    setattr(Broken, guard, lambda self: answer)

    class Build(engine.TablesBuild):
        table_class = Broken

    return Build


@pytest.mark.parametrize(
    ("guard", "answer"), [("small", "false"), ("unopposed", "true"), ("adult", "true"), ("consented", "true")]
)
def test_each_guard_can_be_broken_in_one_place_and_then_more_leaves(tmp_path, guard, answer):
    # patient-3 objects, patient-4 does not consent, patient-6 is a child, patient-1 and patient-2 are a class of two
    recipe = as_they_are("sex", care_record(k=3, consent={"purpose": "x", "recipient": "y"}))
    given = record(
        patients=[*FIVE["patients"], "patient-6,Hal Noel,2015-01-01,H,", "patient-7,Ian Vidal,1980-01-01,H,",
                  "patient-8,Job Remy,1980-01-01,H,"],
        visits=["visit-106,patient-6,carer-1,2020-06-01,A"],
    )  # fmt: skip
    of = {"opposed": [token("patient-3")], "consented": [token(f"patient-{n}") for n in (1, 2, 3, 5, 6, 7, 8)]}

    kept = build(tmp_path / "kept", recipe, given, **of)["result"]
    broken = build(tmp_path / "broken", recipe, given, build_class=broken_build(guard, answer), **of)

    if guard == "small":  # the build itself then measures a class that is too small
        assert (broken["refused"], broken["facts"]["k_min"]) == ("k", 2)
    else:
        assert broken["result"]["tables"][0]["rows_out"] == kept["tables"][0]["rows_out"] + 1 == 4


def test_a_key_stands_in_no_statement():
    plan = TablesPlan(care_record(), paths=dict.fromkeys(RECORD, "/x"))

    texts = [statement.sql for statement in plan.statements()] + [one.output() for one in plan.released]

    assert not any(KEY in text or TOKEN_KEY in text for text in texts)


def test_a_recipe_of_format_1_is_read_as_a_list_of_one_table():
    stored = {
        "dataset": {"slug": "sejours", "version": 1, "source_sha256": "aa", "rows": 3}, "reading": {},
        "source_columns": ["id", "age"], "subject_key": "id", "identifiers": [], "rank_by": None,
        "columns": [column("id"), column("age")], "minors": {"rule": "exclude", "age_column": "age"},
        "quasi_identifiers": ["age"],
    }  # fmt: skip

    [one] = tables_of(copy.deepcopy(stored))

    assert (one["name"], one["subject"], one["age"]) == ("sejours", {"column": "id"}, "age")
    assert (list(columns_of(stored)), quasi_of(stored)) == (["id", "age"], ["age"])
    assert list(columns_of(care_record()))[:2] == ["patients.patient", "patients.birth"]


def test_tables_whose_names_differ_only_by_signs_or_capitals_keep_a_member_each():
    taken: list[str] = []

    for name in ("a/b", "a:b", "A_B", "..", ""):
        taken.append(engine.member_path(name, "csv", taken))

    assert taken == ["data/a_b.csv", "data/a_b-2.csv", "data/A_B-3.csv", "data/table.csv", "data/table-2.csv"]


def a_crowd() -> dict:
    """Sixty patients of two towns and three jobs, with visits to wards of which few see each."""
    patients = ["patient,name,birth,sex,mother"]
    visits, labs = ["visit,patient,carer,day,ward"], ["visit,at,value"]
    for n in range(60):
        sex = "FH"[n % 2] if n % 20 else "X"
        patients.append(f"patient-{n:03},Ada {n},19{50 + n % 40}-03-02,{sex},")
        for visit in range(1 + n % 3):
            ward = "ABC"[(n + visit) % 3] if n % 7 else f"W{n % 5}"
            visits.append(f"visit-{n:03}{visit},patient-{n:03},carer-1,2020-0{visit + 1}-10,{ward}")
            labs.append(f"visit-{n:03}{visit},2020-0{visit + 1}-10 08:00:00,{n}.5")
    return {**RECORD, "patients": patients, "visits": visits, "labs": labs}


def kept_apart(recipe: dict) -> dict:
    """The recipe whose quasi-identifiers leave as they are, so that small classes go and are not merged away."""
    for one in recipe["tables"]:
        for each in one["columns"]:
            if each["name"] in one["quasi_identifiers"]:
                each["treatment"] = KEEP
    return recipe


def test_what_a_preview_of_tables_says_a_column_costs_is_what_its_absence_gives_back(tmp_path):
    recipe, given = by_reference(kept_apart(care_record(k=5))), {**a_crowd(), "staff": STAFF}

    def previewed(folder, asked) -> dict:
        return build(tmp_path / folder, asked, given, preview={"floor": 11})["result"]

    found = previewed("whole", recipe)

    release = build(tmp_path / "release", recipe, given)["result"]
    assert found["dropped"] == release["dropped"] and found["k_min"] == release["k_min"] >= 5
    assert 0 < found["k_before"] < 5 and found["small_before"] > 0
    assert found["without"].keys() == {"patients.sex", "visits.ward"}
    for path, lost in found["without"].items():
        name, column = path.split(".")
        less = copy.deepcopy(recipe)
        one = next(one for one in less["tables"] if one["name"] == name)
        one["quasi_identifiers"].remove(column)
        assert previewed(path, less)["dropped"]["small_class"] == lost < found["dropped"]["small_class"]
    assert found["losses"]["visits.ward"], "who loses rows is told of groups large enough"


def test_a_moment_with_an_offset_keeps_the_local_time_that_is_written(tmp_path):
    recipe = care_record()
    labs = next(one for one in recipe["tables"] if one["name"] == "labs")
    next(one for one in labs["columns"] if one["name"] == "at")["treatment"] = KEEP
    lines = [
        line.replace("08:00:00", "08:00:00+01:00").replace("09:00:00", "09:00:00-05:00") for line in RECORD["labs"]
    ]

    build(tmp_path, recipe, {**RECORD, "labs": lines})

    told = {row["value"]: row["at"] for row in opened(tmp_path / "out")["labs"]}
    assert (told["1.5"], told["2.5"]) == ("2020-01-30 08:00:00", "2020-01-10 09:00:00")
    assert moment("2020-01-30T08:00:00+01:00").isoformat(" ") == told["1.5"]
