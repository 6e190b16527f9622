"""Checkpoints are kept outside the database too, with what witnesses and the authority added; a refill brings them
back, and what was provable before is provable again."""

import json
import os
import threading

import psycopg
import pytest
from django.db import connection
from django.test import override_settings
from django.urls import reverse

from broker.audit import restoring, stamp, verification, witnesses
from broker.audit.checkpoint import Checkpoint, Signer
from broker.audit.entries import duty
from broker.audit.kept import Checkpoints, Kept
from broker.audit.management.commands.audit_restore import kept_in, leaves_of
from broker.audit.sequencer import CannotStart
from broker.audit.signer import Signing
from deploy import tsa
from tests import postgres
from tests.conftest import connected_to
from tests.integration.test_witnesses import Partner
from tests.logs import ORIGIN, one, sequencing, write

ROWS = "SELECT size, root, note, proof, cosignatures, tsr, tsr_at, published_at FROM audit_checkpoint ORDER BY size"


@pytest.fixture
def partner(tmp_path):
    made = Partner(tmp_path / "witness")
    yield made
    made.stop()


@pytest.fixture
def authority(tmp_path):
    server = tsa.serve(tmp_path / "tsa", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", tmp_path / "tsa" / "tsa.crt"
    server.shutdown()
    server.server_close()


def as_owner(database):
    return psycopg.connect(postgres.cluster().url("terrain_owner", database), autocommit=True)


def table(database):
    with as_owner(database) as owner:
        return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in owner.execute(ROWS)]


@pytest.fixture
def lost(committed, tmp_path, partner, authority):
    """A log of five checkpoints of which a backup holds one; the witness cosigned that one after the backup was made,
    and one of those that were lost, which bears a token too."""
    folder, signer, url = tmp_path / "bundles", tmp_path / "signer", authority[0]
    write(3, detail={"motif": "essai"})
    with sequencing(committed, signer) as sequencer:
        sequencer.catch_up()
        partner.witness.know(str(sequencer.signer.state().verifier))
        connection.close()
        sequencer.connection.close()
    backup = f"{committed}_backup_{os.getpid()}"
    postgres.cluster().create_database(backup, template=committed)
    with sequencing(committed, signer) as sequencer:
        keep, cosign = duty(folder), witnesses.duty(partner.key, partner.url)
        keep.act(sequencer.connection)
        cosign.act(sequencer.connection)
        for count in (5, 1, 300, 2):
            write(count)
            sequencer.catch_up()
            keep.act(sequencer.connection)
            if count == 1:
                cosign.act(sequencer.connection)
                stamp.hourly(url, authority[1]).act(sequencer.connection)
        keep.act(sequencer.connection)
        keep.act(sequencer.connection)
    yield {"database": committed, "backup": backup, "folder": folder, "signer": Signing(signer, ORIGIN),
           "settings": {"WITNESSES": [partner.setting], "TSA_CERTIFICATE": authority[1]}}  # fmt: skip
    postgres.cluster().drop_database(backup)


def take_up(lost, paths=None):
    with as_owner(lost["backup"]) as owner, override_settings(**lost["settings"]):
        kept = kept_in(paths or [lost["folder"]])
        return restoring.take_up(owner, lost["signer"].state(), leaves=leaves_of([lost["folder"]]), outside=kept)


def test_a_refill_brings_back_every_checkpoint_with_what_came_to_it(lost, client):
    done = take_up(lost)

    assert (done.refilled, done.checkpoints, done.amended, done.left_out) == (308, 4, 1, 0)
    assert table(lost["backup"]) == table(lost["database"])
    assert sum(bool(row[4]) for row in table(lost["backup"])) == 2
    with connected_to(lost["backup"]):
        answers = [
            client.get(reverse("log-consistency"), {"de": old, "a": new}).context["answer"].extends
            for old, new in ((4, 9), (9, 10), (10, 310), (9, 312))
        ]
        token = client.get(reverse("log-token", args=[10]))
    with sequencing(lost["backup"], lost["signer"].folder) as sequencer:
        sequencer.catch_up()
        size, found = verification.problems(sequencer.connection, lost["signer"].signer.verifier)

    assert answers == [True] * 4
    assert token.status_code == 200
    assert (size, found) == (313, [])


def test_what_nobody_known_here_signed_is_left_out_and_counted(lost):
    lost["settings"] = {"WITNESSES": [], "TSA_CERTIFICATE": None}

    done = take_up(lost)

    assert (done.checkpoints, done.amended, done.left_out) == (4, 0, 3)
    assert [(row[4], row[5]) for row in table(lost["backup"])] == [("", None)] * 5


def test_a_kept_checkpoint_of_a_second_history_stops_the_refill(lost):
    key: Signer = lost["signer"].signer
    forged = key.sign(Checkpoint(ORIGIN, 8, bytes(32)).text())
    at = one("SELECT published_at FROM audit_checkpoint ORDER BY size DESC LIMIT 1")[0]
    [month] = (lost["folder"] / "checkpoints").glob("*.jsonl")
    with month.open("a") as lines:
        lines.write(Kept(8, forged, "", None, at).line())
    before = table(lost["backup"])

    with pytest.raises(CannotStart, match="evidence of a second history"):
        take_up(lost)

    assert table(lost["backup"]) == before


def test_a_line_that_a_crash_cut_is_passed_over_and_the_next_turn_goes_on(committed, tmp_path):
    folder = tmp_path / "bundles"
    write(2)
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        duty(folder).act(sequencer.connection)
        [month] = (folder / "checkpoints").glob("*.jsonl")
        whole = month.read_text()
        month.write_text(whole + whole[: len(whole) // 2])
        write(1)
        sequencer.catch_up()
        duty(folder).act(sequencer.connection)  # another process, which knows only the folder

    assert [kept.size for kept in Checkpoints(folder).read()] == [3, 4]
    assert month.stat().st_mode & 0o777 == 0o600


def test_a_turn_without_news_writes_nothing(committed, tmp_path):
    write(2)
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        kept = Checkpoints(tmp_path / "bundles")
        turns = [kept.follow(sequencer.connection)]
        sequencer.connection.execute("UPDATE audit_checkpoint SET cosignatures = %s", ["— a AAAA\n"])
        turns += [kept.follow(sequencer.connection) for _ in range(2)]
        turns.append(Checkpoints(tmp_path / "bundles").follow(sequencer.connection))  # within the overlap: once more

    assert turns == [1, 1, 0, 1]
    assert [line.cosignatures for line in kept.read()] == ["", "— a AAAA\n", "— a AAAA\n"]


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"size": "4"}', json.dumps({"size": 4, "note": "", "tsr": "?"})])
def test_what_is_no_line_is_not_read(tmp_path, line):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "2026-11.jsonl").write_text(line + "\n")

    assert list(Checkpoints(tmp_path).read()) == []
