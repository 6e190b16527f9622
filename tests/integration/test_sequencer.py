"""The log's invariants 1 to 9: what was committed is in the tree, once, in one order, signed after it is stored."""

import itertools
import os
import subprocess
import sys
import threading
import time
from dataclasses import astuple

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.audit import erasing, leaf, merkle, state, tiles, verification
from broker.audit.actions import record, recorded
from broker.audit.checkpoint import Checkpoint
from broker.audit.sequencer import LOCK, CannotStart
from broker.audit.signer import Client, SignerDown, SignerError, Signing
from broker.errors import NotAllowed
from tests import postgres
from tests.logs import ORIGIN, SOMEBODY, one, rows, sequencing, write


def payloads():
    return [p for (p,) in rows("SELECT payload FROM audit_event ORDER BY generation, xid, id")]


def recomputed_root(size=None):
    return merkle.root([merkle.leaf_hash(p.encode()) for p in payloads()[:size]])


def found(database, folder):
    with psycopg.connect(postgres.cluster().url("terrain_auditor", database), autocommit=True) as auditor:
        return verification.problems(auditor, Signing(folder, ORIGIN).signer.verifier)[1]


def test_a_committed_change_has_one_leaf_and_a_rolled_back_one_has_none(committed, tmp_path):
    write(3)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("zone.open", by=SOMEBODY)
        raise ZeroDivisionError

    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        sequencer.catch_up()

    acts = [act for (act,) in rows("SELECT act FROM audit_index ORDER BY leaf_index")]
    assert acts == ["log.genesis", "zone.create", "zone.create", "zone.create"]


def test_a_refusal_enters_the_tree_after_the_rollback_it_caused(committed, tmp_path):
    @recorded("zone.open")
    def refuse(*, by):
        record("zone.create", by=by)
        raise NotAllowed("non")

    with pytest.raises(NotAllowed):
        refuse(by=SOMEBODY)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    assert rows("SELECT act, out FROM audit_index WHERE leaf_index > 0") == [("zone.open", "deny")]


def test_leaf_indexes_have_no_gap_where_event_ids_have(committed, tmp_path):
    for _turn in range(5):
        write(2)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            record("zone.open", by=SOMEBODY)
            raise ZeroDivisionError
        with sequencing(committed, tmp_path) as sequencer:
            sequencer.catch_up()

    ids, places = zip(*rows("SELECT event_id, leaf_index FROM audit_index ORDER BY leaf_index"), strict=True)
    assert places == tuple(range(11))
    assert max(ids) - min(ids) > 10


def test_the_root_does_not_depend_on_batches_or_restarts(committed, tmp_path):
    write(40)
    for batch in (1, 7, 3, 50):
        with sequencing(committed, tmp_path, batch=batch) as sequencer:
            sequencer.step()
    with sequencing(committed, tmp_path, batch=6) as sequencer:
        write(5)
        sequencer.catch_up()

    assert one("SELECT size, root FROM audit_checkpoint ORDER BY size DESC")[0] == 46
    assert bytes(one("SELECT root FROM audit_checkpoint ORDER BY size DESC")[0]) == recomputed_root()
    assert found(committed, tmp_path) == []


def test_an_event_waits_for_every_transaction_that_began_before_it(committed, tmp_path):
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        with psycopg.connect(postgres.cluster().url("terrain_app", committed)) as slow:
            slow.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, 'slow')")
            write(2)

            sequencer.catch_up()
            while_open = one("SELECT size FROM audit_sequencer")[0]
            late = state.lag()
            slow.commit()
        sequencer.catch_up()

    assert while_open == 1
    assert late > 0
    assert state.lag() == 0
    assert payloads()[1] == "slow"
    assert bytes(one("SELECT root FROM audit_checkpoint ORDER BY size DESC")[0]) == recomputed_root()


def test_every_checkpoint_extends_the_one_before(committed, tmp_path):
    with sequencing(committed, tmp_path) as sequencer:
        for count in (3, 1, 9):
            write(count)
            sequencer.catch_up()

    published = rows("SELECT size, root, proof FROM audit_checkpoint ORDER BY size")
    assert [size for size, _, _ in published] == [4, 5, 14]
    for (old, old_root, _), (new, new_root, proof) in itertools.pairwise(published):
        merkle.verify_consistency(old, new, tiles.split(bytes(proof)), bytes(old_root), bytes(new_root))


class Absent:
    """A signer that is down between its first answer and its return."""

    def __init__(self, signing):
        self.signing = signing

    def state(self):
        return self.signing.state()

    def sign(self, *_):
        raise SignerDown("nobody there")


