"""What befalls a log, and what it does then: crashes, stalled transactions, restores, two sequencers.

The others are beside what they touch: a crash before the signature or before its storage, a signer that is behind,
unreadable payloads (test_sequencer), an authority that is down (test_stamp), a late log (test_gate_committed).
"""

import io
import json
import logging
import threading
import time
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from broker.audit import bundle, merkle, restoring, verification
from broker.audit.management.commands.audit_restore import leaves_of
from broker.audit.management.commands.sequencer import Alarm
from broker.audit.management.commands.sequencer import Command as SequencerCommand
from broker.audit.sequencer import CannotStart, Sequencer
from broker.audit.signer import Server, Signing
from deploy.postgres import Cluster
from tests import postgres
from tests.logs import ORIGIN, one, rows, sequencing, write


def owner_of(database):
    return psycopg.connect(postgres.cluster().url("terrain_owner", database), autocommit=True)


def problems(database, folder, cluster=None):
    with psycopg.connect((cluster or postgres.cluster()).url("terrain_auditor", database), autocommit=True) as auditor:
        return verification.problems(auditor, Signing(folder, ORIGIN).signer.verifier)


def sequenced_ulids():
    return [ulid for (ulid,) in rows("SELECT ulid FROM audit_index WHERE leaf_index > 0 ORDER BY leaf_index")]


def test_a_sequencer_killed_in_the_middle_of_a_batch_loses_and_doubles_nothing(committed, tmp_path):
    write(20)
    with sequencing(committed, tmp_path) as sequencer, owner_of(committed) as owner:
        pid = sequencer.connection.info.backend_pid
        with owner.transaction():
            owner.execute("LOCK TABLE audit_rollup_day IN EXCLUSIVE MODE")  # the batch stops after leaves and tiles
            died = []
            thread = threading.Thread(target=lambda: died.append(_error_of(sequencer.step)))
            thread.start()
            deadline = time.monotonic() + 20
            while (
                time.monotonic() < deadline
                and not owner.execute(
                    "SELECT true FROM pg_locks "
                    "WHERE pid = %s AND relation = 'audit_rollup_day'::regclass AND NOT granted",
                    [pid],
                ).fetchone()
            ):
                time.sleep(0.02)
            with postgres.cluster().connect() as killer:
                killer.execute("SELECT pg_terminate_backend(%s)", [pid])
            thread.join()
    assert isinstance(died[0], psycopg.OperationalError)
    assert one("SELECT count(*) FROM audit_index") == (0,)

    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    assert len(sequenced_ulids()) == len(set(sequenced_ulids())) == 20
    assert problems(committed, tmp_path) == (21, [])


def _error_of(act):
    try:
        return act()
    except psycopg.Error as error:
        return error


def test_of_two_sequencers_that_passed_the_lock_the_second_writes_nothing(committed, tmp_path):
    with sequencing(committed, tmp_path) as first, psycopg.connect(first.connection.info.dsn, autocommit=True) as link:
        first.catch_up()
        second = Sequencer(link, first.signer)
        second.load()  # as if the lock had been lost
        write(5)
        first.step()

        with pytest.raises((CannotStart, psycopg.errors.UniqueViolation)):
            second.step()
        first.catch_up()

    assert problems(committed, tmp_path) == (6, [])


def test_a_log_ten_seconds_late_raises_the_alarm_and_says_where_to_look(committed, tmp_path, caplog):
    with sequencing(committed, tmp_path) as sequencer, owner_of(committed) as owner:
        sequencer.catch_up()
        told = []
        for seconds in (9, 11):
            with owner.transaction(force_rollback=True):
                owner.execute(
                    "INSERT INTO audit_event (at_day, payload, recorded_at) "
                    "VALUES (now()::date, '{}', clock_timestamp() - make_interval(secs => %s))", [seconds],
                )  # fmt: skip
                seen = Sequencer(owner, sequencer.signer)
                seen.load()
                with caplog.at_level(logging.ERROR):
                    SequencerCommand().warn_when_late(seen, Alarm())
            told.append("pg_stat_activity" in caplog.text)

    assert told == [False, True]


