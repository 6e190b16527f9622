"""The gate where transactions really commit: races for the last unit, a log that fails, attacks on what was written."""

import threading

import psycopg
import pytest
from django.db import connection, transaction

from broker import clock
from broker.errors import Refused
from consent.models import GateDecision, Opposition, QuotaUse
from consent.record import decide
from tests import factories, postgres
from tests.integration.test_gate_record import a_convention, asked, refused_by


def test_of_two_requests_at_once_for_the_last_unit_one_is_permitted(committed):
    convention = a_convention(of=factories.offer(releases_per_month=1))
    request, answers, together = asked(convention), [], threading.Barrier(2)

    def ask():
        try:
            together.wait()
            answers.append(decide("release_create", **request).action)
        except Refused as refusal:
            answers.append([reason.code for reason in refusal.reasons])
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers, key=str) == [["G37"], "release_create"]


def test_a_log_that_refuses_to_be_written_refuses_the_access(committed):
    convention = a_convention()
    request = asked(convention)
    with psycopg.connect(postgres.cluster().url("terrain_owner", committed)) as owner:
        owner.execute("REVOKE INSERT ON audit_event FROM terrain_app")

    assert refused_by(decide, "release_create", **request) == ["G42"]
    assert not GateDecision.objects.exists() and not QuotaUse.objects.exists()


def a_late_log(seconds):
    """An event that has waited `seconds` outside the tree."""
    with psycopg.connect(postgres.cluster().url("terrain_owner", connection.settings_dict["NAME"])) as owner:
        columns = "generation, at_day, payload, recorded_at"
        values = f"1, now()::date, '{{}}', clock_timestamp() - interval '{seconds} seconds'"
        owner.execute(f"INSERT INTO audit_event ({columns}) VALUES ({values})")


def test_a_log_that_runs_late_refuses_personal_data_alone(committed):
    convention = a_convention()
    roads = factories.dataset(
        factories.zone("av_motorway"), columns=(("flow", "integer", "measure", ""),), is_personal=False,
        domains=["road_infrastructure"],
    )  # fmt: skip
    traffic = factories.convention(factories.offer(roads, columns=("flow",), delivery_mode="file_download"))
    a_late_log(61)

    permit = decide("release_create", **asked(traffic, columns=["flow"], delivery_mode="file_download"))

    assert permit.action == "release_create"
    assert refused_by(decide, "release_create", **asked(convention)) == ["G42"]
    assert GateDecision.objects.filter(effect="deny").count() == 1


def test_a_denial_can_not_be_rolled_back_with_the_caller(committed):
    convention = a_convention()

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        decide("release_create", **asked(convention))


ATTACKS = {
    "consent_gatedecision": [
        "UPDATE consent_gatedecision SET effect = 'permit'",
        "UPDATE consent_gatedecision SET reasons = '[]'",
        "UPDATE consent_gatedecision SET decided_at = now()",
        "UPDATE consent_gatedecision SET \"case\" = '{}'",
        "DELETE FROM consent_gatedecision",
        "TRUNCATE consent_gatedecision CASCADE",
    ],
    "consent_quotause": [
        "UPDATE consent_quotause SET kind = 'none'",
        "UPDATE consent_quotause SET reserved_at = now() - interval '2 months'",
        "DELETE FROM consent_quotause",
        "TRUNCATE consent_quotause",
    ],
}


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_neither_the_application_nor_the_owner_rewrites_a_decision(committed, role):
    convention = a_convention()
    decide("release_create", **asked(convention))

    with psycopg.connect(postgres.cluster().url(role, committed), autocommit=True) as intruder:
        for attack in (one for attacks in ATTACKS.values() for one in attacks):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                intruder.execute(attack)


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_a_case_can_be_erased_and_never_written_again(committed, role):
    decide("release_create", **asked(a_convention()))

    with psycopg.connect(postgres.cluster().url(role, committed), autocommit=True) as eraser:
        eraser.execute('UPDATE consent_gatedecision SET "case" = NULL')
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            eraser.execute("UPDATE consent_gatedecision SET \"case\" = '{}'")

    kept = GateDecision.objects.get()
    assert kept.case is None and kept.case_sha256


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
def test_neither_the_application_nor_the_owner_moves_or_removes_an_opposition(committed, role):
    zone = factories.zone()
    Opposition.objects.create(
        zone=zone, token=bytes(32), receipt="r1", recorded_by=factories.user(), effective_at=clock.now()
    )
    attacks = [
        "UPDATE consent_opposition SET token = decode(repeat('ff', 32), 'hex')",
        "UPDATE consent_opposition SET effective_at = now() + interval '1 year'",
        "DELETE FROM consent_opposition",
        "TRUNCATE consent_opposition",
    ]

    with psycopg.connect(postgres.cluster().url(role, committed), autocommit=True) as intruder:
        for attack in attacks:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                intruder.execute(attack)
        intruder.execute("UPDATE consent_opposition SET withdrawn_at = now()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            intruder.execute("UPDATE consent_opposition SET withdrawn_at = NULL")
