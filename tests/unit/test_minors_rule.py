"""The minors' rule of a recipe (G28): an age column excludes, a reason counts only where no column tells an age."""

from types import SimpleNamespace

import pytest

from broker.releases.recipe import _minors


def version(because=""):
    return SimpleNamespace(dataset=SimpleNamespace(is_personal=True, no_minors_because=because))


def column(name, role="quasi_identifier", number=1):
    return SimpleNamespace(pk=number, name=name, path=name, role=role, type="text", table_id=1, references=None)


KEY = column("personne", role="subject_key", number=2)
SILENT = SimpleNamespace(minors_covered=False)


def test_without_an_age_and_without_a_reason_every_row_is_excluded():
    assert _minors(SILENT, version(), [KEY, column("ville")]) == {"rule": "exclude"}


def test_a_reason_stands_where_no_column_tells_an_age():
    made = _minors(SILENT, version("titulaires d'un contrat, majeurs"), [KEY, column("ville")])

    assert made == {"rule": "none", "because": "titulaires d'un contrat, majeurs"}


@pytest.mark.parametrize("told", [column("age"), column("né le", role="birth")])
def test_a_reason_does_not_stand_against_a_column_of_ages_or_births(told):
    assert _minors(SILENT, version("tous majeurs"), [KEY, told])["rule"] == "exclude"
