"""RFC 3161 time stamps over signed checkpoints: a third party says that the log was already this long then."""

import hashlib
import http.client
import secrets
import urllib.parse
import urllib.request

from asn1crypto import algos, core, tsp

PATIENCE = 10  # seconds


class NoStamp(Exception):
    """The authority is down, refuses, or answers about something else; the log goes on without."""


def ask(url: str, document: bytes) -> bytes:
    """The authority's token (a whole TimeStampResp, as `openssl ts -verify -in` reads it) over `document`.

    The digest, the nonce and the status of the answer are checked; its certificate is the auditor's to judge.
    Raises NoStamp.
    """
    digest, nonce = hashlib.sha256(document).digest(), secrets.randbits(63)
    imprint = tsp.MessageImprint(
        {"hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}), "hashed_message": digest}
    )
    query = tsp.TimeStampReq(
        {"version": 1, "message_imprint": imprint, "nonce": core.Integer(nonce), "cert_req": True}
    ).dump()
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoStamp(f"{url} is no address of a time-stamp authority")
    # an authority on this machine is never asked through the machine's proxy
    proxies = [urllib.request.ProxyHandler({})] if parts.hostname in ("127.0.0.1", "::1", "localhost") else []
    request = urllib.request.Request(url, query, {"Content-Type": "application/timestamp-query"})  # noqa: S310
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=PATIENCE) as answer:
            raw = answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise NoStamp(f"{url} does not answer: {error}") from error
    try:
        response = tsp.TimeStampResp.load(raw, strict=True)
        status = response["status"]["status"].native
        if status not in ("granted", "granted_with_mods"):
            raise NoStamp(f"{url} refuses: {status}")
        stamped = response["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
        if stamped["message_imprint"]["hashed_message"].native != digest or stamped["nonce"].native != nonce:
            raise NoStamp(f"{url} stamped something else")
    except (ValueError, TypeError, KeyError) as error:
        raise NoStamp(f"the answer of {url} cannot be read: {error}") from error
    return raw
