"""Time stamps over checkpoints: every hour, verified before they are kept; an authority that is down stops nothing."""

import shutil
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from broker.audit import outside, stamp
from deploy import tsa
from tests import postgres
from tests.logs import one, rows, sequencing, write

DOCUMENT = b"un relev\xc3\xa9"


class Authority:
    """An authority on loopback: its address, its certificate, and what it may be made to do wrong."""

    def __init__(self, folder: Path):
        self.server = tsa.serve(folder, 0)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.certificate = folder / "tsa.crt"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def trusted(self):
        return stamp.certificates(self.certificate)

    def ask(self):
        return stamp.ask(self.url, DOCUMENT, trusted=self.trusted())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("tsa"))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The certificate of another authority of the same name."""
    return tsa.identity(tmp_path_factory.mktemp("autre"))[1]


def _openssl_verifies(token: bytes, document: bytes, certificate: Path, folder: Path) -> bool:
    program = shutil.which("openssl")
    assert program, "openssl is missing: apt-get install openssl"
    (folder / "document").write_bytes(document)
    (folder / "token.tsr").write_bytes(token)
    said = subprocess.run(
        [program, "ts", "-verify", "-data", str(folder / "document"), "-in", str(folder / "token.tsr"), "-CAfile",
         str(certificate)], capture_output=True, text=True,
    )  # fmt: skip
    assert (said.returncode == 0) == ("Verification: OK" in said.stdout)
    return said.returncode == 0


def test_the_token_of_a_document_is_verified_by_openssl_too(authority, stranger, tmp_path):
    token, at = authority.ask()

    assert stamp.verify(token, DOCUMENT, trusted=authority.trusted()) == at
    assert _openssl_verifies(token, DOCUMENT, authority.certificate, tmp_path)
    assert not _openssl_verifies(token, DOCUMENT + b".", authority.certificate, tmp_path)
    assert not _openssl_verifies(token, DOCUMENT, stranger, tmp_path)


def test_a_token_is_refused_for_another_document_another_authority_or_a_changed_byte(authority, stranger):
    token, _ = authority.ask()
    changed = token[:-5] + bytes([token[-5] ^ 1]) + token[-4:]

    for what, document, certificate in (
        (token, DOCUMENT + b".", authority.certificate),
        (token, DOCUMENT, stranger),
        (changed, DOCUMENT, authority.certificate),
        (token[:100], DOCUMENT, authority.certificate),
        (b"", DOCUMENT, authority.certificate),
    ):
        with pytest.raises(stamp.NoStamp):
            stamp.verify(what, document, trusted=stamp.certificates(certificate))


def test_an_answer_about_something_else_is_refused(authority, monkeypatch):
    other = tsa.answer

    def mistaken(body, stamper):
        query = tsa.tsp.TimeStampReq.load(body)
        query["message_imprint"]["hashed_message"] = bytes(32)
        return other(query.dump(force=True), stamper)

    monkeypatch.setattr(tsa, "answer", mistaken)

    with pytest.raises(stamp.NoStamp, match="something else"):
        authority.ask()


def test_a_former_answer_played_again_is_refused(authority, monkeypatch):
    other, kept = tsa.answer, []

    def again(body, stamper):
        kept.append(other(body, stamper))
        return kept[0]

    monkeypatch.setattr(tsa, "answer", again)
    authority.ask()

    with pytest.raises(stamp.NoStamp, match="nonce"):
        authority.ask()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "file:///etc/hostname", "nowhere"])
def test_an_authority_that_is_not_there_is_told(url):
    with pytest.raises(outside.Undone):
        stamp.ask(url, DOCUMENT, trusted=[])


@pytest.mark.parametrize(("content", "says"), [(None, "set TERRAIN_TSA_CERTIFICATE"), (b"rien", "cannot be read")])
def test_without_the_certificate_nothing_is_stamped(tmp_path, content, says):
    path = None if content is None else tmp_path / "tsa.pem"
    if path:
        path.write_bytes(content)

    with pytest.raises(stamp.NoStamp, match=says):
        stamp.certificates(path)


def test_the_last_checkpoint_is_stamped_once_an_hour(authority, committed, tmp_path):
    with sequencing(committed, tmp_path / "signer") as sequencer:
        duty = stamp.hourly(authority.url, authority.certificate)
        link = sequencer.connection
        before_any = duty.act(link)
        for _ in range(2):
            write()
            sequencer.catch_up()
            duty.turn(link)
        link.execute("UPDATE audit_outside SET done_at = done_at - interval '61 minutes'")
        write()
        sequencer.catch_up()
        duty.turn(link)
        duty.turn(link)

    assert before_any is None
    assert [size for (size,) in _stamped()] == [2, 4]
    size, note, token, at = one("SELECT size, note, tsr, tsr_at FROM audit_checkpoint WHERE size = 4")
    assert stamp.verify(bytes(token), note.encode(), trusted=authority.trusted()) == at
    assert _openssl_verifies(bytes(token), note.encode(), authority.certificate, tmp_path)
    assert outside.standing()["stamp"].size == size


def _stamped():
    return rows("SELECT size FROM audit_checkpoint WHERE tsr IS NOT NULL ORDER BY size")


def test_an_authority_that_is_down_is_told_since_when_and_asked_again(authority, committed, tmp_path):
    write()
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        down = stamp.hourly("http://127.0.0.1:9/", authority.certificate)
        pauses = [down.turn(sequencer.connection), down.turn(sequencer.connection)]
        told = outside.standing()["stamp"]
        write()
        went_on = sequencer.catch_up()

        stamp.hourly(authority.url, authority.certificate).turn(sequencer.connection)

    assert pauses == [stamp.AGAIN] * 2
    assert told.failing_since
    assert "does not answer" in told.problem
    assert went_on == 1
    mended = outside.standing()["stamp"]
    assert (mended.size, mended.failing_since, mended.problem) == (3, None, "")


def test_a_token_that_does_not_verify_is_not_kept(authority, stranger, committed, tmp_path):
    write()
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        stamp.hourly(authority.url, stranger).turn(sequencer.connection)

    assert one("SELECT count(tsr) FROM audit_checkpoint") == (0,)
    assert "not signed by the authority" in outside.standing()["stamp"].problem


def test_a_checkpoint_keeps_its_first_token(committed, tmp_path):
    write()
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        stamped = "UPDATE audit_checkpoint SET tsr = %s, tsr_at = clock_timestamp()"
        sequencer.connection.execute(stamped, [b"jeton"])

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sequencer.connection.execute(stamped, [b"autre jeton"])

    assert bytes(one("SELECT tsr FROM audit_checkpoint")[0]) == b"jeton"


def test_a_duty_goes_on_after_the_database_was_away(committed, tmp_path):
    done, stop = threading.Semaphore(0), threading.Event()
    turns = []

    def act(link):
        turns.append(link.info.backend_pid)
        done.release()
        if len(turns) == 1:
            with postgres.cluster().connect() as owner:
                owner.execute("SELECT pg_terminate_backend(%s)", [turns[0]])

    duty = outside.Duty("stamp", act, every=0.01, again=0.01)
    worker = outside.Worker(duty, postgres.cluster().url("terrain_seq", committed), stop)
    worker.start()

    for _ in range(3):
        assert done.acquire(timeout=10)
    stop.set()
    worker.join(10)

    assert not worker.is_alive()
    assert len(set(turns)) == 2
