"""What holds of any release of several tables: random records, keys, objections and consents, the real engine, and the
second program's opinion of every row."""

import csv
import hmac
import tempfile
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.recompute import Inputs, recompute, told_in_words
from tests.tables import KEY, RECORD, TOKEN_KEY, build, care_record, opened

OTHER_KEY = "0f" * 32
# A build takes half a second: few examples a run, and none is made smaller once one fails.
SLOW = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)  # fmt: skip

PERSONS = [f"patient-{n}" for n in range(1, 10)]
DAYS = st.dates(date(1985, 1, 1), date(2025, 12, 31)).map(date.isoformat)
BIRTHS = st.sampled_from(
    ["", "2010-03-04", "2001-12-31", "1999-02-28", "1980-02-29", "1971-07-01", "1950-10-10", "1930-01-01"]
)


@st.composite
def records(draw):
    """Tables as they might be: subjects without rows, rows without subjects, keys that lead nowhere or to two."""
    known = draw(st.lists(st.sampled_from(PERSONS), min_size=4, max_size=9, unique=True))
    anybody = st.sampled_from([*known, "", "patient-0"])
    visits = st.sampled_from([f"visit-{n}00" for n in range(12)])
    carers = st.sampled_from(["carer-1", "carer-2", ""])
    patients = [
        f"{one},Nom-de {one},{draw(BIRTHS)},{draw(st.sampled_from(['F', 'H', 'X', '']))},{draw(anybody)}"
        for one in known
    ]
    stays = draw(st.lists(st.tuples(visits, anybody, carers, DAYS, st.sampled_from("AB")), min_size=6, max_size=24))
    labs = draw(st.lists(st.tuples(visits, DAYS, st.sampled_from(["1.5", "-2", "", "haut"])), max_size=16))
    return {
        "patients": ["patient,name,birth,sex,mother", *patients],
        "visits": ["visit,patient,carer,day,ward", *(",".join(one) for one in stays)],
        "labs": ["visit,at,value", *(f"{visit},{day} 12:00:00,{value}" for visit, day, value in labs)],
        "staff": ["carer,name,speciality", "carer-1,Eve Blanc,cardio", "carer-2,Flo Noir,neuro"],
        "units": ["code,meaning", "mg,milligramme"],
    }


def token(subject: str) -> str:
    return hmac.digest(TOKEN_KEY.encode(), subject.encode(), "sha256").hex()


def built(record: dict, recipe: dict, folder: Path, *, key: str = KEY, **job: list[str]) -> dict | None:
    """The rows of each table, once the second program agrees with all of them; nothing when nobody was left."""
    last = build(folder, recipe, record, pseudonym_key=key, **job)
    if "refused" in last:
        assert last["refused"] in ("empty", "suppression"), last
        return None
    assert "result" in last, last
    inputs = Inputs(
        source=folder, recipe=recipe, pseudonym_key=key, token_key=TOKEN_KEY, opposed=job.get("opposed", []),
        clear=(folder / "out").read_bytes(), consented=job.get("consented", []),
        sources={name: folder / f"{name}.csv" for name in record},
    )  # fmt: skip
    assert recompute(inputs).failed == []
    return opened(folder / "out")


@SLOW
@given(records(), st.lists(st.sampled_from(PERSONS), max_size=3), st.integers(1, 3), st.booleans(), st.booleans())
def test_a_stranger_finds_every_row_of_a_random_record(record, objectors, k, asks, draws):
    consent = {"purpose": "x", "recipient": "y"} if asks else None
    of = {"opposed": [token(one) for one in objectors], "consented": [token(one) for one in PERSONS[:7]]}

    with tempfile.TemporaryDirectory() as folder:
        recipe = care_record(k=k, consent=consent, **({"sample": {"per_mille": 700}} if draws else {}))
        recipe["tables"][3]["leaves"] = "referred"
        rows = built(record, recipe, Path(folder), opposed=of["opposed"], consented=of["consented"])

    if rows:
        named = {hmac.digest(KEY.encode(), one.encode(), "sha256").hex()[:32] for one in objectors}
        assert not any(named & set(row.values()) for every in rows.values() for row in every)


