"""witness.py as a partner runs it: it cosigns what extends what it saw, refuses the rest, and never forgets."""

import contextlib
import hashlib
import itertools
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.audit import checkpoint, merkle
from broker.audit.checkpoint import Checkpoint, Signer, Verifier
from broker.audit.kit import witness as script
from broker.audit.witnesses import request

ORIGIN, NAME = "terrain.test/log", "temoin.test/w1"
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(70)]
FORKED = [merkle.leaf_hash(b"autre"), *LEAVES[1:]]


class Log:
    """A log's key, and what it signs."""

    def __init__(self):
        self.signer = Signer(ORIGIN, Ed25519PrivateKey.generate())

    def note(self, size, leaves=LEAVES):
        return self.signer.sign(Checkpoint(ORIGIN, size, merkle.root(leaves[:size])).text())

    def request(self, old, size, leaves=LEAVES):
        return request(old, merkle.consistency_proof(old, leaves[:size]) if old else [], self.note(size, leaves))


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def witness(log, tmp_path):
    made = script.Witness(tmp_path / "w", NAME)
    made.know(str(log.signer.verifier))
    return made


def refused(witness, body):
    with pytest.raises(script.No) as no:
        witness.add_checkpoint(body)
    return no.value


def test_a_cosigned_checkpoint_verifies_with_the_module_of_checkpoints(log, witness):
    for old, size in [(0, 1), (1, 1), (1, 7), (7, 64), (64, 65), (65, 70)]:
        line = witness.add_checkpoint(log.request(old, size))

        cosigner = Verifier.parse(str(witness))
        told = checkpoint.verify(log.note(size) + line, log.signer.verifier, cosigner)
        assert told[log.signer.verifier] is None
        assert abs(told[cosigner] - time.time()) < 60


def test_every_pair_of_sizes_is_proven_and_no_fork():
    for old, size in itertools.combinations_with_replacement(range(1, 71), 2):
        path = merkle.consistency_proof(old, LEAVES[:size])
        old_root, root = merkle.root(LEAVES[:old]), merkle.root(LEAVES[:size])

        assert script.is_extension(old, old_root, size, root, path)
        assert not script.is_extension(old, merkle.root(FORKED[:old]), size, root, path)
        assert not script.is_extension(old, old_root, size, merkle.root(FORKED[:size]), path)
        assert not script.is_extension(old, old_root, size, root, [*path, bytes(32)])
        assert not path or not script.is_extension(old, old_root, size, root, path[:-1])


def test_it_refuses_a_fork_and_keeps_it_as_evidence(log, witness):
    witness.add_checkpoint(log.request(0, 40))

    for size in (40, 60):
        no = refused(witness, log.request(40, size, FORKED))
        assert no.status == 422
        assert "ne prolonge pas" in no.why
    assert witness.remembered(ORIGIN) == (40, merkle.root(LEAVES[:40]))
    kept = {path.read_text() for path in (witness.folder / "refused").iterdir()}
    assert kept == {log.note(40, FORKED), log.note(60, FORKED)}
    assert witness.add_checkpoint(log.request(40, 60))


def test_it_refuses_what_the_protocol_says_with_the_status_it_says(log, witness):
    witness.add_checkpoint(log.request(0, 40))
    stranger, right = Log(), log.request(40, 60)
    text, _, signature = log.note(60).rpartition("\n\n")

    assert refused(witness, right.replace("old 40", "old 39")).status == 409
    assert refused(witness, log.request(0, 60)).why == "40\n"
    assert refused(witness, log.request(0, 60)).kind == "text/x.tlog.size"
    assert refused(witness, log.request(40, 60).replace("old 40", "old 61")).status == 400
    assert refused(witness, stranger.request(40, 60)).status == 403
    assert refused(witness, right.replace("\n60\n", "\n61\n")).status == 403
    assert refused(witness, right.replace(ORIGIN, "autre.test/log")).status == 404
    assert refused(witness, request(40, [], log.note(60))).status == 422
    assert refused(witness, request(40, merkle.consistency_proof(40, LEAVES)[:-1], log.note(70))).status == 422
    for body in ("", "old 40", f"old 40\n\n{text}\n", f"old 040\n\n{log.note(60)}", "old 40\nAAAA\n\n" + log.note(60),
                 f"old 40\n{'A' * 43}\n\n{log.note(60)}", f"new 40\n\n{log.note(60)}",
                 "old 40\n" + "\n".join(["A" * 43 + "="] * 64) + "\n\n" + log.note(60),
                 f"old 40\n\n{text}\n\n-{signature}"):  # fmt: skip
        assert refused(witness, body).status == 400, body
    assert witness.remembered(ORIGIN)[0] == 40


