"""A log of a test's own: committed events, a sequencer as `terrain_seq`, a real signer in a folder."""

from contextlib import contextmanager

import psycopg
from django.db import connection

from broker import clock
from broker.audit.actions import record
from broker.audit.actor import Actor
from broker.audit.sequencer import Sequencer
from broker.audit.signer import Signing
from tests import postgres

ORIGIN = "terrain.test/log"
SOMEBODY = Actor("user:1", auth="mfa", org="org:1")


def write(count: int = 1, act: str = "zone.create", *, by=SOMEBODY, **facts) -> None:
    """Commit `count` events, each in its own transaction (call from a test with `fresh_database`)."""
    for _ in range(count):
        record(act, by=by, **facts)


@contextmanager
def sequencing(database: str, folder, **settings):
    """A started sequencer on `database`; its lock ends with the block."""
    with psycopg.connect(postgres.cluster().url("terrain_seq", database), autocommit=True) as link:
        sequencer = Sequencer(link, Signing(folder, ORIGIN), **settings)
        sequencer.start(at=clock.now())
        yield sequencer


def one(query: str, *values):
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


def rows(query: str, *values):
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()
