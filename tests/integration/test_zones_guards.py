"""Attacks on zones, versions and columns, as the application's role and as the owner of the tables."""

import psycopg
import pytest

from tests import factories, postgres
from zones.models import Column, Table

VERSION = "dataset_id, number, status, sha256, size, progress, problem, received_by_id, received_at"
ITS_TABLE = (
    "(SELECT t.id FROM zones_table t JOIN zones_datasetversion v ON v.dataset_id = t.dataset_id WHERE v.number = 99)"
)


def a_draft() -> str:
    """The SQL of a draft, number 99, of the first dataset."""
    return (
        f"INSERT INTO zones_datasetversion ({VERSION}) "
        "SELECT dataset_id, 99, 'draft', '', 0, '{}', '', received_by_id, now() "
        "FROM zones_datasetversion ORDER BY id LIMIT 1; "
    )


def file_of(version: str, table: str) -> str:
    """The SQL of a file of one byte."""
    return (
        "INSERT INTO zones_versionfile (version_id, table_id, file_name, sha256, size, stored_as, format, reading, "
        f"proposed, place, place_ref, place_mark) SELECT {version}, {table}, 'x.csv', repeat('2', 64), 1, 'x', 'csv', "
        "'{}', '{}', 'upload', '', ''"
    )


ATTACKS = [
    ("UPDATE zones_zone SET status = 'open', opened_at = now() WHERE status = 'draft'", "zone_opened_by_two"),
    ("UPDATE zones_zone SET opened_at = now() WHERE status = 'open'", "zone_opened_by_two"),
    (
        "INSERT INTO zones_zone (slug, name, kind, operator_id, status, communes, evidence, description, "
        "contact_email, dpo_email, opened_at, created_at) SELECT 'new', 'New', kind, operator_id, 'open', communes, "
        "evidence, '', '', '', opened_at, now() FROM zones_zone WHERE status = 'open' LIMIT 1",
        "zone_opened_by_two",
    ),
    ("UPDATE zones_zone SET kind = 'av_city'", "zone_identity"),
    ("UPDATE zones_zone SET slug = 'taken' WHERE status = 'draft'", "zone_identity"),
    ("UPDATE zones_datasetversion SET sha256 = repeat('1', 64)", "version_as_received"),
    ("UPDATE zones_datasetversion SET size = 2", "version_as_received"),
    ("UPDATE zones_datasetversion SET status = 'draft', sha256 = ''", "version_as_received"),
    (
        f"INSERT INTO zones_datasetversion ({VERSION}) "
        "SELECT dataset_id, 99, 'received', sha256, size, '{}', '', received_by_id, now() "
        "FROM zones_datasetversion LIMIT 1",
        "version_as_received",
    ),
    (
        f"INSERT INTO zones_datasetversion ({VERSION}) "
        "SELECT dataset_id, 99, 'draft', '', 0, '{}', '', received_by_id, now() "
        "FROM zones_datasetversion LIMIT 1; "
        "UPDATE zones_datasetversion SET status = 'received', sha256 = repeat('2', 64) WHERE number = 99",
        "version_is_its_files",
    ),
    (
        f"INSERT INTO zones_datasetversion ({VERSION}) "
        "SELECT dataset_id, n, 'draft', '', 0, '{}', '', received_by_id, now() "
        "FROM (SELECT * FROM zones_datasetversion LIMIT 1) v, generate_series(98, 99) n",
        "version_one_draft",
    ),
    (
        file_of("(SELECT min(id) FROM zones_datasetversion)", "(SELECT table_id FROM zones_versionfile LIMIT 1)"),
        "version_file_as_received",
    ),
    (
        a_draft()
        + file_of(
            "(SELECT id FROM zones_datasetversion WHERE number = 99)",
            "(SELECT t.id FROM zones_table t, zones_datasetversion v WHERE v.number = 99 AND t.dataset_id <> "
            "v.dataset_id LIMIT 1)",
        ),
        "version_file_of_its_dataset",
    ),
    (
        a_draft() + 2 * (file_of("(SELECT id FROM zones_datasetversion WHERE number = 99)", ITS_TABLE) + "; "),
        "version_file_one_a_table",
    ),
    (
        a_draft()
        + file_of("(SELECT id FROM zones_datasetversion WHERE number = 99)", ITS_TABLE)
        + "; UPDATE zones_datasetversion SET status = 'received', sha256 = repeat('3', 64), size = 1 WHERE number = 99",
        "version_is_its_files",
    ),
    (
        a_draft()
        + file_of("(SELECT id FROM zones_datasetversion WHERE number = 99)", ITS_TABLE)
        + "; UPDATE zones_versionfile f SET table_id = (SELECT t.id FROM zones_table t WHERE t.dataset_id <> "
        "v.dataset_id LIMIT 1) FROM zones_datasetversion v WHERE v.id = f.version_id AND v.number = 99",
        "version_file_of_its_dataset",
    ),
    (
        "INSERT INTO zones_table (dataset_id, name, position, description) "
        "SELECT dataset_id, 'other', 9, '' FROM zones_datasetversion LIMIT 1; "
        "UPDATE zones_versionfile f SET table_id = t.id FROM zones_table t, zones_datasetversion v "
        "WHERE t.name = 'other' AND v.id = f.version_id AND v.dataset_id = t.dataset_id",
        "version_file_as_received",
    ),
    ("UPDATE zones_versionfile SET stored_as = 'elsewhere'", "version_file_as_received"),
    ('UPDATE zones_versionfile SET reading = \'{"decimal": ","}\'', "version_file_as_received"),
    ("UPDATE zones_versionfile SET rows = 3", "version_file_as_received"),
    ("DELETE FROM zones_versionfile", "version_file_as_received"),
    ("TRUNCATE zones_versionfile CASCADE", "version_file_as_received"),
    ("UPDATE zones_table SET name = 'other'", "table_is_kept"),
    ("UPDATE zones_table SET dataset_id = (SELECT id FROM zones_dataset WHERE open_url <> '')", "table_is_kept"),
    (
        "INSERT INTO zones_table (dataset_id, name, position, description) "
        "SELECT id, 'x', 0, '' FROM zones_dataset WHERE open_url <> ''",
        "dataset_open_elsewhere",
    ),
    (
        "UPDATE zones_table SET dataset_id = (SELECT max(dataset_id) FROM zones_table) "
        "WHERE dataset_id = (SELECT min(dataset_id) FROM zones_table)",
        "table_is_kept",
    ),
    (
        "INSERT INTO zones_table (dataset_id, name, position, description) "
        "SELECT dataset_id, upper(name), 1, '' FROM zones_table LIMIT 1",
        "table_name_once",
    ),
    (
        "UPDATE zones_column SET dataset_id = (SELECT max(dataset_id) FROM zones_table) "
        "WHERE dataset_id = (SELECT min(dataset_id) FROM zones_table)",
        "column_of_its_table",
    ),
    (
        "UPDATE zones_column SET table_id = (SELECT max(id) FROM zones_table) "
        "WHERE table_id = (SELECT min(id) FROM zones_table)",
        "column_of_its_table",
    ),
    (
        "INSERT INTO zones_column SELECT (jsonb_populate_record(c, jsonb_build_object('id', 999999, 'name', 'new', "
        "'path', 'new', 'role', 'measure', 'table_id', (SELECT max(id) FROM zones_table)))).* FROM zones_column c "
        "WHERE c.table_id <> (SELECT max(id) FROM zones_table) LIMIT 1",
        "column_of_its_table",
    ),
    ("UPDATE zones_column SET path = 'elsewhere.' || name", "column_path"),
    (
        "UPDATE zones_column c SET references_id = c.id",
        "column_reference",
    ),
    (
        "UPDATE zones_column c SET references_id = (SELECT id FROM zones_column k WHERE k.dataset_id <> c.dataset_id "
        "LIMIT 1)",
        "column_reference",
    ),
    ("DELETE FROM zones_datasetversion", "version_as_received"),
    ("TRUNCATE zones_datasetversion CASCADE", "version_as_received"),
    ("UPDATE zones_dataset SET status = 'published', published_at = now() WHERE status = 'draft'", "dataset_ready"),
    ("UPDATE zones_column SET role = '', confirmed_at = NULL, confirmed_by_id = NULL", "column_keeps_a_role"),
    ("DELETE FROM zones_column", "column_keeps_a_role"),
    ("UPDATE zones_column SET role = 'subject_key'", "column_one_subject_key"),
    ("UPDATE zones_zone SET status = 'closed' WHERE status = 'open'", "zone_closed_by_two"),
    ("UPDATE zones_zone SET status = 'closed', closed_at = now() WHERE status = 'open'", "zone_closed_by_two"),
    ("UPDATE zones_dataset SET open_url = 'http://x' WHERE open_url <> ''", "dataset_open_has_link_origin_licence"),
    ("UPDATE zones_dataset SET licence = '' WHERE open_url <> ''", "dataset_open_has_link_origin_licence"),
    ("UPDATE zones_dataset SET open_url = '' WHERE open_url <> ''", "dataset_open_elsewhere"),
    ("UPDATE zones_dataset SET open_url = 'https://x' WHERE open_url = ''", "dataset_open_"),
    (
        "UPDATE zones_datasetversion SET dataset_id = (SELECT id FROM zones_dataset WHERE open_url <> '')",
        "version",
    ),
    (
        "UPDATE zones_column SET dataset_id = (SELECT id FROM zones_dataset WHERE open_url <> '')",
        "dataset_open_elsewhere",
    ),
    (
        "INSERT INTO consent_offer SELECT (jsonb_populate_record(o, jsonb_build_object('id', 999999, 'status', "
        "'draft', 'dataset_id', "
        "(SELECT id FROM zones_dataset WHERE open_url <> '')))).* FROM consent_offer o LIMIT 1",
        "dataset_open_elsewhere",
    ),
]


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_the_database_refuses_what_must_never_be(fresh_database, django_db_blocker, role):
    with django_db_blocker.unblock():
        dataset = factories.dataset()
        factories.dataset(dataset.zone, status="draft", columns=[("a", "text", "measure", "")])
        draft = factories.dataset(dataset.zone, status="draft", columns=[])
        factories.zone(status="draft")
        factories.linked_dataset(dataset.zone)
        factories.offer(dataset)
        _two_tables(dataset.zone)
        assert not draft.columns.exists()

        for attack, guard in ATTACKS:
            with psycopg.connect(postgres.cluster().url(role, fresh_database)) as intruder:
                with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.InsufficientPrivilege)) as refused:
                    intruder.execute(attack)
            assert guard in str(refused.value) or "permission denied" in str(refused.value), attack


