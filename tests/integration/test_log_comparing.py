"""Anybody compares a checkpoint they kept with today's log, or two published ones, and takes the proof away."""

import psycopg
import pytest
from django.urls import reverse

from broker.audit import checkpoint, merkle, state
from broker.audit.checkpoint import Checkpoint
from broker.audit.days import Days
from broker.audit.kit import witness as script
from tests import postgres
from tests.logs import ORIGIN, sequencing, write

URL = "/log/coherence/"
UNALTERED = "Rien de ce que vous avez vu n’a été modifié ni retiré."
REWRITTEN = "Le journal publié ne prolonge pas ce relevé."


@pytest.fixture
def log(committed, tmp_path):
    """Checkpoints of 4, 9 and 30 leaves."""
    with sequencing(committed, tmp_path / "signer") as sequencer:
        for count in (3, 5, 21):
            write(count)
            sequencer.catch_up()


def paste(client, note):
    return client.post(URL, {"releve": note})


def rewrite(database):
    """What the owner of the database could do: leaf 5 of the tree is no longer the one that was signed."""
    with psycopg.connect(postgres.cluster().url("postgres", database)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit_tile SET hashes = overlay(hashes PLACING sha256('x') FROM 161) WHERE level = 0")


def test_the_checkpoint_that_i_kept_is_pasted_and_answered_in_plain_words(log, client):
    page = paste(client, state.checkpoint(9).note)

    assert page.status_code == 200
    assert UNALTERED in page.content.decode()
    assert "21 ont été ajoutées depuis" in page.content.decode()
    assert reverse("log-consistency-proof", args=[9, 30]) in page.content.decode()


def test_mail_and_forms_may_change_its_line_ends(log, client):
    note = state.checkpoint(9).note

    for changed in (note.replace("\n", "\r\n"), f"\n\n  {note}\n \n".replace("  ", ""), note.rstrip()):
        assert UNALTERED in paste(client, changed).content.decode()


def test_today_s_own_checkpoint_has_had_nothing_added(log, client):
    page = paste(client, state.checkpoint().note).content.decode()

    assert UNALTERED in page
    assert "Aucune n’a été ajoutée depuis." in page


def test_any_two_published_checkpoints_are_compared_and_the_proof_read_without_us(log, client, tmp_path):
    for old, new in ((4, 9), (4, 30), (9, 30), (9, 9)):
        page = client.get(URL, {"de": old, "a": new}).content.decode()
        proof = client.get(reverse("log-consistency-proof", args=[old, new])).content.decode()

        assert UNALTERED in page
        head, _, note = proof.partition("\n\n")
        path = [checkpoint.from_base64(line) for line in head.split("\n")[1:]]
        older = Checkpoint.open(client.get(f"/log/releves/{old}").content.decode(), state.verifier())
        newer = Checkpoint.open(note, state.verifier())
        merkle.verify_consistency(older.size, newer.size, path, older.root, newer.root)
        witness = script.Witness(tmp_path / f"witness-{old}-{new}", "temoin.test/w")
        witness.know(str(state.verifier()))
        witness.add_checkpoint(f"old 0\n\n{client.get(f'/log/releves/{old}').content.decode()}")
        assert witness.add_checkpoint(proof)


def test_a_witness_that_only_pulls_follows_the_public_pages(log, client, tmp_path, monkeypatch):
    def fetch(url):
        answer = client.get(url.removeprefix("http://site.test"))
        assert answer.status_code == 200, url
        return answer.content.decode()

    monkeypatch.setattr(script, "fetch", fetch)
    witness = script.Witness(tmp_path / "witness", "temoin.test/w")
    witness.know("http://site.test/log/cle")
    witness.add_checkpoint(f"old 0\n\n{state.checkpoint(4).note}")

    cosigned = script.pull(witness, "http://site.test/log")
    again = script.pull(witness, "http://site.test/log/")

    assert Checkpoint.open(cosigned, state.verifier()).size == 30
    assert witness.remembered(ORIGIN)[0] == 30
    assert again.partition("\n\n")[0] == cosigned.partition("\n\n")[0]


def test_a_rewritten_log_is_told_to_whoever_kept_a_checkpoint(log, client, committed):
    kept = state.checkpoint(9).note
    rewrite(committed)

    page = paste(client, kept)
    two = client.get(URL, {"de": 4, "a": 30})

    for answer in (page, two):
        assert REWRITTEN in answer.content.decode()
        assert "a été modifiée, retirée ou déplacée" in answer.content.decode()
        assert UNALTERED not in answer.content.decode()


def test_a_log_that_was_cut_is_told_too(log, client, committed):
    kept = state.checkpoint(30).note
    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM audit_checkpoint WHERE size = 30")

    page = paste(client, kept).content.decode()

    assert REWRITTEN in page
    assert "des inscriptions signées manquent" in page


def test_what_is_no_checkpoint_of_this_log_is_a_bad_form(log, client):
    note = state.checkpoint(9).note
    for text in ("", "rien", note.replace("\n9\n", "\n8\n"), note[:60], note.replace(ORIGIN, "autre.test/log"),
                 note.replace("— ", "- "), note * 200):  # fmt: skip
        page = paste(client, text)

        assert page.status_code == 422, text
        assert UNALTERED not in page.content.decode()
        assert REWRITTEN not in page.content.decode()


def test_sizes_that_were_never_published_are_a_bad_form(log, client):
    for old, new in ((5, 30), (4, 31), (9, 4), (0, 4), ("x", ""), (4, 2**60)):
        page = client.get(URL, {"de": old, "a": new})

        assert page.status_code == 422, (old, new)
        assert UNALTERED not in page.content.decode()


def test_what_was_never_published_has_no_proof(log, client):
    for path in ("coherence/0/9", "coherence/9/4", "coherence/4/10", "releves/5", "releves/9/tsr"):
        assert client.get(f"/log/{path}").status_code == 404, path


def test_the_list_gives_the_last_checkpoint_of_each_day(log, client, committed):
    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute("SET session_replication_role = replica")
        for size, at in ((4, "2026-10-24 21:59:59+00"), (9, "2026-10-24 22:00:00+00"), (30, "2026-10-27 12:00:00+00")):
            owner.execute("UPDATE audit_checkpoint SET published_at = %s WHERE size = %s", [at, size])
        owner.execute("UPDATE audit_checkpoint SET cosignatures = '— t.test/w eA=='||chr(10) WHERE size = 9")

    days = {str(day.day): day.checkpoint and day.checkpoint.size for day in Days()[0:25]}
    page = client.get("/log/releves/").content.decode()

    assert days == {"2026-10-27": 30, "2026-10-26": None, "2026-10-25": 9, "2026-10-24": 4}
    assert "25 octobre 2026" in page
    assert "1 témoin" in page
    assert "rien n’a été inscrit ce jour-là" in page
    assert f"{URL}?de=9&amp;a=30" in page


def test_a_stamped_note_and_its_token_are_given_as_they_are(log, client, committed):
    with psycopg.connect(postgres.cluster().url("terrain_seq", committed), autocommit=True) as sequencer:
        sequencer.execute(
            "UPDATE audit_checkpoint SET tsr = 'jeton', tsr_at = now(), cosignatures = '— t.test/w eA==\n'"
        )
    note = state.checkpoint(9).note

    assert client.get("/log/releves/9/note").content.decode() == note
    assert client.get("/log/releves/9").content.decode() == note + "— t.test/w eA==\n"
    assert client.get("/log/checkpoint").content.decode().endswith("— t.test/w eA==\n")
    assert client.get("/log/releves/9/tsr").content == b"jeton"


def test_the_list_asks_as_much_for_a_year_as_for_a_day(log, client, committed, django_assert_num_queries):
    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit_checkpoint SET published_at = now() - interval '400 days' WHERE size = 4")

    with django_assert_num_queries(3):
        assert client.get("/log/releves/").status_code == 200
    assert client.get("/log/releves/?page=17").status_code == 200


def test_the_witness_s_file_is_given_as_it_is(client, db):
    given = client.get("/log/witness.py")

    assert given.content.startswith(b"#!/usr/bin/env python3")
    assert b"\nfrom broker" not in given.content and b"\nimport broker" not in given.content
