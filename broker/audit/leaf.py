"""The leaf: canonical JSON of one event (RFC 8785), the very bytes that are hashed and never written again."""

import json
import re
import secrets
from dataclasses import dataclass
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


_V0 = "v id at act origin keys policy tool"
_V1 = "v id at zone actor org on_behalf conv obj act purp basis out reason policy req ip sub n d tool"
KEYS = {0: frozenset(_V0.split(" ")), 1: frozenset(_V1.split(" "))}
INNER = {"actor": frozenset({"id", "kind", "auth"}), "obj": frozenset({"type", "id", "ver"})}
TOKEN = re.compile(r"p:[0-9a-f]{32}")
AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
LONGEST = 200  # signs of one search column; a longer one would not fit an index page
EPOCH = "1970-01-01T00:00:00.000000Z"


class Unreadable(ValueError):
    """A payload that is not a leaf of a version known here. It is hashed all the same, and indexed as `unparsed`."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Unreadable("a key is written twice")
    return made


_decode = json.JSONDecoder(object_pairs_hook=_object).decode


def parse(payload: str) -> dict[str, Any]:
    """The event of a leaf. Raises Unreadable on duplicate, unknown or missing keys for its `v`, on a bad time."""
    try:
        event = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    version = event.get("v") if isinstance(event, dict) else None
    if type(version) is not int or version not in KEYS or event.keys() != KEYS[version]:
        raise Unreadable("these are not the keys of a known version")
    for name, keys in INNER.items():
        inner = event.get(name)
        if inner is not None and (not isinstance(inner, dict) or inner.keys() != keys):
            raise Unreadable(f"{name} does not have its keys")
    try:
        if not AT.fullmatch(event["at"]):
            raise Unreadable("the time is not in UTC with six digits")
        datetime.fromisoformat(event["at"])
    except (TypeError, ValueError) as error:
        raise Unreadable(f"the time cannot be read: {error}") from error
    return event


@dataclass(frozen=True, slots=True)
class Columns:
    """What is searched, a function of the leaf's bytes alone."""

    at: str
    ulid: str | None
    zone: str | None
    actor: bytes | None
    org: str | None
    conv: str | None
    obj: str | None
    act: str
    out: str | None
    sub: bytes | None
    purp: str | None


UNPARSED = Columns(EPOCH, None, None, None, None, None, None, "unparsed", None, None, None)


def columns(payload: str) -> Columns:
    """The search columns of a leaf; `UNPARSED` for bytes that are no leaf or would not fit."""
    try:
        event = parse(payload)
        if event["v"] == 0:
            return Columns(
                event["at"], _text(event["id"]), "", None, "", "", None, _text(event["act"]), "allow", None, ""
            )  # fmt: skip
        obj = event["obj"]
        return Columns(
            event["at"],
            _text(event["id"]),
            _text(event["zone"]),
            _token(event["actor"]["id"]),
            _text(event["org"]),
            _text(event["conv"]),
            None if obj is None else _text(f"{_text(obj['type'])}:{_text(obj['id'])}"),
            _text(event["act"]),
            _text(event["out"]),
            None if event["sub"] is None else _token(event["sub"]),
            _text(event["purp"]),
        )
    except (Unreadable, TypeError):
        return UNPARSED


def _text(value: Any) -> str:
    """`value` when PostgreSQL can hold and index it. Raises Unreadable."""
    if not isinstance(value, str) or len(value) > LONGEST or "\0" in value:
        raise Unreadable("a search column is a short text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Unreadable("half a sign") from error
    return value


def _token(value: Any) -> bytes:
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise Unreadable("this is not a token")
    return bytes.fromhex(value[2:])