def test_an_empty_log_has_one_root_and_proves_nothing(log, witness):
    empty = log.signer.sign(Checkpoint(ORIGIN, 0, bytes(32)).text())

    assert refused(witness, request(0, [], empty)).status == 422
    assert refused(witness, request(0, [bytes(32)], log.note(3))).status == 422
    assert witness.add_checkpoint(log.request(0, 0))


def test_its_memory_and_key_are_private_and_stay_together(log, witness, tmp_path):
    witness.add_checkpoint(log.request(0, 40))
    again = script.Witness(tmp_path / "w", NAME)
    again.know(str(log.signer.verifier))

    assert str(again) == str(witness)
    assert again.remembered(ORIGIN)[0] == 40
    assert refused(again, log.request(0, 60)).status == 409
    for path in (tmp_path / "w").iterdir():
        assert path.name == "lock" or path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "w" / "witness.key").unlink()
    with pytest.raises(SystemExit, match="mémoire sans sa clé"):
        script.Witness(tmp_path / "w", NAME)


def test_two_keys_of_one_log_are_refused(witness):
    with pytest.raises(SystemExit, match="deux clés"):
        witness.know(str(Log().signer.verifier))
    with pytest.raises(SystemExit, match="clé publique"):
        witness.know(str(witness))


def test_of_two_requests_at_once_only_one_is_cosigned(log, tmp_path):
    """As two processes would: each with its own object on one folder."""
    answers, start = [], threading.Barrier(8)

    def ask(size):
        one = script.Witness(tmp_path / "w", NAME)
        one.know(str(log.signer.verifier))
        start.wait()
        try:
            one.add_checkpoint(log.request(0, size))
            answers.append(200)
        except script.No as no:
            answers.append(no.status)

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(10, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [200] + [409] * 7


@contextlib.contextmanager
def running(folder, *arguments):
    """The script as a process, alone in its folder: nothing of ours is on its path."""
    alone = folder / "witness.py"
    alone.write_bytes(Path(script.__file__).read_bytes())
    process = subprocess.Popen(
        [sys.executable, "-I", str(alone), str(folder / "w"), "--nom", NAME, *arguments],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def call(url, body=None):
    answer = httpx.post(url, content=body) if body else httpx.get(url)
    return answer.status_code, answer.headers["Content-Type"], answer.text


def test_it_serves_the_protocol_as_one_command(log, tmp_path):
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    with running(tmp_path, "--journal", str(log.signer.verifier), "--ecoute", f"127.0.0.1:{port}") as process:
        assert "écoute" in process.stderr.readline()
        origin_hash = hashlib.sha256(ORIGIN.encode()).hexdigest()

        assert call(f"{site}/{origin_hash}/checkpoint")[0] == 404
        status, _, line = call(f"{site}/add-checkpoint", log.request(0, 40))
        cosigner = Verifier.parse(call(site + "/")[2])
        conflict = call(f"{site}/add-checkpoint", log.request(0, 60))
        fork = call(f"{site}/add-checkpoint", log.request(40, 60, FORKED))
        unknown = call(f"{site}/sign-subtree", "x")
        note = call(f"{site}/{origin_hash}/checkpoint")[2]

    assert status == 200
    assert checkpoint.verify(log.note(40) + line, cosigner)
    assert conflict == (409, "text/x.tlog.size", "40\n")
    assert (fork[0], unknown[0]) == (422, 404)
    assert note == log.note(40) + line


def test_it_prints_the_key_to_give_to_the_platform(tmp_path):
    with running(tmp_path) as process:
        printed = process.communicate(timeout=20)[0]

    assert Verifier.parse(printed).kind == checkpoint.COSIGNATURE
    assert {path.name for path in (tmp_path / "w").iterdir()} == {"lock", "witness.key"}
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o700
