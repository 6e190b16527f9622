"""The platform's seal: it begins with the signed bytes, carries the evidence, and breaks when a byte changes."""

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from broker.errors import BadInput
from consent import document, seal
from tests.unit.test_document import data

EVIDENCE = {"convention": "CV-2026-0001", "signatures": [{"party": "operator"}]}


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A key and its certificate, as the worker finds them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cachet d'essai")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.KeyUsage(True, True, *[False] * 7), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("seal") / "seal.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="module")
def signed():
    return document.render(data()).pdf


@pytest.fixture(scope="module")
def sealed(pem, signed):
    return seal.seal(signed, EVIDENCE, signer=seal.load(pem))


def status_of(pdf, pem):
    found = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[0]
    root = seal.load(pem).signing_cert
    return validate_pdf_signature(found, ValidationContext(trust_roots=[root], allow_fetching=False))


def test_the_sealed_file_begins_with_the_exact_signed_bytes(sealed, signed):
    assert sealed.pdf.startswith(signed)
    assert len(sealed.pdf) > len(signed)


def test_the_seal_holds_over_the_whole_file(sealed, pem):
    status = status_of(sealed.pdf, pem)

    assert status.intact
    assert status.valid
    assert status.coverage.name == "ENTIRE_FILE"


def test_the_evidence_was_attached_before_the_seal(sealed):
    names = PdfFileReader(io.BytesIO(sealed.pdf)).root["/Names"]["/EmbeddedFiles"]["/Names"]

    spec = names[1].get_object()
    assert json.loads(spec["/EF"]["/F"].data) == EVIDENCE


def test_one_altered_byte_of_the_signed_part_breaks_the_seal(sealed, signed, pem):
    at = signed.index(b"<pdfaid:part>3") + len(b"<pdfaid:part>")
    altered = sealed.pdf[:at] + b"2" + sealed.pdf[at + 1 :]

    assert not status_of(altered, pem).intact


class Refuses(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_error(503)

    def log_message(self, *_facts):
        """Quiet."""


def test_a_silent_time_stamp_authority_is_told_and_does_not_stop_the_seal(pem, signed, caplog):
    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    made = seal.seal(signed, EVIDENCE, signer=seal.load(pem), tsa_url=f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()

    assert not made.has_time_stamp
    assert "did not answer" in caplog.text
    assert status_of(made.pdf, pem).intact


def test_a_file_without_its_certificate_names_what_it_lacks(tmp_path, pem):
    alone = tmp_path / "key.pem"
    alone.write_text(pem.read_text().partition("-----BEGIN CERTIFICATE")[0])

    with pytest.raises(BadInput, match="certificat"):
        seal.load(alone)
