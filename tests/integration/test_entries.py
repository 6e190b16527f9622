"""Signed entries are kept in files outside the database; a log restored behind a checkpoint is refilled from them."""

import itertools
import os

import psycopg
import pytest
from django.db import connection

from broker.audit import merkle, outside, restoring, verification
from broker.audit.entries import Entries, Unreadable, duty
from broker.audit.kept import Checkpoints
from broker.audit.management.commands.audit_restore import leaves_of
from broker.audit.sequencer import CannotStart
from broker.audit.signer import Signing
from tests import postgres
from tests.logs import ORIGIN, one, rows, sequencing, write


def payloads():
    return [text for (text,) in rows("SELECT payload FROM audit_event ORDER BY generation, xid, id")]


def held(folder):
    return [text for _, text in Entries(folder).leaves()]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_signed_entry_is_kept_in_bundles_of_256(committed, tmp_path):
    folder, sizes = tmp_path / "bundles", []
    with sequencing(committed, tmp_path / "signer") as sequencer:
        keep = duty(folder)
        keep.act(sequencer.connection)
        for count in (3, 0, 252, 1, 260):
            write(count)
            sequencer.catch_up()
            sizes.append(keep.act(sequencer.connection))
            assert held(folder) == payloads()

    assert sizes == [4, None, 256, 257, 517]
    month = f"checkpoints/{one('SELECT max(published_at) FROM audit_checkpoint')[0]:%Y-%m}.jsonl"
    assert names(folder) == ["checkpoint", month, "checkpoints/mark", "entries/000", "entries/001", "entries/002.p/5"]
    assert [kept.size for kept in Checkpoints(folder).read()] == [4, 256, 257, 517]
    assert Entries(folder).size() == 517
    root = merkle.root([merkle.leaf_hash(text.encode()) for text in held(folder)])
    assert root == bytes(one("SELECT root FROM audit_checkpoint WHERE size = 517")[0])
    assert (folder / "checkpoint").read_text() == one("SELECT note FROM audit_checkpoint WHERE size = 517")[0]
    assert (folder / "entries" / "000").stat().st_mode & 0o777 == 0o600


def test_only_what_is_signed_is_kept(committed, tmp_path):
    write(3)
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.step()
        before = duty(tmp_path / "bundles").act(sequencer.connection)
        sequencer.sign()
        write(2)
        sequencer.step()
        after = duty(tmp_path / "bundles").act(sequencer.connection)

    assert (before, after) == (None, 4)


def test_a_writer_that_died_anywhere_goes_on_where_it_was(committed, tmp_path):
    write(300)
    folder = tmp_path / "bundles"
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        duty(folder).act(sequencer.connection)
        (folder / "entries" / "001.p" / "45").unlink()  # the second bundle was not yet written
        (folder / "entries" / "001.p" / "45.new").write_bytes(b"\x00\x99half")
        (folder / "entries" / "000.p").mkdir()
        (folder / "entries" / "000.p" / "7").write_bytes(b"")  # the shorter one was not yet removed

        size = duty(folder).act(sequencer.connection)

    assert size == 301
    assert held(folder) == payloads()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 8, 9])
def test_its_size_is_found_without_listing_it(tmp_path, count):
    kept = Entries(tmp_path)
    for n in range(count):
        kept.write(n, ["x"] * 256)
    whole = kept.size()
    kept.write(count, ["é", "\t", ""])

    assert (whole, kept.size()) == (count * 256, count * 256 + 3)
    assert [text for _, text in itertools.islice(kept.leaves(), count * 256, None)] == ["é", "\t", ""]


def test_an_entry_that_is_not_the_one_that_was_signed_is_not_kept(committed, tmp_path):
    write(3)
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute("UPDATE audit_event SET payload = replace(payload, 'zone.create', 'zone.amend')")
        duty(tmp_path / "bundles").turn(sequencer.connection)

    assert names(tmp_path / "bundles") == []
    assert "not those that were signed" in outside.standing()["bundles"].problem


def test_a_folder_that_cannot_be_written_is_told_and_the_log_goes_on(committed, tmp_path):
    write(3)
    (tmp_path / "bundles").write_text("un fichier")
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        keep = duty(tmp_path / "bundles")
        keep.turn(sequencer.connection)
        told = outside.standing()["bundles"].problem
        write()
        went_on = sequencer.catch_up()
        (tmp_path / "bundles").unlink()
        keep.turn(sequencer.connection)

    assert "cannot be written" in told
    assert went_on == 1
    assert outside.standing()["bundles"].problem == ""
    assert held(tmp_path / "bundles") == payloads()


def test_a_damaged_bundle_is_refused_by_its_name(tmp_path):
    kept = Entries(tmp_path)
    kept.write(0, ["abc"] * 256)
    path = tmp_path / "entries" / "000"
    whole = path.read_bytes()

    for content in (whole[:-1], whole + b"\x00", whole[:-5], b""):
        path.write_bytes(content)
        with pytest.raises(Unreadable, match="entries/000"):
            list(kept.leaves())


def test_a_log_restored_behind_a_signed_checkpoint_is_refilled_to_the_same_root(committed, tmp_path):
    folder, signer = tmp_path / "bundles", tmp_path / "signer"
    write(3, detail={"motif": "essai"})
    with sequencing(committed, signer) as sequencer:
        sequencer.catch_up()
        connection.close()
        backup = f"{committed}_backup_{os.getpid()}"
        sequencer.connection.close()
    postgres.cluster().create_database(backup, template=committed)
    try:
        write(300)
        with sequencing(committed, signer) as sequencer:
            sequencer.catch_up()
            duty(folder).act(sequencer.connection)
        size, root = one("SELECT size, root FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
        signed = Signing(signer, ORIGIN)
        with pytest.raises(CannotStart, match="restored behind"), sequencing(backup, signer):
            pass
        with sequencing_link(backup) as behind:
            duty(folder).turn(behind)
            told = behind.execute("SELECT problem FROM audit_outside WHERE name = 'bundles'").fetchone()[0]

        owner = psycopg.connect(postgres.cluster().url("terrain_owner", backup), autocommit=True)
        with owner:
            done = restoring.take_up(owner, signed.state(), leaves=leaves_of([folder]))
        with sequencing(backup, signer) as sequencer:
            sequencer.catch_up()
            duty(folder).act(sequencer.connection)
            again, found = verification.problems(sequencer.connection, signed.signer.verifier)

        assert "restored behind them" in told
        assert (done.size, done.refilled) == (size, 300) == (304, 300)
        assert merkle.root([merkle.leaf_hash(t.encode()) for t in held(folder)[:size]]) == bytes(root)
        assert (again, found) == (305, [])  # the leaf that tells of the restore came after
        assert Entries(folder).size() == 305
    finally:
        postgres.cluster().drop_database(backup)


def sequencing_link(database):
    return psycopg.connect(postgres.cluster().url("terrain_seq", database), autocommit=True)
