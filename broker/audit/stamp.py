"""RFC 3161 time stamps over signed checkpoints: a third party says that the log was already this long then."""

import asyncio
import hashlib
import secrets
from datetime import datetime
from pathlib import Path

import psycopg
from asn1crypto import algos, core, pem, tsp, x509

from broker.audit.outside import STAMP, Duty, Undone, post

PATIENCE = 10  # seconds
HOUR, AGAIN = 3600, 60  # seconds between two stamps; between two tries when the authority is down
LOOK = 30  # seconds between two looks whether an hour has passed

# Nothing is due before an hour has passed since the last token, nor on a checkpoint that already bears one.
DUE = """
    SELECT size, note FROM audit_checkpoint
    WHERE size = (SELECT max(size) FROM audit_checkpoint) AND tsr IS NULL
      AND NOT EXISTS (SELECT FROM audit_outside WHERE name = %s AND done_at > clock_timestamp() - %s * interval '1 s')
"""
STORE = "UPDATE audit_checkpoint SET tsr = %s, tsr_at = %s WHERE size = %s AND tsr IS NULL"


class NoStamp(Undone):
    """The authority refuses, or answers about something else; the log goes on without."""


def ask(url: str, document: bytes, *, trusted: list[x509.Certificate]) -> tuple[bytes, datetime]:
    """The authority's token (a whole TimeStampResp, as `openssl ts -verify -in` reads it) over `document`, and the
    time it tells.

    Digest, nonce and status are checked, and the signature against the authority's certificates. Raises Undone.
    """
    nonce = secrets.randbits(63)
    imprint = tsp.MessageImprint(
        {
            "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
            "hashed_message": hashlib.sha256(document).digest(),
        }
    )
    query = tsp.TimeStampReq(
        {"version": 1, "message_imprint": imprint, "nonce": core.Integer(nonce), "cert_req": True}
    ).dump()
    status, raw = post(url, query, kind="application/timestamp-query", patience=PATIENCE)
    if status != 200:
        raise NoStamp(f"{url} refuses: {status}")
    return raw, verify(raw, document, trusted=trusted, nonce=nonce)


def verify(token: bytes, document: bytes, *, trusted: list[x509.Certificate], nonce: int | None = None) -> datetime:
    """The time that `token` tells of `document`. Raises NoStamp when it is of something else, or not signed by an
    authority whose certificate chain ends in `trusted`."""
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
    from pyhanko_certvalidator import ValidationContext

    try:
        response = tsp.TimeStampResp.load(token, strict=True)
        status = response["status"]["status"].native
        if status not in ("granted", "granted_with_mods"):
            raise NoStamp(f"the authority refuses: {status}")
        signed = response["time_stamp_token"]["content"]
        told = signed["encap_content_info"]["content"].parsed
        if told["message_imprint"]["hashed_message"].native != hashlib.sha256(document).digest():
            raise NoStamp("the authority stamped something else")
        if nonce is not None and told["nonce"].native != nonce:
            raise NoStamp("the authority answers something else: another nonce")
        judged = asyncio.run(
            validate_tst_signed_data(
                signed,
                ValidationContext(trust_roots=trusted, allow_fetching=False),
                lambda algorithm: hashlib.new(algorithm, document).digest(),
            )
        )
        at = told["gen_time"].native
    except (ValueError, TypeError, KeyError, SignatureValidationError) as error:
        raise NoStamp(f"the authority's answer cannot be read: {error}") from error
    if not (judged["intact"] and judged["valid"]):
        raise NoStamp("the token's signature does not fit what it signs")
    if judged["trust_problem_indic"] is not None:
        raise NoStamp("the token is not signed by the authority of TERRAIN_TSA_CERTIFICATE")
    return at


def certificates(path: Path | None) -> list[x509.Certificate]:
    """The certificates of a PEM file. Raises NoStamp, which names the setting, when there are none."""
    if path is None:
        raise NoStamp("no certificate of the authority is known: set TERRAIN_TSA_CERTIFICATE to its PEM file")
    try:
        found = [x509.Certificate.load(der) for kind, _, der in pem.unarmor(path.read_bytes(), multiple=True)]
    except (OSError, ValueError) as error:
        raise NoStamp(f"TERRAIN_TSA_CERTIFICATE cannot be read: {error}") from error
    return found


def hourly(url: str, certificate: Path | None, *, every: float = HOUR) -> Duty:
    """Have the last checkpoint stamped once an hour. The token is stored only when it verifies; an authority that is
    down is asked again every minute."""

    def act(connection: psycopg.Connection) -> int | None:
        due = connection.execute(DUE, [STAMP, every]).fetchone()
        if due is None:
            return None
        size, note = due
        token, at = ask(url, note.encode(), trusted=certificates(certificate))
        connection.execute(STORE, [token, at, size])
        return size

    return Duty(STAMP, act, every=LOOK, again=AGAIN)
