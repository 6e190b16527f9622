"""Invariant 4 and the log's own: PostgreSQL refuses to change or remove what was recorded."""

import json
from datetime import date

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from broker import clock
from broker.audit import partitions, state
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
        ("SELECT 1", "TRUNCATE audit_checkpoint CASCADE"),  # what witnesses handed back names checkpoints
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


EVENT_TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c WHERE c.oid = 'audit_event'::regclass
    OR c.oid IN (SELECT relid FROM pg_partition_tree('audit_event')) ORDER BY 1
"""


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner", "terrain_seq", "terrain_auditor"])
def test_every_partition_of_today_and_of_later_refuses_every_role(role):
    with psycopg.connect(postgres.cluster().url("terrain_seq", postgres.DATABASE)) as sequencer:
        tables = [name for (name,) in sequencer.execute(EVENT_TABLES)]
        sequencer.execute("SELECT audit_partitions('2034-01-15')")
        later = {name for (name,) in sequencer.execute(EVENT_TABLES)} - set(tables)
        guards = partitions.look(sequencer.cursor(), date(2034, 1, 15))
        sequencer.rollback()
    assert len(tables) >= 6 and len(later) == 4
    assert (guards.unguarded, guards.ahead) == ((), 3)

    with psycopg.connect(postgres.cluster().url(role, postgres.DATABASE), autocommit=True) as intruder:
        for table in tables:
            for attack in ("UPDATE {} SET payload = '{{}}'", "DELETE FROM {}", "TRUNCATE {}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    intruder.execute(attack.format(table))


@pytest.mark.parametrize(
    "attack",
    ["ALTER TABLE {} DISABLE TRIGGER audit_event_append_only", "DROP TRIGGER audit_event_append_only ON {}",
     "DROP TRIGGER audit_event_append_only ON {}; CREATE TRIGGER audit_event_append_only BEFORE UPDATE ON {} "
     "FOR EACH STATEMENT EXECUTE FUNCTION terrain_append_only()"],
    ids=["off", "gone", "half"],
)  # fmt: skip
@pytest.mark.parametrize("table", ["audit_event", this_month()])
def test_a_guard_that_the_owner_takes_off_is_seen(attack, table):
    with psycopg.connect(postgres.cluster().url("terrain_owner", postgres.DATABASE)) as owner:
        owner.execute(attack.replace("{}", table))

        assert partitions.look(owner.cursor(), clock.today()).unguarded == (table,)

        owner.rollback()


def test_the_sequencer_tells_the_months_it_makes_once():
    with psycopg.connect(postgres.cluster().url("terrain_seq", postgres.DATABASE)) as sequencer:
        cursor = sequencer.cursor()
        made = partitions.make(cursor, date(2035, 3, 1))
        again = partitions.make(cursor, date(2035, 3, 1))
        told = [json.loads(p) for (p,) in cursor.execute("SELECT payload FROM audit_event ORDER BY id").fetchall()]
        sequencer.rollback()

    assert len(made) == 8 and again == []
    assert [(event["act"], event["n"], event["actor"]["kind"]) for event in told] == [("log.partition", 8, "service")]


def test_months_ahead_are_put_off_while_a_writer_lasts():
    url = postgres.cluster().url("terrain_app", postgres.DATABASE)
    with psycopg.connect(url) as writer, psycopg.connect(url.replace("terrain_app", "terrain_seq")) as sequencer:
        writer.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, 'slow')")

        with pytest.raises(psycopg.errors.LockNotAvailable):
            partitions.make(sequencer.cursor(), date(2036, 3, 1))
        writer.rollback()


# What each role may do to each table of the log, and no more.
MAY = {
    "audit_event": {"terrain_app": "r", "terrain_seq": "r", "terrain_auditor": "r"},  # and the columns below
    "audit_detail": {"terrain_app": "adr", "terrain_seq": "ar", "terrain_auditor": "r"},
    "audit_subject_key": {"terrain_app": "adr", "terrain_seq": "ar", "terrain_auditor": "r"},
    "audit_index": {"terrain_app": "r", "terrain_seq": "ar", "terrain_auditor": "r"},
    "audit_rollup_day": {"terrain_app": "r", "terrain_seq": "arw", "terrain_auditor": "r"},
    "audit_tile": {"terrain_app": "r", "terrain_seq": "arw", "terrain_auditor": "r"},
    "audit_checkpoint": {"terrain_app": "r", "terrain_seq": "ar", "terrain_auditor": "r"},
    "audit_verification": {"terrain_app": "r", "terrain_seq": "ar", "terrain_auditor": "r"},
    "audit_handed": {"terrain_app": "ar", "terrain_seq": "dr", "terrain_auditor": "r"},
    "audit_outside": {"terrain_app": "r", "terrain_seq": "arw", "terrain_auditor": "r"},
    "audit_sequencer": {"terrain_app": "r", "terrain_seq": "rw", "terrain_auditor": "r"},
    "clock_step": {"terrain_app": "ar", "terrain_seq": "r", "terrain_auditor": "r"},
}
WORDS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D"}


def test_each_role_may_do_its_own_part_and_no_more():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, r.rolname, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a "
            "JOIN pg_roles r ON r.oid = a.grantee WHERE c.relname = ANY(%s)",
            [list(MAY)],
        )
        found: dict = {}
        for table, role, word in cursor.fetchall():
            if role != "terrain_owner" and word in WORDS:
                found.setdefault(table, {}).setdefault(role, set()).add(WORDS[word])
        cursor.execute(
            "SELECT r.rolname, att.attname, a.privilege_type FROM pg_attribute att, aclexplode(att.attacl) a "
            "JOIN pg_roles r ON r.oid = a.grantee WHERE att.attrelid = ANY(ARRAY["
            "'audit_event'::regclass, 'audit_checkpoint'::regclass])"
        )
        columns = set(cursor.fetchall())
        cursor.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconfig "
            "FROM pg_roles WHERE rolname LIKE 'terrain%%' ORDER BY 1"
        )
        roles = cursor.fetchall()
        cursor.execute("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member "
                       "WHERE r.rolname LIKE 'terrain%%'")  # fmt: skip
        members = cursor.fetchone()[0]

    assert {t: {r: "".join(sorted(w)) for r, w in by.items()} for t, by in found.items()} == MAY
    assert {c for c in columns if c[0] == "terrain_app"} == {
        ("terrain_app", "at_day", "INSERT"), ("terrain_app", "payload", "INSERT")
    }  # fmt: skip
    assert [role for role, *_ in roles] == ["terrain_app", "terrain_auditor", "terrain_owner", "terrain_seq"]
    assert all(rights == [False] * 5 for _, *rights, _config in roles)
    assert all("idle_in_transaction_session_timeout=30s" in config for *_, config in roles)
    assert members == 0


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
