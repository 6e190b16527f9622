"""The minors' rule of a recipe (G28): an age column excludes, a reason counts only where no column tells an age."""

from types import SimpleNamespace

from broker.releases.recipe import _minors


def dataset(because="", personal=True):
    return SimpleNamespace(is_personal=personal, no_minors_because=because)


def column(name, role="quasi_identifier"):
    return SimpleNamespace(name=name, role=role)


SILENT = SimpleNamespace(minors_covered=False)


def test_without_an_age_and_without_a_reason_every_row_is_excluded():
    assert _minors(SILENT, dataset(), [column("ville")]) == {"rule": "exclude", "age_column": None}


def test_a_reason_stands_where_no_column_tells_an_age():
    made = _minors(SILENT, dataset("titulaires d'un contrat, majeurs"), [column("ville")])

    assert made == {"rule": "none", "age_column": None, "because": "titulaires d'un contrat, majeurs"}


def test_a_reason_does_not_stand_against_a_column_of_ages():
    made = _minors(SILENT, dataset("tous majeurs"), [column("age")])

    assert made == {"rule": "exclude", "age_column": "age"}
