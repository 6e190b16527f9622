"""What is done with signed checkpoints outside this house: a time stamp every hour, witnesses, bundles of entries.

Each duty has a thread and a connection of its own in the sequencer's process, so that an authority, a witness or a
disk that is slow or gone delays nothing. What fails is kept in `audit_outside`, since when and why, and tried again.
"""

import http.client
import logging
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg
from django.db import connection as of_this_request

log = logging.getLogger(__name__)

STAMP, BUNDLES, WITNESS = "stamp", "bundles", "witness:"  # names of duties; a witness's own name follows

DONE = """
    INSERT INTO audit_outside AS held (name, size, done_at) VALUES (%s, %s, clock_timestamp())
    ON CONFLICT (name) DO UPDATE
    SET size = EXCLUDED.size, done_at = EXCLUDED.done_at, failing_since = NULL, problem = ''
"""
WELL = "UPDATE audit_outside SET failing_since = NULL, problem = '' WHERE name = %s AND problem <> ''"
FAILED = """
    INSERT INTO audit_outside AS held (name, failing_since, problem) VALUES (%s, clock_timestamp(), %s)
    ON CONFLICT (name) DO UPDATE
    SET failing_since = coalesce(held.failing_since, EXCLUDED.failing_since), problem = EXCLUDED.problem
    WHERE held.problem <> EXCLUDED.problem
"""


class Undone(Exception):
    """A duty could not be done; the message says why and, where somebody can mend it, how."""


def post(url: str, body: bytes, *, kind: str, patience: float) -> tuple[int, bytes]:
    """(status, up to 1 MiB of the answer) of a POST. Raises Undone when nobody answers within `patience` seconds."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Undone(f"{url} is no http address")
    # what listens on this machine is never asked through the machine's proxy
    proxies = [urllib.request.ProxyHandler({})] if parts.hostname in ("127.0.0.1", "::1", "localhost") else []
    request = urllib.request.Request(url, body, {"Content-Type": kind})  # noqa: S310
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=patience) as answer:
            return answer.status, answer.read(1 << 20)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise Undone(f"{url} does not answer: {error}") from error


@dataclass(frozen=True, slots=True)
class Duty:
    """`act` does what is due and returns the size of the checkpoint it dealt with, None when nothing was due; it
    raises Undone. It is called every `every` seconds, and `again` seconds after it failed."""

    name: str
    act: Callable[[psycopg.Connection], int | None]
    every: float
    again: float

    def turn(self, connection: psycopg.Connection) -> float:
        """Act once and write down how it went; seconds until the next turn."""
        try:
            size = self.act(connection)
        except Undone as error:
            log.warning("%s: %s", self.name, error)
            connection.execute(FAILED, [self.name, str(error)])
            return self.again
        connection.execute(*((DONE, [self.name, size]) if size else (WELL, [self.name])))
        return self.every


class Worker(threading.Thread):
    """Does one duty until `stop`, on connections of its own (autocommit: nothing stays open while it waits)."""

    def __init__(self, duty: Duty, url: str, stop: threading.Event):
        super().__init__(name=duty.name, daemon=True)
        self.duty, self.url, self.stop = duty, url, stop

    def run(self) -> None:
        pause = 0.0
        while not self.stop.wait(pause):
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    while not self.stop.wait(pause):
                        pause = self.duty.turn(connection)
            except psycopg.Error as error:
                log.warning("%s: the database does not answer: %s", self.duty.name, error)
                pause = self.duty.again


@dataclass(frozen=True, slots=True)
class Standing:
    """How a duty stands: the last checkpoint it was done for, and what is wrong with it since when (real time)."""

    name: str
    size: int | None
    done_at: datetime | None
    failing_since: datetime | None
    problem: str


def standing() -> dict[str, Standing]:
    """How each duty stands, by name; one that was never tried is not there."""
    with of_this_request.cursor() as cursor:
        cursor.execute("SELECT name, size, done_at, failing_since, problem FROM audit_outside ORDER BY name")
        return {row[0]: Standing(*row) for row in cursor.fetchall()}
