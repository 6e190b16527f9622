"""What the log says of the request under way: its number and the network it came from, never a whole address."""

import ipaddress
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    number: str = ""
    network: str = ""


_current: ContextVar[Request] = ContextVar("audit_request", default=Request())


def network_of(address: str) -> str:
    """The /24 (IPv4) or /48 (IPv6) that holds `address`; empty when it is not an address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


@contextmanager
def of_request(*, number: str, address: str):
    token = _current.set(Request(number=number, network=network_of(address)))
    try:
        yield
    finally:
        _current.reset(token)


# What the request has committed so far, for its receipts: (ULID, payload, time) of each event, in order.
_committed: ContextVar[list[tuple[str, str, str]] | None] = ContextVar("audit_committed", default=None)


@contextmanager
def committed():
    """Collect the events that are committed inside the block."""
    kept: list[tuple[str, str, str]] = []
    token = _committed.set(kept)
    try:
        yield kept
    finally:
        _committed.reset(token)


def collecting() -> list[tuple[str, str, str]] | None:
    """Where to put what has just been committed; None when nobody takes receipts."""
    return _committed.get()


def current() -> Request:
    return _current.get()
