"""From a subject's local identifier to what may be kept of it: a zone's token, a convention's pseudonym.

Keys are 64 ASCII hexadecimal characters, used as they stand as the bytes of the HMAC key (the engine's own form).
"""

import hashlib
import hmac


def token(key: bytes, local_id: str) -> bytes:
    """HMAC-SHA-256 of `local_id` under a zone's key, 32 bytes: what an opposition holds."""
    return hmac.new(key, local_id.encode(), hashlib.sha256).digest()


def reference(zone: int, token: bytes) -> str:
    """Whom an event of the log concerns, as its erasable table names them (`sub` of `broker.audit.actions.record`).

    Computed from the token under which zone number `zone` knows them, which does not follow from it; the leaf holds
    neither, but a pseudonym of the year drawn at random."""
    return f"subject:{zone}:{hmac.new(token, b'terrain log subject 1', hashlib.sha256).hexdigest()}"


def pseudonym(key: bytes, local_id: str) -> str:
    """The first 32 hexadecimal digits of HMAC-SHA-256 of `local_id` under a convention's key."""
    return hmac.new(key, local_id.encode(), hashlib.sha256).hexdigest()[:32]
