"""What anybody can read of the log: its length, its key, its tiles, its proofs; never an entry."""

import pytest
from django.urls import reverse

from broker.audit import merkle, tiles
from broker.audit.checkpoint import Checkpoint, Verifier, parse_proof
from tests.logs import rows, sequencing, write


@pytest.fixture
def log(committed, tmp_path):
    write(299)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()


def test_a_stranger_rebuilds_the_signed_root_from_the_public_tiles(log, client):
    verifier = Verifier.parse(client.get("/log/cle").content.decode())
    checkpoint = Checkpoint.open(client.get("/log/checkpoint").content.decode(), verifier)

    def read(level, n):
        width = min(256, (checkpoint.size >> 8 * level) - 256 * n)
        partial = "" if width == 256 else f".p/{width}"
        answer = client.get(f"/log/tile/{level}/{tiles.name_of(n)}{partial}")
        assert answer.status_code == 200
        return answer.content

    assert checkpoint.size == 300
    assert merkle.range_root(0, 300, tiles.node_reader(read)) == checkpoint.root


@pytest.mark.parametrize("index", [0, 255, 299])
def test_a_proof_leads_to_the_signed_root(log, client, index):
    verifier = Verifier.parse(client.get("/log/cle").content.decode())
    payload = rows("SELECT payload FROM audit_event ORDER BY generation, xid, id")[index][0]

    place, path, signed = parse_proof(client.get(f"/log/preuve/{index}").content.decode())

    checkpoint = Checkpoint.open(signed, verifier)
    assert place == index
    merkle.verify_inclusion(merkle.leaf_hash(payload.encode()), index, 300, path, checkpoint.root)


@pytest.mark.parametrize(
    "path",
    ["/log/preuve/300", "/log/tile/0/002", "/log/tile/0/001", "/log/tile/0/001.p/45", "/log/tile/0/1",
     "/log/tile/9/000",
     "/log/tile/0/000.p/0", "/log/tile/0/000.p/256", "/log/tile/entries/000"],
)  # fmt: skip
def test_what_is_not_in_the_published_log_is_not_found(log, client, path):
    assert client.get(path).status_code == 404


def test_the_page_says_in_plain_words_that_nothing_is_missing(log, client):
    page = client.get(reverse("log-home")).content.decode()

    assert "Rien ne manque, rien n’a été modifié depuis le" in page
    assert "300" in page


def test_the_page_says_so_when_the_log_was_altered(log, client, committed):
    import psycopg

    from tests import postgres

    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit_checkpoint SET root = sha256('x')")

    page = client.get(reverse("log-home")).content.decode()

    assert "Le journal ne se vérifie pas" in page
    assert "Rien ne manque" not in page


def test_an_empty_log_has_a_page_and_no_proof(committed, client):
    assert client.get(reverse("log-home")).status_code == 200
    assert client.get("/log/checkpoint").status_code == 404
    assert client.get("/log/preuve/0").status_code == 404
