"""A job belongs to the transaction that asks for it, also where a job asks for another one."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from procrastinate.contrib.django import app

from broker.jobs import OfWorkers
from broker.keys.tasks import create_key
from tests.logs import rows


def in_a_worker(what):
    """Run `what` as a worker runs a job: in a thread, with the connector that `manage.py procrastinate` takes."""

    def job():
        try:
            what()
        finally:
            connections.close_all()

    async def work():
        async with app.open_async():
            await sync_to_async(job)()

    with app.replace_connector(app.connector.get_worker_connector()):
        assert isinstance(app.connector, OfWorkers)
        asyncio.run(work())


def asked_for() -> list[str]:
    return [ref for (ref,) in rows("SELECT args->>'ref' FROM procrastinate_jobs ORDER BY id")]


def test_a_job_that_a_job_asks_for_is_seen_with_its_rows_never_before(committed):
    seen = []

    def ask():
        with transaction.atomic():
            create_key.defer(purpose="pseudonym", ref="convention:1")
            seen.append(by_somebody_else())

    in_a_worker(ask)

    assert seen == [[]]
    assert asked_for() == ["convention:1"]


def test_a_job_that_a_job_asks_for_goes_with_its_transaction(committed):
    def ask():
        with transaction.atomic():
            create_key.defer(purpose="pseudonym", ref="convention:1")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        in_a_worker(ask)

    assert asked_for() == []


def by_somebody_else() -> list[tuple]:
    """The jobs that are there for a connection of its own."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT args->>'ref' FROM procrastinate_jobs")
            return cursor.fetchall()
    finally:
        other.close()
