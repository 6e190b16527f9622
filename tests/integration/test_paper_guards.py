"""Invariants 3, 5 and 6, attacked in PostgreSQL itself, as the application's role and as the owner of the tables."""

import hashlib

import psycopg
import pytest

from tests import factories, postgres
from tests.conftest import connected_to

ROLES = ("terrain_app", "terrain_owner")


@pytest.fixture(scope="module")
def signed(django_db_setup, django_db_blocker):
    """A database of its own with a signed convention, its committed rows, and a draft of everything else."""
    name = "papers_guarded"
    postgres.cluster().drop_database(name)
    postgres.cluster().create_database(name, template=postgres.TEMPLATE)
    with django_db_blocker.unblock(), connected_to(name):
        convention = factories.convention()
        entry = convention.organisation.registry_entries.get()
        facts = {
            "name": name,
            "convention": convention.pk,
            "document": convention.documents.get().pk,
            "sha256": convention.documents.get().sha256,
            "signature": convention.signatures.first().pk,
            "signer": convention.signatures.first().signer_id,
            "mandate": convention.signatures.first().standing_mandate_id
            or convention.signatures.exclude(standing_mandate=None).get().standing_mandate_id,
            "organisation": convention.organisation_id,
            "entry": entry.pk,
            "reviewed": factories.registry_entry(status="under_review").pk,
            "waiting_offer": factories.offer(status="under_review", published_at=None).pk,
        }
    yield facts
    postgres.cluster().drop_database(name)


def attack(role, signed, statement, parameters=()):
    """Try `statement` on a second connection; whatever it did is undone."""
    with psycopg.connect(postgres.cluster().url(role, signed["name"])) as connection:
        try:
            connection.execute(statement, parameters)
        finally:
            connection.rollback()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "table",
    [
        "consent_conventiondocument",
        "consent_signature",
        "consent_standingmandate",
        "consent_sealeddocument",
        "consent_training",
        "consent_undertaking",
    ],
)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_signed_things_are_never_changed_or_removed(role, table, statement, signed):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        attack(role, signed, statement.format(table))


@pytest.mark.parametrize("role", ROLES)
def test_a_document_whose_hash_is_not_that_of_its_bytes_is_refused(role, signed):
    with pytest.raises(psycopg.errors.CheckViolation):
        attack(
            role, signed,
            "INSERT INTO consent_conventiondocument (convention_id, number, pdf, sha256, template_version, parameters,"
            " rendered_at) VALUES (%s, 2, %s, %s, 'x', '{}', now())",
            [signed["convention"], b"other bytes", "0" * 64],
        )  # fmt: skip


SIGN = (
    "INSERT INTO consent_signature (convention_id, party, document_sha256, signer_id, mandate, level, evidence,"
    " signed_at) VALUES (%s, 'holder', %s, %s, 'statuts', 'strengthened', '{}', now())"
)


@pytest.mark.parametrize("role", ROLES)
def test_a_signature_that_names_no_document_of_its_convention_is_refused(role, signed):
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        attack(role, signed, SIGN, [signed["convention"], hashlib.sha256(b"edited").hexdigest(), signed["signer"]])


@pytest.mark.parametrize("role", ROLES)
def test_a_signature_that_names_the_right_bytes_is_taken(role, signed):
    attack(role, signed, SIGN, [signed["convention"], signed["sha256"], signed["signer"]])


@pytest.mark.parametrize("role", ROLES)
def test_a_seal_that_does_not_begin_with_the_signed_bytes_is_refused(role, signed):
    pdf = b"%PDF-1.7 something else, sealed"

    with pytest.raises(psycopg.errors.CheckViolation):
        attack(
            role, signed,
            "INSERT INTO consent_sealeddocument (document_id, pdf, sha256, certificate_sha256, has_time_stamp,"
            " sealed_at) VALUES (%s, %s, %s, 'x', false, now())",
            [signed["document"], pdf, hashlib.sha256(pdf).hexdigest()],
        )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_two_periods_of_one_organisations_accreditation_never_overlap(role, signed):
    with pytest.raises(psycopg.errors.ExclusionViolation):
        attack(
            role, signed,
            "INSERT INTO consent_accreditation (entry_id, organisation_id, period, domains, zone_kinds, decided_at)"
            " VALUES (%s, %s, daterange(current_date, current_date + 10), '{}', '{}', now())",
            [signed["entry"], signed["organisation"]],
        )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_an_entry_is_not_accredited_without_two_persons(role, signed):
    with pytest.raises(psycopg.errors.CheckViolation, match="two different persons"):
        attack(
            role, signed, "UPDATE consent_registryentry SET status = 'accredited' WHERE id = %s", [signed["reviewed"]]
        )