def test_a_crash_after_the_tiles_and_before_the_signature_is_mended(committed, tmp_path):
    write(3)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.signer = Absent(sequencer.signer)
        sequencer.catch_up()
        unsigned = one("SELECT count(*) FROM audit_checkpoint")[0]

    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    assert unsigned == 0
    assert one("SELECT size FROM audit_checkpoint") == (4,)
    assert found(committed, tmp_path) == []


def test_a_crash_after_the_signature_and_before_its_storage_is_mended(committed, tmp_path):
    write(3)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.step()
        lost = sequencer.signer.sign(sequencer.size, sequencer.edge.root(), [])

    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    assert one("SELECT note FROM audit_checkpoint") == (lost,)


def test_nothing_is_signed_before_its_tiles_are_committed(committed, tmp_path):
    seen = []

    class Watching(Absent):
        def sign(self, size, root, proof):
            stored = {(level, n): bytes(h) for level, n, h in rows("SELECT level, n, hashes FROM audit_tile")}
            seen.append(tiles.Edge.load(size, lambda level, n: stored[level, n]).root() == root)
            return self.signing.sign(size, root, proof)

    write(4)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.signer = Watching(sequencer.signer)
        sequencer.catch_up()

    assert seen == [True]


def test_a_second_sequencer_does_not_start(committed, tmp_path):
    with sequencing(committed, tmp_path):
        with pytest.raises(CannotStart, match="another sequencer"), sequencing(committed, tmp_path):
            pass


def test_a_sequencer_that_is_just_going_is_waited_for(committed, tmp_path):
    with psycopg.connect(postgres.cluster().url("terrain_seq", committed), autocommit=True) as former:
        former.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        gone = threading.Timer(0.3, former.close)
        gone.start()

        with sequencing(committed, tmp_path) as sequencer:
            sequencer.catch_up()

        gone.join()
    assert sequencer.size == 1


def test_a_database_restored_behind_a_signed_checkpoint_does_not_start(committed, tmp_path):
    write(3)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        path = merkle.consistency_proof(4, [merkle.leaf_hash(b"%d" % i) for i in range(9)])
    signing = Signing(tmp_path, ORIGIN)
    signing._write(signing.memory, signing.memory.read_bytes().replace(b'"size": 4', b'"size": 9'))

    with pytest.raises(CannotStart, match="restored behind"), sequencing(committed, tmp_path):
        pass
    assert path


def test_the_signer_refuses_what_is_no_extension(tmp_path):
    hashes = [merkle.leaf_hash(b"%d" % i) for i in range(9)]
    forked = [merkle.leaf_hash(b"autre"), *hashes[1:]]
    signing = Signing(tmp_path, ORIGIN)
    signing.sign(4, merkle.root(hashes[:4]), [])

    for size, root, path in [
        (9, merkle.root(forked), merkle.consistency_proof(4, forked)),
        (9, merkle.root(hashes), []),
        (4, merkle.root(forked[:4]), []),
        (3, merkle.root(hashes[:3]), []),
        (0, merkle.EMPTY_ROOT, []),
    ]:
        with pytest.raises(SignerError):
            Signing(tmp_path, ORIGIN).sign(size, root, path)  # as after a restart: the file remembers

    assert Signing(tmp_path, ORIGIN).size == 4
    path = merkle.consistency_proof(4, hashes)
    note = signing.sign(9, merkle.root(hashes), path)
    assert Checkpoint.open(note, signing.signer.verifier).size == 9


def test_the_key_is_private_and_lives_with_its_memory(tmp_path):
    Signing(tmp_path / "signer", ORIGIN)

    assert (tmp_path / "signer" / "log.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "signer" / "signed.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "signer" / "signed.json").unlink()
    with pytest.raises(SystemExit, match="only one of"):
        Signing(tmp_path / "signer", ORIGIN)


def test_the_signer_answers_on_its_socket_as_a_process(tmp_path):
    folder = tmp_path / ("un-dossier-au-nom-long" * 4)
    where = str(folder / "signer.sock")
    environment = {
        **os.environ,
        "TERRAIN_SIGNER_SOCKET": where,
        "TERRAIN_SIGNER_FOLDER": str(tmp_path / "signer"),
        "LOG_ORIGIN": ORIGIN,
    }
    process = subprocess.Popen([sys.executable, "manage.py", "signer"], env=environment, stdout=subprocess.PIPE)
    try:
        assert b"Signing" in process.stdout.readline()
        client = Client(where)
        root = merkle.leaf_hash(b"x")

        note = client.sign(1, root, [])

        assert (folder / "signer.sock").stat().st_mode & 0o777 == 0o600
        assert Checkpoint.open(note, client.state().verifier) == Checkpoint(ORIGIN, 1, root)
        with pytest.raises(SignerError):
            client.sign(2, root, [])
    finally:
        process.terminate()
        process.wait(10)
    with pytest.raises(SignerDown):
        client.state()