def test_a_transaction_left_open_is_ended_and_the_log_goes_on(committed, tmp_path):
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        with psycopg.connect(postgres.cluster().url("terrain_app", committed)) as forgotten:
            limit = forgotten.execute("SHOW idle_in_transaction_session_timeout").fetchone()
            forgotten.execute("SET idle_in_transaction_session_timeout = '300ms'")  # 30 s in real life
            forgotten.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, 'oubliée')")
            write(3)
            sequencer.catch_up()
            stalled = len(sequenced_ulids())
            deadline = time.monotonic() + 10
            while len(sequenced_ulids()) < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
                sequencer.catch_up()

            with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
                forgotten.commit()

    assert limit == ("30s",)
    assert (stalled, len(sequenced_ulids())) == (0, 3)


# ------------------------------------------------------------------------------------------------ restores


@pytest.fixture
def elsewhere(tmp_path_factory):
    """Another cluster, empty; its transactions are numbered from the start."""
    cluster = Cluster(tmp_path_factory.mktemp("ailleurs"), fast=True).start()
    yield cluster
    cluster.stop()


def append(cluster, database, texts):
    with psycopg.connect(cluster.url("terrain_app", database), autocommit=True) as writer:
        for text in texts:
            writer.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, %s)", [text])


def leaves(cluster, database):
    with psycopg.connect(cluster.url("terrain_auditor", database)) as reader:
        return [
            payload
            for (payload,) in reader.execute(
                "SELECT e.payload FROM audit_index i JOIN audit_event e ON (e.generation, e.xid, e.id) = "
                "(i.generation, i.xid, i.event_id) ORDER BY i.leaf_index"
            )
        ]


def test_a_log_restored_into_another_cluster_goes_on_in_a_new_generation(committed, tmp_path, elsewhere):
    here = postgres.cluster()
    write(4)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        append(here, committed, ["en attente"])  # committed, not yet sequenced
        postgres.copied(here, committed, elsewhere)
    signing = Signing(tmp_path, ORIGIN)
    append(elsewhere, committed, ["trop tôt 1", "trop tôt 2"])  # the site was started before anybody thought of it

    with psycopg.connect(elsewhere.url("terrain_seq", committed), autocommit=True) as link:
        with pytest.raises(CannotStart, match="audit_restore"):
            Sequencer(link, signing).start(at=None)
    with elsewhere.connect("terrain_owner", committed) as owner:
        done = restoring.take_up(owner, signing.state(), leaves=None)
    append(elsewhere, committed, ["ensuite"])
    with psycopg.connect(elsewhere.url("terrain_seq", committed), autocommit=True) as link:
        sequencer = Sequencer(link, signing)
        sequencer.start(at=None)
        sequencer.catch_up()

    assert (done.generation, done.other_cluster, done.moved, done.waiting, done.refilled) == (2, True, 2, 1, 0)
    restored = leaves(elsewhere, committed)
    assert [text for text in restored[5:] if not text.startswith("{")] == [
        "en attente", "trop tôt 1", "trop tôt 2", "ensuite"
    ]  # fmt: skip
    assert sum('"act":"log.restore"' in text for text in restored) == 1
    assert problems(committed, tmp_path, elsewhere) == (10, [])
    with elsewhere.connect("terrain_owner", committed) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute("DELETE FROM audit_event")  # the guards are on again


def restored_behind(database, folder):
    """A log of 9 leaves, of which a restore left 4 and two events without a place; its bundle at 9, kept outside."""
    write(3, detail={"motif": "essai"})
    with sequencing(database, folder) as sequencer:
        sequencer.catch_up()
    before = f"{database}_before"
    connection_of_test().close()
    postgres.cluster().create_database(before, template=database)
    append(postgres.cluster(), before, ["commun"])  # committed when the backup was made, sequenced later
    append(postgres.cluster(), before, ["perdu de vue"])  # never signed: only the backup has it
    append(postgres.cluster(), database, ["commun"])
    write(4)
    with sequencing(database, folder) as sequencer:
        sequencer.catch_up()
    out = Path(folder) / "dossier.zip"
    with out.open("wb") as file:
        bundle.write(file, None)
    return before, out


def connection_of_test():
    from django.db import connection

    return connection


