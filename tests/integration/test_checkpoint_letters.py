"""Each day's checkpoint is mailed once to operators, agency and auditors, with how to check it."""

import json
import smtplib

import psycopg
import pytest
from django.core import mail
from django.urls import reverse

from broker.accounts.grants import give
from broker.audit import state
from broker.audit.actor import SYSTEM
from broker.audit.checkpoint import Checkpoint
from broker.desk import letters
from broker.desk.models import CheckpointLetter, DailyCheckpoint
from broker.desk.tasks import mail_checkpoint
from tests import factories, postgres
from tests.logs import one, rows, sequencing, write


@pytest.fixture
def readers(committed):
    """Who must be written to, by what makes them a reader; and others, who must not."""
    zone = factories.zone()
    found = {
        "operator": factories.user("Claire"), "zone auditor": factories.user("Zoé"),
        "agency": factories.user("Sophie", organisation=factories.organisation("agency"), role="registry_officer"),
        "auditor": factories.user("Anne", organisation=factories.organisation("audit"), role="auditor"),
    }  # fmt: skip
    give(found["operator"], "zones.operate", zone, by=SYSTEM)
    give(found["operator"], "zones.audit", zone, by=SYSTEM)
    give(found["zone auditor"], "zones.audit", zone, by=SYSTEM)
    give(factories.user("Paul"), "zones.steward", zone, by=SYSTEM)
    factories.user("Julie", organisation=factories.organisation())
    gone = factories.user("Partie", organisation=factories.organisation("agency"))
    gone.is_active = False
    gone.save()
    return {who: user.email for who, user in found.items()}


@pytest.fixture
def yesterday(readers, committed, tmp_path):
    """A log whose checkpoints of 3 and of 9 events more were published yesterday; today nothing yet. Their sizes."""
    with sequencing(committed, tmp_path / "signer") as sequencer:
        for count in (3, 6):
            write(count)
            sequencer.catch_up()
    move(committed, 1)
    return [size for (size,) in rows("SELECT size FROM audit_checkpoint ORDER BY size")]


def move(database, days):
    """Publish every checkpoint `days` earlier."""
    with psycopg.connect(postgres.cluster().url("postgres", database)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit_checkpoint SET published_at = published_at - %s * interval '1 day'", [days])


def addressees():
    return sorted(to for message in mail.outbox for to in message.to)


def test_each_reader_gets_the_last_checkpoint_of_the_day_and_how_to_check_it(yesterday, readers, client):
    mail_checkpoint(timestamp=0)

    assert addressees() == sorted(readers.values())
    letter = mail.outbox[0]
    name, content, _ = letter.attachments[0]
    content = content if isinstance(content, str) else content.decode()
    assert Checkpoint.open(content, state.verifier()).size == yesterday[-1]
    assert name == f"releve-{DailyCheckpoint.objects.get().day}.txt"
    assert "relevé du journal du" in letter.subject
    for part in ("Gardez ce message", reverse("log-consistency"), str(state.verifier()), content):
        assert part in letter.body
    assert letter.body.count("\n---\n") == 2  # in French, in English, the checkpoint itself
    page = client.post(reverse("log-consistency"), {"releve": content}).content.decode()
    assert "Rien de ce que vous avez vu n’a été modifié ni retiré." in page


def test_the_day_is_told_once_and_recorded_once(yesterday, readers):
    for _ in range(3):
        mail_checkpoint(timestamp=0)

    assert len(mail.outbox) == len(readers)
    told = [json.loads(text) for (text,) in rows("SELECT payload FROM audit_event WHERE payload LIKE '%%log.mail%%'")]
    assert [(event["out"], event["n"], event["obj"]["id"]) for event in told] == [("allow", 4, str(yesterday[-1]))]


def test_a_day_that_has_not_ended_waits(readers, committed, tmp_path):
    with sequencing(committed, tmp_path / "signer") as sequencer:
        write()
        sequencer.catch_up()

    mail_checkpoint(timestamp=0)

    assert mail.outbox == []
    assert not DailyCheckpoint.objects.exists()


def test_the_next_day_has_its_own_letters(yesterday, readers, committed, tmp_path):
    mail_checkpoint(timestamp=0)
    move(committed, 1)
    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE desk_dailycheckpoint SET day = day - 1")
    with sequencing(committed, tmp_path / "signer") as sequencer:
        write()
        sequencer.catch_up()
    with psycopg.connect(postgres.cluster().url("postgres", committed)) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit_checkpoint SET published_at = now() - interval '1 day' WHERE size > %s",
                      [yesterday[-1]])  # fmt: skip

    mail_checkpoint(timestamp=0)

    assert len(mail.outbox) == 2 * len(readers)
    last = DailyCheckpoint.objects.first()
    assert last.size == one("SELECT max(size) FROM audit_checkpoint")[0] > yesterday[-1]


def test_a_letter_that_was_refused_stops_no_other_and_leaves_the_next_hour(yesterday, readers, monkeypatch):
    send, refused = mail.EmailMessage.send, readers["agency"]

    def refusing(message, **facts):
        if message.to == [refused]:
            raise smtplib.SMTPRecipientsRefused({refused: (450, b"plus tard")})
        return send(message, **facts)

    monkeypatch.setattr(mail.EmailMessage, "send", refusing)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        mail_checkpoint(timestamp=0)
    others = addressees()
    monkeypatch.setattr(mail.EmailMessage, "send", send)

    mail_checkpoint(timestamp=0)

    assert others == sorted(set(readers.values()) - {refused})
    assert addressees() == sorted(readers.values())
    assert not CheckpointLetter.objects.filter(sent_at=None).exists()


def test_letters_and_their_event_are_one_transaction(yesterday, monkeypatch):
    monkeypatch.setattr(letters, "readers", lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        mail_checkpoint(timestamp=0)

    assert not DailyCheckpoint.objects.exists()
    assert mail.outbox == []
