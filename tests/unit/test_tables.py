"""How tables are called, and what several files are together."""

import hashlib

import pytest

from zones import tables


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("encounters.csv", "encounters"),
        ("CONCEPT.csv.gz", "CONCEPT"),
        ("Patient.000.ndjson.gz", "Patient"),
        ("séjours 2026.tsv", "séjours 2026"),
        ("stays.2026-01.csv", "stays.2026-01"),
        (".csv", "table"),
        ("a/b:c.csv", "a_b_c"),
        ("x" * 300 + ".csv", "x" * 120),
    ],
)
def test_a_file_proposes_the_name_of_its_table(file, name):
    assert tables.name_of(file) == name


def test_the_fingerprint_of_one_file_is_its_own_and_of_several_covers_names_and_order():
    one, other = "1" * 64, "2" * 64

    assert tables.sha256_of([("a", one)]) == one
    both = tables.sha256_of([("a", one), ("b", other)])

    assert both == hashlib.sha256(f'[["a","{one}"],["b","{other}"]]'.encode()).hexdigest()
    assert both != tables.sha256_of([("b", other), ("a", one)])
    assert both != tables.sha256_of([("c", one), ("b", other)])
