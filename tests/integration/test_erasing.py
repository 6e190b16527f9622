"""What the log keeps beside its leaves can be erased, never rewritten, and never without an event that says so."""

import json

import psycopg
import pytest

from broker.audit import erasing, search
from tests import postgres
from tests.logs import SOMEBODY, one, rows, write


@pytest.fixture
def details(committed):
    write(3, detail={"motif": "un texte"}, sub="patient:1")
    return [number for (number,) in rows("SELECT event_id FROM audit_detail ORDER BY event_id")]


def last_event():
    return json.loads(one("SELECT payload FROM audit_event ORDER BY id DESC LIMIT 1")[0])


def test_an_erased_detail_is_gone_and_its_erasure_is_told(details):
    assert erasing.erase_details(details[:2], by=SOMEBODY, why="demande", zone="zone:1") == 2

    assert search.details_of(details).keys() == {details[2]}
    told = last_event()
    assert (told["act"], told["n"], told["zone"], told["out"]) == ("log.erase", 2, "zone:1", "allow")


def test_an_erased_token_leads_to_nobody_and_the_next_one_is_another(details):
    [before] = search.tokens_of("patient:1")

    erasing.erase_tokens(["patient:1"], by=SOMEBODY, why="demande")
    write(1, sub="patient:1")

    assert search.references_of(["p:" + before.hex()]) == {}
    assert search.tokens_of("patient:1") != (before,)
    assert one("SELECT count(*) FROM audit_event WHERE position(%s IN payload) > 0", before.hex()) == (3,)


def test_tokens_of_one_year_go_and_the_others_stay(details):
    assert erasing.erase_tokens(["patient:1"], by=SOMEBODY, why="terme", period="2019") == 0

    assert len(search.tokens_of("patient:1")) == 1


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM audit_detail",
        "DELETE FROM audit_subject_key",
        "UPDATE audit_detail SET body = '{}'",
        "UPDATE audit_subject_key SET subject_ref = 'user:2'",
        "TRUNCATE audit_detail",
        "TRUNCATE audit_subject_key",
    ],
)
def test_nothing_is_erased_in_silence_nor_rewritten(details, committed, role, attack):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        with psycopg.connect(postgres.cluster().url(role, committed)) as intruder:
            intruder.execute(attack)

    assert len(search.details_of(details)) == 3
    assert len(search.tokens_of("user:1", "patient:1")) == 2


def test_an_erasure_that_is_rolled_back_erased_nothing(details):
    with pytest.raises(ValueError, match="at most"):
        erasing.erase_details(range(2_000), by=SOMEBODY, why="trop à la fois")

    assert len(search.details_of(details)) == 3
    assert (last_event()["act"], last_event()["out"]) == ("log.erase", "error")