def test_the_index_is_a_function_of_the_leaves(committed, tmp_path):
    write(2, obj=("dataset", "12", "3"), zone="zone:1", conv="CV-2026-1", sub="patient:1", n=12, purp="experimentation")
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    stored = rows(
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), ulid, zone, actor, org, conv, "
        "obj, act, out, sub, purp FROM audit_index ORDER BY leaf_index"
    )
    assert [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in stored] == [
        astuple(leaf.columns(p)) for p in payloads()
    ]
    assert stored[1][6] == "dataset:12"
    assert one("SELECT sum(n)::int FROM audit_rollup_day WHERE zone = 'zone:1'") == (2,)


def test_erasing_details_and_tokens_changes_no_root(committed, tmp_path):
    write(3, detail={"motif": "un texte que l'on effacera"}, sub="patient:1")
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
    before = recomputed_root()

    kept = len(payloads())
    numbers = [number for (number,) in rows("SELECT event_id FROM audit_detail")]
    assert erasing.erase_details(numbers, by=SOMEBODY, why="fin de la durée de conservation") == 3
    assert erasing.erase_tokens(["user:1", "patient:1"], by=SOMEBODY, why="fin de la durée de conservation") == 2

    assert recomputed_root(kept) == before
    assert found(committed, tmp_path) == []


UNGUARDED = "SET session_replication_role = replica"


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("UPDATE audit_event SET payload = replace(payload, 'zone.create', 'zone.closed')", "root"),
        ("DELETE FROM audit_event WHERE id = (SELECT max(id) - 3 FROM audit_event)", "watermark"),
        ("INSERT INTO audit_event (generation, xid, at_day, payload) VALUES (1, '1', now()::date, '{}')", "watermark"),
        ("UPDATE audit_event e SET payload = o.payload FROM audit_event o "
         "WHERE (e.generation, o.generation) = (1, 1) AND e.id + o.id = (SELECT 2 * max(id) - 3 FROM audit_event)",
         "root"),
        ("UPDATE audit_index SET act = 'zone.open' WHERE leaf_index = 2", "search index"),
        ("DELETE FROM audit_index WHERE leaf_index = 2", "missing from the search index"),
        ("UPDATE audit_checkpoint SET root = sha256('x')", "root"),
        ("UPDATE audit_tile SET hashes = sha256('x') || substring(hashes FROM 33)", "tiles"),
        ("DELETE FROM audit_checkpoint WHERE size = 5", "checkpoint before that of 9"),
        ("DELETE FROM audit_checkpoint WHERE size = 9", "checkpoint of 13"),
    ],
    ids=["changed", "removed", "inserted", "swapped", "index", "unindexed", "checkpoint", "tile", "first", "next"],
)  # fmt: skip
def test_what_the_owner_could_still_do_is_detected(committed, tmp_path, attack, says):
    with sequencing(committed, tmp_path) as sequencer:
        for _ in range(3):
            write(4, zone="zone:a")
            sequencer.catch_up()
    assert found(committed, tmp_path) == []

    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute(UNGUARDED)
        owner.execute(attack)

    problems = found(committed, tmp_path)
    assert any(says in problem for problem in problems), problems


TEXTS = st.one_of(
    st.text(st.characters(exclude_characters="\0\n", codec="utf-8"), max_size=300),
    st.sampled_from(
        [
            '{"v":1}', '{"v":1,"v":1}', "[" * 3000, '"\\ud800"', "{}", "null", "1e999",
            '{"act":"x","at":"2026-13-45T00:00:00.000000Z","id":"a","keys":[],"origin":"","policy":{},"tool":"","v":0}',
            '{"act":"\\u0000","at":"2026-11-22T00:00:00.000000Z","id":"a","keys":[],"origin":"","policy":{},"tool":"","v":0}',
            '{"act":"' + "x" * 4000 + '","at":"2026-11-22T00:00:00.000000Z","id":"a","keys":[],"origin":"","policy":{},'
            '"tool":"","v":0}',
            '{"act":"\\ud800","at":"2026-11-22T00:00:00.000000Z","id":"a","keys":[],"origin":"","policy":{},"tool":"","v":0}',
        ]
    ),
)  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=1, max_size=12))
def test_no_payload_stops_the_sequencer(committed, tmp_path, texts):
    with connection.cursor() as cursor:
        for text in texts:
            cursor.execute("INSERT INTO audit_event (at_day, payload) VALUES (now()::date, %s)", [text])

    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    assert one("SELECT size FROM audit_sequencer")[0] == len(payloads())
    assert rows("SELECT DISTINCT act FROM audit_index WHERE leaf_index > 0") == [("unparsed",)]
    assert found(committed, tmp_path) == []


