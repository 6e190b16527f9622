"""An event, whose it is, and its detail: written in one statement, by whoever may write each of them."""

import json
import threading

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from broker.audit import search
from broker.audit.actions import record
from broker.audit.actor import Actor
from tests import postgres
from tests.logs import SOMEBODY, rows, write

HOUSE = Actor("service:worker", kind="service")


def leaves() -> list[dict]:
    return [json.loads(text) for (text,) in rows("SELECT payload FROM audit_event ORDER BY id")]


@pytest.mark.django_db
@pytest.mark.parametrize("known", [False, True], ids=["a new person", "a known person"])
def test_an_event_with_its_tokens_and_its_detail_takes_one_trip(known):
    if known:
        write(sub="patient:1")

    with CaptureQueriesContext(connection) as asked:
        record("zone.create", by=SOMEBODY, sub="patient:1", detail={"motif": "essai"})

    assert len(asked) == 1


@pytest.mark.django_db
def test_one_person_has_one_token_wherever_an_event_names_them():
    write(by=HOUSE, on_behalf="user:7", sub="user:7")
    write(by=Actor("user:7", auth="mfa"))

    by_the_house, alone = leaves()

    assert by_the_house["on_behalf"] == by_the_house["sub"] == alone["actor"]["id"]
    assert by_the_house["actor"]["id"] != alone["actor"]["id"]
    assert search.references_of([alone["actor"]["id"]]) == {alone["actor"]["id"]: "user:7"}


@pytest.mark.django_db
def test_a_token_that_was_rolled_back_is_in_no_leaf():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(by=Actor("user:8"))
        [gone] = search.tokens_of("user:8")
        raise ZeroDivisionError
    write(by=Actor("user:8"))

    [kept] = search.tokens_of("user:8")

    assert kept != gone
    assert [leaf["actor"]["id"] for leaf in leaves()] == ["p:" + kept.hex()]


@pytest.mark.parametrize("commits", [True, False], ids=["the first commits", "the first is rolled back"])
def test_two_transactions_that_meet_a_person_at_once_give_them_one_token(committed, commits):
    started, ended = threading.Event(), threading.Event()

    def second():
        started.set()
        try:
            write(by=Actor("user:9"))
        finally:
            connection.close()
            ended.set()

    with transaction.atomic():
        write(by=Actor("user:9"))
        other = threading.Thread(target=second)
        other.start()
        started.wait()
        waited = not ended.wait(0.5)
        transaction.set_rollback(not commits)
    other.join()

    [token] = search.tokens_of("user:9")
    assert waited, "the second transaction did not wait to learn whether the first one's token stands"
    assert [leaf["actor"]["id"] for leaf in leaves()] == ["p:" + token.hex()] * (2 if commits else 1)


def test_who_only_reads_the_log_cannot_write_it_so(committed):
    with psycopg.connect(postgres.cluster().url("terrain_auditor", committed)) as auditor:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            auditor.execute("SELECT audit_write('x', current_date, '2026', NULL, NULL, 'user:1', repeat('0', 32))")
