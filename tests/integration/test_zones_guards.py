"""Attacks on zones, versions and columns, as the application's role and as the owner of the tables."""

import psycopg
import pytest

from tests import factories, postgres

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
    ("UPDATE zones_datasetversion SET stored_as = 'elsewhere'", "version_as_received"),
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
        assert not draft.columns.exists()

        for attack, guard in ATTACKS:
            with psycopg.connect(postgres.cluster().url(role, fresh_database)) as intruder:
                with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.InsufficientPrivilege)) as refused:
                    intruder.execute(attack)
            assert guard in str(refused.value) or "permission denied" in str(refused.value), attack