def test_the_process_sequences_what_is_committed(committed, tmp_path):
    write(2)
    environment = {
        **os.environ,
        "TERRAIN_SEQUENCER_DATABASE_URL": postgres.cluster().url("terrain_seq", committed),
        "TERRAIN_SIGNER_SOCKET": str(tmp_path / "s.sock"),
        "TERRAIN_SIGNER_FOLDER": str(tmp_path / "signer"),
        "LOG_ORIGIN": ORIGIN,
    }
    environment["DATABASE_URL"] = environment["TERRAIN_SEQUENCER_DATABASE_URL"]
    started = [
        subprocess.Popen([sys.executable, "manage.py", name], env=environment) for name in ("sequencer", "signer")
    ]
    try:
        deadline = time.monotonic() + 30
        while not one("SELECT count(*) FROM audit_verification")[0]:
            assert time.monotonic() < deadline, "the sequencer published nothing in 30 s"
            time.sleep(0.2)
        write(3)
        while one("SELECT max(size) FROM audit_checkpoint")[0] < 6:
            assert time.monotonic() < deadline, "the sequencer did not see later events"
            time.sleep(0.1)
    finally:
        for process in started:
            process.terminate()
        codes = [process.wait(10) for process in started]
    assert codes == [0, 0]
    assert one("SELECT problems FROM audit_verification") == ([],)
    assert state.verifier() == Signing(tmp_path / "signer", ORIGIN).signer.verifier
    assert found(committed, tmp_path / "signer") == []


def test_an_older_copy_of_the_signer_s_file_is_found_and_stops_the_sequencer(committed, tmp_path):
    with sequencing(committed, tmp_path) as sequencer:
        write(3)
        sequencer.catch_up()
        older = (tmp_path / "signed.json").read_bytes()
        write(2)
        sequencer.catch_up()
    (tmp_path / "signed.json").write_bytes(older)

    with psycopg.connect(postgres.cluster().url("terrain_auditor", committed), autocommit=True) as auditor:
        signing = Signing(tmp_path, ORIGIN)
        problems = verification.problems(auditor, signing.signer.verifier, signer=signing)[1]
    assert problems == [
        "the signer's memory holds 4 leaves and a checkpoint of 6 was published: an older copy of its file was put back"
    ]
    with pytest.raises(CannotStart, match="an older copy of signed"), sequencing(committed, tmp_path):
        pass


def test_a_log_cut_back_to_its_own_checkpoint_is_found_by_one_that_was_kept(committed, tmp_path):
    with sequencing(committed, tmp_path) as sequencer:
        for _ in range(2):
            write(3)
            sequencer.catch_up()
        kept = Checkpoint.open(state.checkpoint().note, state.verifier())
    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute(UNGUARDED)
        owner.execute("DELETE FROM audit_checkpoint WHERE size > 4")
        owner.execute("DELETE FROM audit_index WHERE leaf_index >= 4")
        owner.execute("UPDATE audit_tile SET hashes = substring(hashes FOR 128)")
        owner.execute("UPDATE audit_sequencer SET size = 4, (last_generation, last_xid, last_id) = "
                      "(SELECT generation, xid, event_id FROM audit_index WHERE leaf_index = 3)")  # fmt: skip
        owner.execute("DELETE FROM audit_event WHERE id > (SELECT last_id FROM audit_sequencer)")

    assert found(committed, tmp_path) == []
    with psycopg.connect(postgres.cluster().url("terrain_auditor", committed), autocommit=True) as auditor:
        verifier, signer = Signing(tmp_path, ORIGIN).signer.verifier, Signing(tmp_path, ORIGIN)
        by_memory = verification.problems(auditor, verifier, signer=signer)[1]
        by_kept = verification.problems(auditor, verifier, kept=[kept])[1]
    assert by_memory == ["the signer's memory has no leaves to hold: the log was cut"]
    assert by_kept == ["a kept checkpoint of 7 leaves has no leaves to hold: the log was cut"]
