"""Time stamps over checkpoints: what the authority answers is checked, and its absence stops nothing."""

import threading

import pytest
from asn1crypto import tsp

from broker.audit import stamp
from deploy import tsa
from tests.logs import one, sequencing, write


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    server = tsa.serve(tmp_path_factory.mktemp("tsa"), 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_token_is_over_the_checkpoint(authority):
    token = stamp.ask(f"http://127.0.0.1:{authority.server_port}/", b"un relev\xc3\xa9")

    response = tsp.TimeStampResp.load(token)
    assert response["status"]["status"].native == "granted"


def test_an_answer_about_something_else_is_refused(authority, monkeypatch):
    other = tsa.answer

    def mistaken(body, stamper):
        query = tsp.TimeStampReq.load(body)
        query["message_imprint"]["hashed_message"] = bytes(32)
        return other(query.dump(force=True), stamper)

    monkeypatch.setattr(tsa, "answer", mistaken)

    with pytest.raises(stamp.NoStamp, match="something else"):
        stamp.ask(f"http://127.0.0.1:{authority.server_port}/", b"un relev\xc3\xa9")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "file:///etc/hostname", "nowhere"])
def test_an_authority_that_is_not_there_is_told(url):
    with pytest.raises(stamp.NoStamp):
        stamp.ask(url, b"un relev\xc3\xa9")


def test_a_checkpoint_takes_one_token_and_keeps_it(fresh_database, django_db_blocker, tmp_path):
    import psycopg

    with django_db_blocker.unblock():
        write()
        with sequencing(fresh_database, tmp_path) as sequencer:
            sequencer.catch_up()
            stamped = "UPDATE audit_checkpoint SET tsr = %s, tsr_at = clock_timestamp()"
            sequencer.connection.execute(stamped, [b"jeton"])

            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sequencer.connection.execute(stamped, [b"autre jeton"])

        assert bytes(one("SELECT tsr FROM audit_checkpoint")[0]) == b"jeton"
