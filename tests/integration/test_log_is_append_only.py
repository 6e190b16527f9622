"""Invariant 4 and the log's own: PostgreSQL refuses to change or remove what was recorded."""

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from broker import clock
from broker.audit import state
from broker.audit.actions import describe, record, recorded
from broker.audit.actor import SYSTEM
from broker.errors import NotAllowed
from tests import postgres

pytestmark = pytest.mark.django_db


def this_month():
    return f"audit_event_{clock.real_now():%Y_%m}"


def events():
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event ORDER BY id")
        return cursor.fetchall()


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
@pytest.mark.parametrize("table", ["audit_event", "audit_event_default", this_month()])
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
    with pytest.raises(DatabaseError, match="payload_check"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, repeat('x', 8193))")


def test_an_event_of_several_lines_is_refused_by_the_database():
    with pytest.raises(DatabaseError, match="is_one_line"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, E'a\\nb')")


@pytest.mark.parametrize("column", ["xid", "generation", "recorded_at", "id"])
def test_the_application_cannot_choose_the_place_of_an_event(column):
    """An event placed behind the sequencer would never enter the tree."""
    value = {"xid": "'1'", "generation": "0", "recorded_at": "now()", "id": "1"}[column]
    with psycopg.connect(postgres.cluster().url("terrain_app", postgres.DATABASE)) as intruder:
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)):
            intruder.execute(f"INSERT INTO audit_event (at_day, payload, {column}) VALUES (now()::date, '', {value})")


@pytest.mark.parametrize(
    "attack",
    [
        f"INSERT INTO {this_month()} (at_day, payload) VALUES (now()::date, '')",
        "INSERT INTO audit_index (leaf_index, event_id, generation, xid, at, act) VALUES (0, 1, 1, '1', now(), 'x')",
        "INSERT INTO audit_tile VALUES (0, 0, repeat('x', 32)::bytea)",
        "INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (1, repeat('x', 32)::bytea, '', '')",
        "INSERT INTO audit_rollup_day VALUES (now()::date, '', '', '', '', '', '', 1)",
        "UPDATE audit_sequencer SET size = 9",
        "SELECT audit_partitions(now()::date)",
        f"DROP TABLE {this_month()}",
        f"ALTER TABLE {this_month()} DISABLE TRIGGER ALL",
    ],
    ids=["partition", "index", "tile", "checkpoint", "rollup", "watermark", "function", "drop", "disable"],
)
def test_the_application_cannot_write_the_tree(attack):
    with psycopg.connect(postgres.cluster().url("terrain_app", postgres.DATABASE)) as intruder:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            intruder.execute(attack)


@pytest.mark.parametrize("role", ["terrain_seq", "terrain_owner"])
@pytest.mark.parametrize(
    ("made", "attack"),
    [
        ("INSERT INTO audit_tile VALUES (0, 9, repeat('x', 32)::bytea)",
         "UPDATE audit_tile SET hashes = repeat('y', 32)::bytea"),
        ("INSERT INTO audit_tile VALUES (0, 9, repeat('x', 32)::bytea)", "DELETE FROM audit_tile"),
        ("INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (7, repeat('x', 32)::bytea, '', '')",
         "INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (6, repeat('x', 32)::bytea, '', '')"),
        ("INSERT INTO audit_checkpoint (size, root, note, proof) VALUES (7, repeat('x', 32)::bytea, '', '')",
         "UPDATE audit_checkpoint SET note = 'autre'"),
        ("UPDATE audit_sequencer SET size = 5", "UPDATE audit_sequencer SET size = 4"),
        ("SELECT 1", "DELETE FROM audit_sequencer"),
        ("SELECT 1", "TRUNCATE audit_checkpoint"),
    ],
    ids=["tile changed", "tile removed", "older checkpoint", "note changed", "back", "watermark removed", "truncated"],
)  # fmt: skip
def test_the_tree_only_grows(role, made, attack):
    with psycopg.connect(postgres.cluster().url(role, postgres.DATABASE)) as intruder:
        intruder.execute(made)

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            intruder.execute(attack)
        intruder.rollback()


def test_partitions_are_made_ahead_each_with_its_guard():
    with psycopg.connect(postgres.cluster().url("terrain_seq", postgres.DATABASE)) as sequencer:
        made = {name for (name,) in sequencer.execute("SELECT audit_partitions('2031-11-20')")}
        guarded = {
            name
            for (name,) in sequencer.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'audit_event_append_only'"
            )
        }
        again = list(sequencer.execute("SELECT audit_partitions('2031-11-20')"))
        sequencer.rollback()

    months = {"2031_11", "2031_12", "2032_01", "2032_02"}
    assert made == {f"audit_{kind}_{month}" for kind in ("event", "index") for month in months}
    assert {f"audit_event_{month}" for month in months} <= guarded
    assert again == []


def test_a_month_that_the_default_partition_holds_stays_there():
    with psycopg.connect(postgres.cluster().url("terrain_seq", postgres.DATABASE)) as sequencer:
        sequencer.execute("INSERT INTO audit_event (generation, at_day, payload) VALUES (1, '2033-05-05', '{}')")

        made = [name for (name,) in sequencer.execute("SELECT audit_partitions('2033-05-01', 0)")]

        assert made == ["audit_index_2033_05"]
        sequencer.rollback()


def test_the_lag_is_the_age_of_the_oldest_waiting_event():
    assert state.lag() == 0

    record("zone.create", by=SYSTEM)

    assert 0 < state.lag() < 5
