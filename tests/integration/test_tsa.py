"""The demo's time-stamp authority answers as RFC 3161 wants, judged by OpenSSL."""

import shutil
import subprocess
import threading

import httpx
import pytest
from asn1crypto import tsp

from deploy import tsa

POST = {"Content-Type": tsa.QUERY}


@pytest.fixture
def authority(tmp_path):
    server = tsa.serve(tmp_path / "tsa", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", tmp_path / "tsa" / "tsa.crt"
    server.shutdown()
    thread.join()
    server.server_close()


def _openssl(*arguments, check=True):
    program = shutil.which("openssl")
    assert program, "openssl is missing: apt-get install openssl"
    return subprocess.run([program, *map(str, arguments)], check=check, capture_output=True, text=True)


def test_openssl_verifies_a_token_and_refuses_it_for_another_file(authority, tmp_path):
    url, certificate = authority
    document, other = tmp_path / "convention.pdf", tmp_path / "other.pdf"
    document.write_bytes(b"%PDF-1.7 signed")
    other.write_bytes(b"%PDF-1.7 altered")
    _openssl("ts", "-query", "-data", document, "-sha256", "-cert", "-out", tmp_path / "query.tsq")

    reply = httpx.post(url, content=(tmp_path / "query.tsq").read_bytes(), headers=POST)

    (tmp_path / "reply.tsr").write_bytes(reply.content)
    verify = ("ts", "-verify", "-in", tmp_path / "reply.tsr", "-CAfile", certificate)
    assert "Verification: OK" in _openssl(*verify, "-data", document).stdout
    assert _openssl(*verify, "-data", other, check=False).returncode != 0


@pytest.mark.parametrize("body", [b"not a query", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_query_is_rejected_with_the_reason(authority, tmp_path, body):
    url, _ = authority

    reply = httpx.post(url, content=body, headers=POST)

    (tmp_path / "reply.tsr").write_bytes(reply.content)
    said = _openssl("ts", "-reply", "-in", tmp_path / "reply.tsr", "-text").stdout
    assert "Status: Rejected." in said
    assert "the data submitted has the wrong format" in said


def test_a_weak_digest_is_rejected(authority, tmp_path):
    url, _ = authority
    imprint = {"hash_algorithm": {"algorithm": "sha1"}, "hashed_message": b"0" * 20}
    query = tsp.TimeStampReq({"version": 1, "message_imprint": imprint})

    reply = httpx.post(url, content=query.dump(), headers=POST)

    (tmp_path / "reply.tsr").write_bytes(reply.content)
    said = _openssl("ts", "-reply", "-in", tmp_path / "reply.tsr", "-text").stdout
    assert "unrecognized or unsupported algorithm" in said


def test_another_type_of_content_is_refused(authority):
    url, _ = authority

    assert httpx.post(url, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415


def test_the_identity_survives_a_restart_and_its_key_is_private(tmp_path):
    key, certificate = tsa.identity(tmp_path)
    before = certificate.read_bytes()

    tsa.identity(tmp_path)

    assert certificate.read_bytes() == before
    assert key.stat().st_mode & 0o777 == 0o600
