"""The leaf: canonical JSON of one event (RFC 8785), the very bytes that are hashed and never written again."""

import secrets
from datetime import datetime
from typing import Any

import rfc8785

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MAX_BYTES = 8192


def ulid(at: datetime) -> str:
    """A ULID: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32 (26 signs)."""
    value = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def payload_of(event: dict[str, Any]) -> str:
    """The canonical text of `event`. Raises ValueError beyond 8,192 bytes. Source: RFC 8785."""
    text = rfc8785.dumps(event).decode()
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"an event holds at most {MAX_BYTES} bytes; put long texts in `detail`")
    return text
