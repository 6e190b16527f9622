"""kill -9 of the sequencer and of PostgreSQL under 16 writers: nothing is lost, nothing doubled, the same root.

Twenty kills here, two hundred by `make soak` (TERRAIN_KILLS). The cluster is a durable one: fsync and
synchronous_commit are on. The signer is left alone: what it would lose is in test_sequencer.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from broker.audit import checkpoint, merkle, verification
from broker.audit.signer import Signing
from deploy.postgres import Cluster
from tests import postgres
from tests.logs import ORIGIN

KILLS = int(os.environ.get("TERRAIN_KILLS", 20))
WRITERS, PAUSE = 16, 0.1  # seconds between two commits of one writer
DATABASE = "killed"
PATIENCE = 60  # seconds


@pytest.fixture
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("killed")).start()
    postgres.copied(postgres.cluster(), postgres.TEMPLATE, cluster, DATABASE)
    with cluster.connect("terrain_owner", DATABASE) as owner:
        owner.execute("CREATE TABLE business (name text PRIMARY KEY)")
        owner.execute("GRANT INSERT ON business TO terrain_app")
    yield cluster
    cluster.stop()


class Writer(threading.Thread):
    """Commits one business row with its event at a time; knows which commits were answered."""

    def __init__(self, url: str, number: int, stop: threading.Event):
        super().__init__()
        self.url, self.number, self.stop = url, number, stop
        self.answered: set[str] = set()
        self.unanswered: set[str] = set()
        self.wrong: list[BaseException] = []

    def run(self):
        turn = 0
        while not self.stop.is_set():
            try:
                with psycopg.connect(self.url) as link:
                    while not self.stop.is_set():
                        name = f"{self.number}-{turn}"
                        turn += 1
                        self.unanswered.add(name)
                        link.execute("INSERT INTO business VALUES (%s)", [name])
                        link.execute(
                            "INSERT INTO audit_event (at_day, payload) VALUES (current_date, %s)",
                            [f'{{"act":"zone.create","req":"{name}"}}'],
                        )
                        link.commit()
                        self.unanswered.discard(name)
                        self.answered.add(name)
                        self.stop.wait(PAUSE)
            except psycopg.OperationalError:  # the server was killed: again when it is back
                self.stop.wait(0.05)
            except psycopg.Error as error:
                self.wrong.append(error)
                return


class Processes:
    """The sequencer and the signer as the launcher runs them; a sequencer that dies is started again."""

    def __init__(self, cluster: Cluster, folder: Path):
        self.log = (folder / "processes.log").open("wb")
        url = cluster.url("terrain_seq", DATABASE)
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "TERRAIN_SEQUENCER_DATABASE_URL": url,
            "TERRAIN_SIGNER_SOCKET": str(folder / "s.sock"),
            "TERRAIN_SIGNER_FOLDER": str(folder / "signer"),
            "LOG_ORIGIN": ORIGIN,
        }
        self.signer = self._start("signer")
        self.sequencer: subprocess.Popen = self._start("sequencer")

    def _start(self, name: str) -> subprocess.Popen:
        command = [sys.executable, "manage.py", name]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=self.log)

    def sequence(self) -> None:
        """Return when a sequencer is at work. One that meets the lock of the killed one, or no server, tries again."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.sequencer.poll() is not None:
                self.sequencer = self._start("sequencer")
            if self.sequencer.stdout and b"Sequencing" in self.sequencer.stdout.readline():
                return
            self.sequencer.wait(PATIENCE)
        raise AssertionError(f"no sequencer started in {PATIENCE} s")

    def kill_sequencer(self) -> None:
        self.sequencer.kill()
        self.sequencer.wait(PATIENCE)

    def end(self) -> None:
        for process in (self.sequencer, self.signer):
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)
        self.log.close()


def kill_server(cluster: Cluster) -> None:
    """The postmaster and every process under it, at once, as a power cut would."""
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    for process in [postmaster, *children(postmaster)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def test_killed_at_any_moment_the_log_loses_and_doubles_nothing(cluster, tmp_path, capsys):
    chance = random.Random(KILLS)
    kills: Counter[str] = Counter()
    with cluster.connect("postgres", DATABASE) as link:
        durable = {name: link.execute(f"SHOW {name}").fetchone()[0] for name in ("fsync", "synchronous_commit")}
    processes, stop = Processes(cluster, tmp_path), threading.Event()
    writers = [Writer(cluster.url("terrain_app", DATABASE), number, stop) for number in range(WRITERS)]
    try:
        processes.sequence()
        for writer in writers:
            writer.start()

        for turn in range(KILLS):
            time.sleep(chance.uniform(0, 0.5))
            if turn % 2:
                kill_server(cluster)
                cluster.start()
                processes.sequencer.wait(PATIENCE)  # its connection is gone: it ends, and is started again
                kills["postgres"] += 1
            else:
                processes.kill_sequencer()
                kills["sequencer"] += 1
            processes.sequence()
        stop.set()
        for writer in writers:
            writer.join(PATIENCE)
        wait_until_sequenced(cluster)
    finally:
        stop.set()
        processes.end()

    answered = set().union(*(writer.answered for writer in writers))
    unanswered = set().union(*(writer.unanswered for writer in writers))
    with cluster.connect("terrain_owner", DATABASE) as link:
        events = [p for (p,) in link.execute("SELECT payload FROM audit_event ORDER BY generation, xid, id")]
        business = {name for (name,) in link.execute("SELECT name FROM business")}
        indexed = link.execute("SELECT leaf_index, event_id FROM audit_index ORDER BY leaf_index").fetchall()
        (note,) = link.execute("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        signing = Signing(tmp_path / "signer", ORIGIN)
        size, problems = verification.problems(link, signing.signer.verifier, signer=signing)
    announced = [event for event in events if '"act":"log.key"' in event]  # by the sequencer itself, at its start
    names = Counter(event.split('"req":"')[1][:-2] for event in events[1:] if event not in announced)
    with capsys.disabled():
        print(
            f"\n{dict(kills)} killed under {WRITERS} writers, {len(events)} leaves; {len(unanswered)} commits had no "
            f"answer, {len(unanswered & set(names))} of them hold; {durable}"
        )
    assert [writer.wrong for writer in writers] == [[]] * WRITERS
    assert durable == {"fsync": "on", "synchronous_commit": "on"}
    assert kills == {"sequencer": KILLS // 2, "postgres": KILLS // 2}
    assert len(announced) == 1
    assert set(names.values()) == {1}
    assert set(names) == business
    assert answered <= business <= answered | unanswered
    assert len(answered) > 10 * KILLS
    assert [place for place, _ in indexed] == list(range(len(events)))
    assert len({event for _, event in indexed}) == len(events) == size
    assert problems == []
    signed = checkpoint.Checkpoint.open(note, signing.signer.verifier)
    assert signed.size == signing.size == len(events)
    assert signed.root == signing.root == merkle.root([merkle.leaf_hash(event.encode()) for event in events])


def wait_until_sequenced(cluster: Cluster) -> None:
    deadline = time.monotonic() + PATIENCE
    with cluster.connect("terrain_owner", DATABASE) as link:
        while time.monotonic() < deadline:
            ((waiting, unsigned),) = link.execute(
                "SELECT (SELECT count(*) FROM audit_event) - size, size - (SELECT max(size) FROM audit_checkpoint) "
                "FROM audit_sequencer"
            ).fetchall()
            if waiting == unsigned == 0:
                return
            time.sleep(0.2)
    raise AssertionError(f"{waiting} events and {unsigned} leaves still wait after {PATIENCE} s")
