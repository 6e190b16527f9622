"""How the log is, on one page: figures, what is wrong, what to do; each trouble is made, then found."""

import json

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.urls import reverse

from broker import clock
from broker.audit import health, outside
from broker.audit.checkpoint import COSIGNATURE, Signer
from broker.audit.management.commands.audit_partitions import Command as Partitions
from broker.releases.models import Reconciliation
from tests import factories, postgres
from tests.actors import signed_in
from tests.logs import sequencing, write

# The tests' own cluster gives up durability, and nothing of the outside is set: the page says so.
HERE = {"durability", "no_stamp", "no_witness", "unverified"}


def codes():
    return {trouble.code for trouble in health.look().troubles} - HERE


@pytest.fixture
def sequenced(committed, tmp_path):
    """A signed log of four leaves, its sequencer at work."""
    write(3)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        yield sequencer


def by_force(database, query, *values):
    with psycopg.connect(postgres.cluster().url("postgres", database)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(query, values or None)


def test_a_log_at_work_has_its_figures_and_no_trouble(sequenced):
    found = health.look()

    assert codes() == set()
    assert (found.size, found.signed_size, found.lag, found.unparsed) == (4, 4, 0, 0)
    assert found.partitions_ahead >= 2 and found.bytes_on_disk > 100_000


def test_a_stopped_sequencer_and_an_unsigned_log_are_grave(committed):
    found = {trouble.code: trouble.is_grave for trouble in health.look().troubles}

    assert found["sequencer"] and found["unsigned"]


# What is done to the log by force, what it is found by, and how it is undone.
HARMS = [
    ("UPDATE audit_checkpoint SET published_at = now() - interval '2 min'; UPDATE audit_sequencer SET size = 9",
     "unsigned", "UPDATE audit_checkpoint SET published_at = now(); UPDATE audit_sequencer SET size = 4"),
    ("ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only", "unguarded",
     "ALTER TABLE audit_event ENABLE TRIGGER audit_event_append_only"),
    ("UPDATE audit_sequencer SET cluster = 'ailleurs'", "cluster",
     "UPDATE audit_sequencer SET cluster = (SELECT system_identifier::text FROM pg_control_system())"),
    ("UPDATE audit_index SET act = 'unparsed' WHERE leaf_index = 2", "unparsed",
     "UPDATE audit_index SET act = 'zone.create' WHERE leaf_index = 2"),
    ("INSERT INTO audit_outside (name, failing_since, problem) VALUES ('bundles', now(), 'disque plein')",
     "outside.bundles", "DELETE FROM audit_outside"),
    ("INSERT INTO audit_event (at_day, payload, recorded_at) "
     "VALUES (now()::date, '{}', clock_timestamp() - interval '11 s')", "lag",
     "DELETE FROM audit_event WHERE payload = '{}'"),
    ("UPDATE audit_checkpoint SET root = sha256('x')", "altered", "SELECT 1"),
]  # fmt: skip


def test_each_trouble_is_said_with_what_to_do(sequenced, committed):
    for harm, code, undo in HARMS:
        assert codes() == set(), f"before {code}"
        by_force(committed, harm)

        assert codes() == {code}
        trouble = next(trouble for trouble in health.look().troubles if trouble.code == code)
        assert len(trouble.what) > 20 and len(trouble.mend) > 20
        by_force(committed, undo)


def test_a_witness_that_is_down_leaves_the_log_unwitnessed_since(sequenced, committed):
    key = Signer("partenaire.example/temoin", Ed25519PrivateKey.generate(), COSIGNATURE).verifier
    by_force(committed, "UPDATE audit_checkpoint SET published_at = now() - interval '1 hour'")
    by_force(
        committed, "INSERT INTO audit_outside (name, failing_since, problem) VALUES (%s, now(), 'injoignable')",
        outside.WITNESS + key.name,
    )  # fmt: skip

    with override_settings(WITNESSES=[f"{key} https://partenaire.example"]):
        found = health.look()

    assert found.unwitnessed_since is not None and found.witnesses == 1
    assert f"outside.witness:{key.name}" in {trouble.code for trouble in found.troubles}


def test_the_page_says_it_in_plain_words_and_json_to_a_program(sequenced, committed):
    clerk = signed_in(factories.user(organisation=factories.organisation("agency"), role="registry_officer"))
    Reconciliation.objects.create(deliveries=1, permits=1, files=1, bytes_read=1, book_lines=2, found=2, seconds=0.1)
    by_force(committed, "ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only")

    page = clerk.get(reverse("log-health")).content.decode()
    answer = clerk.get(reverse("log-health-json"))

    assert "Le journal a besoin de quelqu’un" in page
    assert "Sans garde : audit_event. On peut y changer une inscription." in page
    assert "2 écarts entre les octets remis et le journal." in page
    told = answer.json()
    assert answer.status_code == 503 and told["is_grave"]
    assert (told["size"], told["differences"]) == (4, 2)
    assert {"unguarded", "differences"} <= {trouble["code"] for trouble in told["troubles"]}
    assert signed_in(factories.user()).get(reverse("log-health")).status_code == 403


def test_those_who_keep_the_machines_ask_by_a_command(sequenced, capsys):
    with pytest.raises(SystemExit):
        call_command("log_health")

    assert json.loads(capsys.readouterr().out)["size"] == 4


def test_missing_months_are_made_by_a_command_and_told(sequenced, committed, monkeypatch):
    later = clock.today().replace(year=clock.today().year + 3)
    monkeypatch.setattr(clock, "today", lambda: later)
    assert codes() == {"partitions"}
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "USER", "terrain_owner")

    call_command(Partitions())

    assert "partitions" not in codes()
    connection.close()
