"""From a subject's local identifier to what may be kept of it: a zone's token, a convention's pseudonym.

Keys are 64 ASCII hexadecimal characters, used as they stand as the bytes of the HMAC key (the engine's own form).
"""

import hashlib
import hmac


def token(key: bytes, local_id: str) -> bytes:
    """HMAC-SHA-256 of `local_id` under a zone's key, 32 bytes: what an opposition holds."""
    return hmac.new(key, local_id.encode(), hashlib.sha256).digest()


def pseudonym(key: bytes, local_id: str) -> str:
    """The first 32 hexadecimal digits of HMAC-SHA-256 of `local_id` under a convention's key."""
    return hmac.new(key, local_id.encode(), hashlib.sha256).hexdigest()[:32]
