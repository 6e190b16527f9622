"""How few persons share a value, against a count in plain Python, on real stays and made-up rows."""

import csv
import gzip
from collections import defaultdict

import pytest

from tests.releasing import STAYS
from zones import quality
from zones.classes import classes

QUASI = ["gender", "age", "admission_type_id", "medical_specialty"]


def measured(tmp_path, path, *, subject, columns) -> dict:
    relation = f"read_csv('{path}', all_varchar = true, header = true, nullstr = ['', '?'])"
    table = {"relation": relation, "subject": subject, "columns": columns}
    return classes({"tables": {"t": table}, "scratch": str(tmp_path), "memory": 512})["classes"]["t"]


def counted(rows: list[dict], columns: list[str], subject: str) -> dict:
    holders = defaultdict(set)
    for row in rows:
        holders[tuple(row[name] for name in columns)].add(row[subject])
    few = [members for members in holders.values() if len(members) < 5]
    return {"k": min(map(len, holders.values())), "under": len(set().union(*few))}


def test_classes_of_real_stays_are_those_of_a_plain_count(tmp_path):
    with gzip.open(STAYS, "rt", newline="") as lines:
        rows = [row for _n, row in zip(range(6000), csv.DictReader(lines), strict=False)]
    path = tmp_path / "stays.csv"
    with path.open("w", newline="") as out:
        lines = csv.DictWriter(out, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)

    told = measured(tmp_path, path, subject="patient_nbr", columns=QUASI)

    assert told["subjects"] == len({row["patient_nbr"] for row in rows})
    assert told["together"] == counted(rows, QUASI, "patient_nbr")
    for name in QUASI:
        others = [one for one in QUASI if one != name]
        alone = counted(rows, [name], "patient_nbr")
        assert told["columns"][name] == {**alone, "without": counted(rows, others, "patient_nbr")["under"]}


def test_a_person_of_many_rows_is_one_person_and_a_missing_value_is_a_value(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [("a", "x")] * 9 + [(f"p{n}", "y") for n in range(6)] + [("b", ""), ("", "z")]
    path.write_text("who,what\n" + "".join(f"{who},{what}\n" for who, what in rows))

    told = measured(tmp_path, path, subject="who", columns=["what"])

    assert told == {
        "subjects": 8,
        "together": {"k": 1, "under": 2},
        "columns": {"what": {"k": 1, "under": 2, "without": 0}},
    }


@pytest.mark.parametrize(("subject", "k"), [("who", 1), (None, 2)])
def test_without_a_key_of_the_person_a_row_is_one(tmp_path, subject, k):
    path = tmp_path / "rows.csv"
    path.write_text("who,what\na,x\na,x\n")

    assert measured(tmp_path, path, subject=subject, columns=["what"])["together"]["k"] == k


def test_the_column_that_costs_most_is_the_one_whose_loss_gives_most_back():
    class Seen:
        def __init__(self, name, without):
            shared = {"by": "subject", "subjects": 200, "together": {"k": 1, "under": 150}}
            self.name, self.profile = name, {"classes": {**shared, "k": 3, "under": 4, "without": without}}

    known = quality.recognised([Seen("zip", 10), Seen("sex", 140)])

    assert known is not None
    assert [(one.name, one.under, one.without, one.is_dearest) for one in known.columns] == [
        ("zip", 2.0, 5.0, True), ("sex", 2.0, 70.0, False),
    ]  # fmt: skip
    assert any("zip ; sans elle, 5,0 %" in words for words in known.words)
