"""What the profile tells of a table, run on real and made-up files: identifiers are told, and none is shown."""

import csv
import gzip
import json
import shutil

import pytest

from tests.unit.test_detection import MADE
from zones.profile import profile


def seen_in(path, tmp_path, *, personal=True, reading=""):
    relation = f"read_csv('{path}', all_varchar = true, header = true{reading})"
    order = {"relation": relation, "scratch": str(tmp_path), "memory": 512, "decimal": ".", "personal": personal}
    return profile(order)


@pytest.mark.parametrize("personal", [True, False])
def test_identifiers_are_told_and_no_value_of_them_is_written(tmp_path, personal):
    path, values = tmp_path / "people.csv", {kind: [make() for _ in range(12)] for kind, make in MADE.items()}
    with path.open("w", newline="") as out:
        lines = csv.writer(out)
        lines.writerow([*MADE, "ward"])
        lines.writerows([*(values[kind][row % 12] for kind in MADE), "ABC"[row % 3]] for row in range(120))

    told = seen_in(path, tmp_path, personal=personal)

    columns = {column["name"]: column for column in told["columns"]}
    assert {kind: columns[kind]["detected"]["kind"] for kind in MADE} == {kind: kind for kind in MADE}
    assert "detected" not in columns["ward"]
    shown = json.dumps([columns[kind] for kind in ("nir", "ins", "iban", "email", "phone")])
    assert not [one for kind in ("nir", "ins", "iban", "email", "phone") for one in values[kind] if one in shown]


def test_an_address_among_words_is_not_shown_either(tmp_path):
    path = tmp_path / "contacts.csv"
    path.write_text("contact\n" + "accueil\n" * 60 + "camille.martin@exemple.fr\n" * 40 + "standard\n" * 60)

    told = seen_in(path, tmp_path)["columns"][0]

    assert [value for value, _n in told["top"]] == ["accueil", "standard"]


def test_real_vehicles_are_told_by_their_numbers(real_data, tmp_path):
    path = tmp_path / "mileage.csv"
    source = real_data / "av-zones/city/ca-dmv-2023/2023-Autonomous-Mileage-Reports-CSV.csv.gz"
    with gzip.open(source) as packed, path.open("wb") as out:
        shutil.copyfileobj(packed, out)

    columns = seen_in(path, tmp_path, personal=False)["columns"]

    assert {c["name"].strip(): c["detected"]["kind"] for c in columns if "detected" in c} == {"VIN NUMBER": "vin"}


def test_a_real_hospital_raises_no_false_alarm(real_data, tmp_path):
    found = sorted((real_data / "hospital/diabetes130").glob("*.csv*"))
    source = next(one for one in found if "diabetic" in one.name)

    columns = seen_in(source, tmp_path)["columns"]

    assert len(columns) == 50
    assert [c["name"] for c in columns if "detected" in c] == []