@SLOW
@given(records())
def test_keys_join_inside_a_release_and_never_across_two_conventions(record):
    recipe = care_record(k=1)
    with tempfile.TemporaryDirectory() as folder:
        one = built(record, recipe, Path(folder) / "a")
        other = built(record, recipe, Path(folder) / "b", key=OTHER_KEY)
    if not one or not other:
        assert one is other
        return

    inside = {row["pseudonym"] for row in one["patients"]}
    assert all(row["pseudonym"] in inside for name in ("visits", "labs") for row in one[name])
    assert {row["carer"] for row in one["visits"]} - {""} <= {row["carer"] for row in one["staff"]}
    shared = {
        value
        for name in one
        for mine in one[name]
        for key, value in mine.items()
        if key in ("pseudonym", "visit", "carer", "mother") and value
    }
    assert not any(shared & set(row.values()) for every in other.values() for row in every)


@SLOW
@given(records())
def test_no_direct_identifier_survives_and_the_same_recipe_makes_the_same_bytes(record):
    recipe = care_record(k=2)
    with tempfile.TemporaryDirectory() as folder:
        rows = built(record, recipe, Path(folder) / "a")
        again = built(record, recipe, Path(folder) / "b")
        same = rows is None or (Path(folder) / "a" / "out").read_bytes() == (Path(folder) / "b" / "out").read_bytes()

    assert same and (rows is None) == (again is None)
    names = {line.split(",")[1] for name in ("patients", "staff") for line in record[name][1:]} | set(PERSONS)
    assert rows is None or not any(names & set(row.values()) for every in rows.values() for row in every)


NAMED = (
    "Ada Duval",
    "Éloïse de la Tour",
    "Nguyễn Văn An",
    "12 rue des Lilas, Caen",
    "06 12 34 56 78",
    "Jean-Marc O'Neil",
)
FILLER = ("revu", "le", "matin", "Duval", "de", "la", "rue", "12", "An", "Jean", "tour")


@st.composite
def notes(draw):
    """A note, in which somebody's name, address or number may stand, written otherwise."""
    words = draw(st.lists(st.sampled_from(FILLER), max_size=4))
    if draw(st.booleans()):
        name = draw(st.sampled_from([str.upper, str.lower, str.title, str]))(draw(st.sampled_from(NAMED)))
        words.insert(draw(st.integers(0, len(words))), name.replace(" ", draw(st.sampled_from([" ", "  ", "-", ". "]))))
    return " ".join(words)


@settings(SLOW, max_examples=15)
@given(notes(), notes(), st.sampled_from(NAMED), st.sampled_from(NAMED))
def test_no_direct_identifier_survives_in_a_sentence_of_any_table(note, meaning, of_a_patient, of_a_carer):
    record = {
        **RECORD,
        "patients": [line.replace("Ada Duval", f'"{of_a_patient}"') for line in RECORD["patients"]],
        "staff": [line.replace("Eve Blanc", f'"{of_a_carer}"') for line in RECORD["staff"]],
        "labs": [*RECORD["labs"], f'visit-100,2020-01-10 09:00:00,"{note}"'],
        "units": [*RECORD["units"], f'g,"{meaning}"'],
    }
    known = {cell for name in ("patients", "staff") for cell in [r["name"] for r in csv.DictReader(record[name])]}
    with tempfile.TemporaryDirectory() as folder:
        last = build(Path(folder), care_record(), record)
        rows = opened(Path(folder) / "out") if "result" in last else {}

    told = {name for name, text in (("labs.value", note), ("units.meaning", meaning)) if told_in_words(known, {text})}
    if "result" in last:
        held = {cell for every in rows.values() for row in every for cell in row.values()}
        assert not told and not told_in_words(known, held) and not known & held
    else:  # a telephone number is nobody's to release, even a stranger's
        phones = {"labs.value": note, "units.meaning": meaning}
        assert told <= set(last["facts"]["columns"]) <= told | {at for at, text in phones.items() if "06" in text}


@SLOW
@given(records())
def test_the_time_between_two_rows_of_a_subject_is_that_of_the_source(record):
    with tempfile.TemporaryDirectory() as folder:
        rows = built(record, care_record(k=1), Path(folder))
    if not rows:
        return

    held = defaultdict(set)
    for line in record["visits"][1:]:
        _visit, patient, _carer, day, _ward = line.split(",")
        held[hmac.digest(KEY.encode(), patient.encode(), "sha256").hex()[:32]].add(date.fromisoformat(day))
    shifts = defaultdict(set)
    for row in rows["visits"]:
        at = date.fromisoformat(row["day"][:10])
        shifts[row["pseudonym"]].add(
            frozenset(n for n in range(-182, 183) if at - timedelta(days=n) in held[row["pseudonym"]])
        )
    assert all(frozenset.intersection(*possible) for possible in shifts.values())
