"""What PostgreSQL refuses of consents, as the application and as the owner: nothing is moved, widened or removed."""

import psycopg
import pytest

from broker import clock
from consent.models import Consent, ConsentImport, ConsentWithdrawal
from tests import factories, postgres
from tests.releasing import CURVE_COLUMNS

FLEXIBILITY = "energy_flexibility_rnd"


@pytest.fixture
def committed(fresh_database, django_db_blocker):
    """A database in which rows are really committed, with one consent, its import and a withdrawal."""
    with django_db_blocker.unblock():
        zone = factories.zone("eco_district")
        held = factories.dataset(
            zone, columns=CURVE_COLUMNS, domains=["energy_metering"], consent_required=True, time_step="fine"
        )
        person = factories.user(organisation=zone.operator)
        made = ConsentImport.objects.create(dataset=held, receipt="I1", file_name="c.csv", received_by=person)
        ConsentWithdrawal.objects.create(
            zone=zone, dataset=held, token=b"t" * 32, receipt="W1", recorded_by=person, effective_at=clock.now()
        )
        for number, receipt in enumerate(("R1", "R2")):
            Consent.objects.create(
                zone=zone, dataset=held, token=bytes([number]) * 32, purposes=[FLEXIBILITY],
                recipients="any_accredited", given_on=clock.today(), channel="paper", proof="bulletin",
                receipt=receipt, recorded_by=person, imported=made,
            )  # fmt: skip
        yield fresh_database


ATTACKS = {
    "another person": "UPDATE consent_consent SET token = decode(repeat('aa', 32), 'hex')",
    "wider purposes": "UPDATE consent_consent SET purposes = purposes || 'charging_rnd'::varchar",
    "another proof": "UPDATE consent_consent SET proof = 'autre'",
    "brought back": "UPDATE consent_consent SET withdrawn_at = NULL",
    "removed": "DELETE FROM consent_consent",
    "emptied": "TRUNCATE consent_consent CASCADE",
    "withdrawal removed": "DELETE FROM consent_consentwithdrawal",
    "withdrawal moved": "UPDATE consent_consentwithdrawal SET effective_at = now() + interval '1 year'",
    "import removed": "DELETE FROM consent_consentimport",
    "import renamed": "UPDATE consent_consentimport SET receipt = 'autre'",
    "a clear identifier": "UPDATE consent_consent SET token = convert_to('10006414', 'UTF8')",
}


REFUSED = ("42501", "23514")  # not allowed, against a check


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_a_recorded_consent_is_neither_moved_nor_widened_nor_removed(committed, role):
    with psycopg.connect(postgres.cluster().url(role, committed), autocommit=True) as database:
        database.execute("UPDATE consent_consent SET withdrawn_at = now() WHERE receipt = 'R2'")

        answers = {}
        for name, attack in ATTACKS.items():
            try:
                database.execute(attack)
                answers[name] = "done"
            except psycopg.Error as error:
                answers[name] = error.sqlstate

    assert {name: state for name, state in answers.items() if state not in REFUSED} == {}


def test_a_finished_import_stays_as_it_was_told(committed):
    with psycopg.connect(postgres.cluster().url("terrain_app", committed), autocommit=True) as database:
        database.execute("UPDATE consent_consentimport SET status = 'done', recorded = 2")

        for change in ("recorded = 1", "status = 'received'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.execute(f"UPDATE consent_consentimport SET {change}")