def test_a_log_restored_behind_a_signed_checkpoint_is_refilled_from_a_bundle(committed, tmp_path):
    before, kept = restored_behind(committed, tmp_path)
    signing = Signing(tmp_path, ORIGIN)
    try:
        with pytest.raises(CannotStart, match="restored behind"), sequencing(before, tmp_path):
            pass
        with owner_of(before) as owner:
            with pytest.raises(CannotStart, match="--refill"):
                restoring.take_up(owner, signing.state(), leaves=None)
            forged = ((place, text.replace("zone.create", "zone.amend")) for place, text in leaves_of([kept]))
            with pytest.raises(CannotStart, match="disagree"):
                restoring.take_up(owner, signing.state(), leaves=forged)
            short = ((place, text) for place, text in leaves_of([kept]) if place < 7)
            with pytest.raises(CannotStart, match="end at leaf 6"):
                restoring.take_up(owner, signing.state(), leaves=short)

            done = restoring.take_up(owner, signing.state(), leaves=leaves_of([kept]))
        with sequencing(before, tmp_path) as sequencer:
            sequencer.catch_up()

        assert (done.generation, done.size, done.refilled, done.moved) == (3, 9, 5, 1)
        found = leaves(postgres.cluster(), before)
        assert found[:9] == [text for _place, text in leaves_of([kept])]
        assert found.count("commun") == found.count("perdu de vue") == 1
        assert problems(before, tmp_path) == (11, [])
    finally:
        postgres.cluster().drop_database(before)


def test_the_command_says_what_it_did_and_refuses_while_the_sequencer_works(committed, tmp_path, monkeypatch):
    write(2)
    signing, where = Signing(tmp_path, ORIGIN), str(tmp_path / "s.sock")
    connection = connection_of_test()
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "USER", "terrain_owner")
    with override_settings(SIGNER_SOCKET=where):
        with pytest.raises(CommandError, match="Start it first"):
            call_command("audit_restore")
        with Server(where, signing) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with sequencing(committed, tmp_path) as sequencer:
                sequencer.catch_up()
                with pytest.raises(CommandError, match=r"Nothing was changed.*stop it first"):
                    call_command("audit_restore")
            signing.size, signing.root = sequencer.size, sequencer.edge.root()
            said = io.StringIO()
            call_command("audit_restore", stdout=said)
            server.shutdown()
    connection.close()

    assert "the same cluster: generation 2 begins" in said.getvalue()
    assert "0 lost leaves were put back" in said.getvalue()


def test_a_second_log_names_the_last_checkpoint_of_the_closed_one(committed, tmp_path):
    closed = Signing(tmp_path / "closed", "terrain.test/closed").sign(1, merkle.leaf_hash(b"lost"), [])

    with sequencing(committed, tmp_path / "new", continues=closed) as sequencer:
        sequencer.catch_up()

    [(genesis,)] = rows("SELECT payload FROM audit_event WHERE generation = 0")
    assert json.loads(genesis)["policy"]["continues"] == closed
    assert problems(committed, tmp_path / "new")[1] == []
    page = Client().get("/log/")
    assert "terrain.test/closed, clos à 1 inscriptions" in page.content.decode()


@pytest.mark.parametrize(
    "origin, spoilt, said", [(ORIGIN, "", "names this very log"), ("terrain.test/closed", "x", "no signed checkpoint")]
)
def test_a_second_log_is_not_begun_on_anything_else(committed, tmp_path, origin, spoilt, said):
    note = spoilt + Signing(tmp_path / "closed", origin).sign(1, merkle.leaf_hash(b"lost"), [])[len(spoilt) * 40 :]

    with (
        pytest.raises(CannotStart, match=said),
        sequencing(committed, tmp_path / "new", continues=note),
    ):
        pass

    assert rows("SELECT FROM audit_event WHERE generation = 0") == []


def test_only_the_owner_takes_up_a_log(committed, tmp_path):
    with psycopg.connect(postgres.cluster().url("terrain_app", committed), autocommit=True) as intruder:
        with pytest.raises(CannotStart, match="only the owner"):
            restoring.take_up(intruder, Signing(tmp_path, ORIGIN).state(), leaves=None)

    assert Signing(tmp_path, ORIGIN).root == merkle.EMPTY_ROOT
