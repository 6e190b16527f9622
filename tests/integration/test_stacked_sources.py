"""A file that holds several tables one under the other: told by its examination, read apart once a person says so.

The shape is that of IDs_mapping.csv of the hospital stays: tables parted by a line of commas, "NULL" as a description.
"""

import pytest
from django.urls import reverse

from tests.actors import signed_in
from tests.integration.test_sources import dataset, empty, folders, on_disk, profiled, sealed, steward_of
from zones import actions
from zones.reading import Reading, stacked_tables

__all__ = ["dataset", "empty", "folders"]  # fixtures
pytestmark = pytest.mark.django_db
TYPES = b"admission_type_id,description\r\n1,Emergency\r\n2,Urgent\r\n6,NULL\r\n"
LEFT = b'discharge_disposition_id,description\r\n1,Discharged to home\r\n9,"Admitted, as an inpatient"\r\n'
FROM = b"admission_source_id,description\r\n1, Physician Referral\r\n2,Clinic Referral\r\n3,HMO Referral\r\n7,x\r\n"
STACKED = TYPES + b",\r\n" + LEFT + b",\r\n" + FROM
TOLD = [["admission_type_id", 3], ["discharge_disposition_id", 2], ["admission_source_id", 4]]


@pytest.fixture
def refused(empty):
    return profiled(sealed(empty, STACKED))


def test_several_tables_in_one_file_are_told_with_their_rows(empty, refused):
    assert refused.status == "refused"
    assert "3 tables l'une sous l'autre" in refused.problem
    assert refused.proposed == {"stacked": TOLD}
    assert not empty.columns.exists()


def test_once_accepted_each_is_a_table_of_the_dataset(empty, refused, settings):
    client = signed_in(steward_of(empty.zone))
    page = client.get(refused.get_absolute_url()).content.decode()
    assert "« discharge_disposition_id » (2)" in page

    answer = client.post(
        reverse("version-reread", args=[empty.slug, refused.number]), {"act": "proposed", "mend": "stacked"}
    )
    made = profiled(empty.versions.get(number=2))

    assert answer.status_code == 302 and made.status == "profiled", made.problem
    assert [(f.table.name, f.rows, f.reading["stacked"]) for f in made.files.all()] == [
        ("stays", 3, 1), ("discharge_disposition_id", 2, 2), ("admission_source_id", 4, 3),
    ]  # fmt: skip
    assert made.rows == 9
    assert {f.sha256 for f in made.files.all()} == {refused.sha256}
    seen = {c.path: (c.type, c.profile["missing"]) for c in empty.columns.all()}
    assert seen["stays.description"] == ("text", 0), "NULL stays a description"
    assert seen["admission_source_id.admission_source_id"] == ("integer", 0)
    assert on_disk(settings.SCRATCH) == []


def test_the_next_file_of_the_same_shape_is_read_into_the_same_tables(empty, refused):
    steward = steward_of(empty.zone)
    profiled(actions.unstack_version(refused, by=steward))
    again = profiled(sealed(empty, STACKED.replace(b"3,HMO Referral\r\n", b""), by=steward))
    assert again.status == "refused"

    made = profiled(actions.unstack_version(again, by=steward))

    assert made.status == "profiled" and empty.tables.count() == 3
    assert [f.rows for f in made.files.all()] == [3, 2, 3]


def test_a_table_of_a_stack_read_otherwise_stays_the_table_it_was(empty, refused):
    steward = steward_of(empty.zone)
    apart = profiled(actions.unstack_version(refused, by=steward))
    second = apart.files.all()[1]
    form = {"format": "csv", "encoding": "utf-8", "delimiter": "comma", "header": "yes", "missing": "9", "decimal": "."}

    answer = signed_in(steward).post(
        reverse("version-reread", args=[empty.slug, apart.number]), {**form, "table": second.table_id}
    )

    assert answer.status_code == 302
    made = profiled(empty.versions.first())
    assert made.status == "profiled", made.problem
    assert [(f.table.name, f.rows, f.reading["stacked"], f.reading["missing"]) for f in made.files.all()] == [
        ("stays", 3, 1, []), ("discharge_disposition_id", 2, 2, ["9"]), ("admission_source_id", 4, 3, []),
    ]  # fmt: skip


def test_tables_of_different_widths_are_told_too(empty):
    wide = b"code,label,since\n1,a,2020-01-01\n2,b,2021-01-01\n"

    version = profiled(sealed(empty, TYPES + b"\r\n" + wide))

    assert version.proposed == {"stacked": [["admission_type_id", 3], ["code", 2]]}


ONE_TABLE = {
    "blank lines among rows": b"id,name\n1,a\n\n2,b\n",
    "texts alone below the blank line": b"id,name\n1,a\n\nx,y\nz,t\n",
    "a header without rows": b"id,name\n1,a\n\ncode,label\n",
}


@pytest.mark.parametrize("what", ONE_TABLE)
def test_a_table_with_blank_lines_is_one_table(what):
    assert stacked_tables([ONE_TABLE[what].decode()], Reading()) == []


def test_the_lines_above_the_header_are_passed_and_errors_keep_their_lines(empty):
    title = b"Extraction du 3 mars\nservice;x;y\n"
    good = profiled(sealed(empty, title + b"id;age\n1;40\n2;41\n", reading=Reading(delimiter=";", header_line=3)))
    bad = profiled(sealed(empty, title + b"id;age\n1;40\n2\n", reading=Reading(delimiter=";", header_line=3)))

    assert (good.status, good.rows) == ("profiled", 2), good.problem
    assert set(empty.columns.values_list("name", flat=True)) == {"id", "age"}
    assert "Ligne 5 : 1 valeur au lieu de 2" in bad.problem