@pytest.mark.parametrize("role", ROLES)
def test_one_clerks_agreement_does_not_accredit(role, signed):
    statements = (
        "INSERT INTO accounts_countersign (act, object_ref, concerned_id, first_by_id, first_at, first_reason,"
        " second_reason) SELECT 'registry.accredit', format('registry:%%s@%%s', id, version), organisation_id, %s,"
        " now(), '', '' FROM consent_registryentry WHERE id = %s",
        "UPDATE consent_registryentry SET status = 'accredited' WHERE id = %s",
    )

    with psycopg.connect(postgres.cluster().url(role, signed["name"])) as connection:
        connection.execute(statements[0], [signed["signer"], signed["reviewed"]])
        with pytest.raises(psycopg.errors.CheckViolation, match="two different persons"):
            connection.execute(statements[1], [signed["reviewed"]])
        connection.rollback()


@pytest.mark.parametrize("role", ROLES)
def test_an_accreditation_is_not_born_whole(role, signed):
    with pytest.raises(psycopg.errors.CheckViolation, match="not born accredited"):
        attack(
            role, signed,
            "INSERT INTO consent_registryentry (organisation_id, status, domains, zone_kinds, evidence, checks,"
            " requested_by_id, decision_reasons, created_at, version)"
            " SELECT organisation_id, 'accredited', domains, zone_kinds, evidence, checks, requested_by_id, '', now(),"
            " 1 FROM consent_registryentry WHERE id = %s",
            [signed["entry"]],
        )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_an_offer_is_not_published_without_two_persons(role, signed):
    with pytest.raises(psycopg.errors.CheckViolation, match="two different persons"):
        attack(
            role, signed, "UPDATE consent_offer SET status = 'published', published_at = now() WHERE id = %s",
            [signed["waiting_offer"]],
        )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_suspended_entry_is_not_reinstated_by_its_old_decision(role, signed):
    with psycopg.connect(postgres.cluster().url(role, signed["name"])) as connection:
        connection.execute("UPDATE consent_registryentry SET status = 'suspended' WHERE id = %s", [signed["entry"]])
        with pytest.raises(psycopg.errors.CheckViolation, match=r"registry\.reinstate"):
            connection.execute(
                "UPDATE consent_registryentry SET status = 'accredited' WHERE id = %s", [signed["entry"]]
            )
        connection.rollback()


TERMS_ATTACKS = [
    "UPDATE consent_offer SET price = '12 000 euros' WHERE id = {}",
    "UPDATE consent_offer SET ends_on = ends_on + 400 WHERE id = {}",
    "UPDATE consent_offer SET status = 'draft' WHERE id = {}",
    'UPDATE consent_offercolumn SET treatment = \'{{"kind": "keep"}}\' WHERE offer_id = {}',
    "DELETE FROM consent_offercolumn WHERE offer_id = {}",
    "INSERT INTO consent_offercolumn (offer_id, column_id, justification, treatment, approves_sensitive)"
    " SELECT offer_id, column_id, 'encore', '{{}}', true FROM consent_offercolumn WHERE offer_id = {} LIMIT 1",
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", TERMS_ATTACKS)
def test_the_terms_of_a_submitted_offer_never_change(role, statement, signed):
    with pytest.raises(psycopg.errors.CheckViolation, match="prepare a new version"):
        attack(role, signed, statement.format(signed["waiting_offer"]))
