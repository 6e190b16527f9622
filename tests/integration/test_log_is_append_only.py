"""Invariant 4 and the log's own: PostgreSQL refuses to change or remove what was recorded."""

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from broker.audit.actions import describe, record, recorded
from broker.audit.actor import SYSTEM
from broker.errors import NotAllowed
from tests import postgres

pytestmark = pytest.mark.django_db


def events():
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event ORDER BY id")
        return cursor.fetchall()


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
@pytest.mark.parametrize("table", ["audit_event", "audit_event_default"])
@pytest.mark.parametrize(
    "attack",
    ["UPDATE {} SET payload = '{{}}'", "DELETE FROM {}", "TRUNCATE {}"],
    ids=["update", "delete", "truncate"],
)
def test_an_event_can_be_neither_changed_nor_removed(role, table, attack):
    with psycopg.connect(postgres.cluster().url(role, postgres.DATABASE)) as intruder:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            intruder.execute(attack.format(table))


def test_a_verb_and_its_event_are_one_transaction():
    @recorded("zone.create")
    def create(*, by):
        describe(zone="zone:test", detail={"why": "test"})

    create(by=SYSTEM)

    assert events() == [("zone.create", "allow")]


def test_a_refused_verb_leaves_its_refusal_only():
    @recorded("zone.create")
    def create(*, by):
        record("zone.open", by=by)
        raise NotAllowed("non")

    with pytest.raises(NotAllowed):
        create(by=SYSTEM)

    assert events() == [("zone.create", "deny")]


def test_an_oversized_event_is_refused_by_the_database():
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_event (generation, at_day, payload) VALUES (1, now()::date, repeat('x', 8193))"
        )