def _two_tables(zone):
    """A dataset of persons and their stays, with the key between them: what the attacks would bend is there."""
    dataset = factories.dataset(zone, status="draft", columns=[("id", "text", "subject_key", "")])
    other = Table.objects.create(dataset=dataset, name="persons", position=1)
    person = Column.objects.create(dataset=dataset, table=other, name="id", path="persons.id", position=0, type="text")
    dataset.columns.exclude(pk=person.pk).update(references=person)
    return dataset


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_a_draft_can_be_filled_emptied_and_dropped(fresh_database, django_db_blocker, role):
    with django_db_blocker.unblock():
        factories.dataset()
        version = "(SELECT id FROM zones_datasetversion WHERE number = 99)"

        with psycopg.connect(postgres.cluster().url(role, fresh_database)) as person:
            person.execute(a_draft() + file_of(version, ITS_TABLE))
            taken = person.execute("DELETE FROM zones_versionfile WHERE file_name = 'x.csv'").rowcount
            dropped = person.execute("DELETE FROM zones_datasetversion WHERE number = 99").rowcount

        assert (taken, dropped) == (1, 1)


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_a_draft_with_its_files_is_received(fresh_database, django_db_blocker, role):
    with django_db_blocker.unblock():
        factories.dataset()
        version = "(SELECT id FROM zones_datasetversion WHERE number = 99)"

        with psycopg.connect(postgres.cluster().url(role, fresh_database)) as person:
            person.execute(a_draft() + file_of(version, ITS_TABLE))
            received = person.execute(
                "UPDATE zones_datasetversion SET status = 'received', sha256 = repeat('2', 64), size = 1 "
                "WHERE number = 99"
            ).rowcount

        assert received == 1
