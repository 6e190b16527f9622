"""A time-stamp authority (RFC 3161) on loopback, for the demo and the tests.

Production names a real authority by TERRAIN_TSA_URL. The key and certificate are made at the first start in the
folder given, and nothing but this process reads the key. It stamps with the machine's own time, never the demo's.

    python -m deploy.tsa FOLDER PORT
"""

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asn1crypto import core, keys, pem, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

from deploy.demo.certificate import self_signed

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
LONGEST_QUERY = 64 * 1024  # bytes; a real one has about 100
DIGESTS = ("sha256", "sha384", "sha512")


def identity(folder: Path) -> tuple[Path, Path]:
    """The authority's key and certificate in `folder`, made when absent: RSA 3072, time stamping only."""
    key_path, certificate_path = folder / "tsa.key", folder / "tsa.crt"
    if key_path.exists() and certificate_path.exists():
        return key_path, certificate_path
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    certificate = (
        self_signed(key, "Horodatage de démonstration")
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        # RFC 3161 section 2.3: exactly one extended usage, and critical
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_path.touch(mode=0o600)
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key_path, certificate_path


def stamper(folder: Path) -> DummyTimeStamper:
    """pyHanko's own authority on the identity of `folder`."""
    key_path, certificate_path = identity(folder)
    return DummyTimeStamper(
        tsa_cert=asn1_x509.Certificate.load(pem.unarmor(certificate_path.read_bytes())[2]),
        tsa_key=keys.PrivateKeyInfo.load(pem.unarmor(key_path.read_bytes())[2]),
    )


def answer(body: bytes, authority: DummyTimeStamper) -> core.Sequence:
    """The response to the query `body`; a rejection says why (RFC 3161, section 2.4.2)."""
    try:
        query = tsp.TimeStampReq.load(body, strict=True)
        algorithm = query["message_imprint"]["hash_algorithm"]["algorithm"].native
        imprint = query["message_imprint"]["hashed_message"].native
        wanted = query["version"].native
    except (ValueError, TypeError, KeyError):
        return _rejection("bad_data_format")
    if algorithm not in DIGESTS:
        return _rejection("bad_alg")
    if wanted != "v1" or len(imprint) != int(algorithm.removeprefix("sha")) // 8:
        return _rejection("bad_data_format")
    return authority.request_tsa_response(query)


class Rejection(core.Sequence):
    """A response without a token, which asn1crypto's own class does not know to be optional."""

    _fields = [("status", tsp.PKIStatusInfo)]


def _rejection(why: str) -> Rejection:
    return Rejection({"status": {"status": "rejection", "fail_info": {why}}})


class Handler(BaseHTTPRequestHandler):
    """One query a POST; anything else is refused in a word."""

    authority: DummyTimeStamper
    timeout = 10  # seconds without a byte

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            return self.send_error(411)
        if self.headers.get_content_type() != QUERY:
            return self.send_error(415, explain=f"send {QUERY}")
        if not 0 < length <= LONGEST_QUERY:
            return self.send_error(413)
        reply = answer(self.rfile.read(length), self.authority).dump()
        self.send_response(200)
        self.send_header("Content-Type", REPLY)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
        return None

    def log_message(self, *_):
        """Nothing to say of each query."""


def serve(folder: Path, port: int) -> ThreadingHTTPServer:
    """The server, bound to loopback; the caller runs `serve_forever`."""
    handler = type("AuthorityHandler", (Handler,), {"authority": stamper(folder)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    server = serve(Path(sys.argv[1]), int(sys.argv[2]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
