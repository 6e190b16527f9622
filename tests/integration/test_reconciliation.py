"""Bytes, deliveries, permits and the log, side by side: what two of them do not say alike is found and told."""

import json
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from broker import clock
from broker.accounts import grants
from broker.audit import erasing
from broker.audit.actor import SYSTEM
from broker.releases import actions, reconciliation, tasks
from broker.releases.models import Delivery, Difference, Reconciliation
from tests import factories, postgres, releasing
from tests.actors import signed_in
from tests.integration.test_release import credential_of, pull
from tests.logs import one, rows


def download(stays, secret, release):
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    answer = pull(order, secret)
    body = b"".join(answer.streaming_content)
    answer.close()
    return body


def kinds():
    return sorted({str(found.kind) for found in reconciliation.compare().found})


def by_force(query, *values):
    """As whoever owns the machine: no trigger stops it."""
    with psycopg.connect(postgres.cluster().url("postgres", connection.settings_dict["NAME"])) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(query, values)


def test_what_was_delivered_is_what_was_permitted_and_each_tampering_is_found(stays, monkeypatch):
    release, secret = releasing.built(stays), credential_of(stays)
    assert len(download(stays, secret, release)) == release.size
    download(stays, secret, release)
    done = reconciliation.run(by=SYSTEM)
    assert (done.found, done.deliveries, done.files, done.bytes_read) == (0, 2, 1, release.size)
    assert done.book_lines == 4

    # the files
    stored = settings.RELEASES / "experimental" / release.stored_as
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + b"x")
    assert kinds() == ["file_altered"]
    stored.unlink()
    assert kinds() == ["file_missing"]
    stored.write_bytes(content)
    (stored.parent / "copie.sealed").write_bytes(b"copie")
    assert kinds() == ["file_unknown"]
    (stored.parent / "copie.sealed").unlink()
    assert kinds() == []

    # the store's own book
    [book] = (settings.RELEASES / "opened").iterdir()
    lines = book.read_text()
    book.write_text(lines + json.dumps({"at": clock.now().isoformat(), "decision": "x", "file": stored.name}) + "\n")
    assert kinds() == ["book_no_row"]
    book.write_text(lines.replace(stored.name, "autre.sealed"))
    assert kinds() == ["book_file"]
    book.write_text(lines.replace(f'"read": {release.size}', f'"read": {release.size + 70_000}'))
    assert kinds() == ["book_bytes"]
    book.write_text("".join(lines.splitlines(keepends=True)[:-2]))
    assert kinds() == ["book_shorter"]
    monkeypatch.setattr(reconciliation, "SOON", timedelta(0))
    assert kinds() == ["book_shorter", "not_in_book"]
    book.write_text(lines)
    assert kinds() == []

    # the rows: what erasing details takes away is no difference
    numbers = [number for (number,) in rows("SELECT event_id FROM audit_detail")]
    kept = rows("SELECT event_id, salt, body FROM audit_detail ORDER BY event_id")
    erasing.erase_details(numbers, by=SYSTEM, why="terme")
    assert kinds() == []
    for event_id, salt, body in kept:
        by_force("INSERT INTO audit_detail VALUES (%s, %s, %s)", event_id, bytes(salt), body)
    delivery = Delivery.objects.order_by("pk").first()
    by_force("UPDATE releases_delivery SET bytes_sent = bytes_sent - 1 WHERE id = %s", delivery.pk)
    assert kinds() == ["bytes"]
    by_force("UPDATE releases_delivery SET ended_at = NULL WHERE id = %s", delivery.pk)
    assert kinds() == ["bytes"]
    by_force("DELETE FROM releases_delivery WHERE id = %s", delivery.pk)
    assert kinds() == ["book_no_row", "no_row", "unused"]
    by_force("DELETE FROM consent_gatedecision WHERE id = %s", delivery.decision_id)
    assert kinds() == ["book_no_row", "no_decision", "no_row", "unused"]

    # the log
    left = str(Delivery.objects.get().decision_id)
    by_force("UPDATE audit_event SET payload = replace(payload, 'data.download_end', 'data.preview')")
    assert "no_end" in kinds()
    by_force("DELETE FROM audit_event WHERE payload LIKE %s", f'%"id":"{left}"%')
    assert {"no_permit", "decision_no_leaf"} <= set(kinds())
    by_force("DELETE FROM audit_event WHERE payload LIKE %s", '%"act":"data.download"%')
    assert "no_leaf" in kinds() and "no_row" not in kinds()

    with pytest.raises(CommandError, match=r"(?s)no_permit release:.*\d+ differences"):
        call_command("reconcile")


def test_a_download_that_never_ended_is_found_a_day_later(stays, monkeypatch):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    answer = pull(order, secret)
    pieces = iter(answer.streaming_content)
    next(pieces)

    today = kinds()
    monkeypatch.setattr(reconciliation, "LONG", timedelta(0))
    tomorrow = kinds()
    answer.close()

    assert (today, tomorrow) == ([], ["unfinished"])


@pytest.fixture
def differences(committed):
    """One comparison that found three things: in this zone, in another, and in none."""
    zone, other = factories.zone(), factories.zone("av_motorway")
    done = Reconciliation.objects.create(
        deliveries=2, permits=2, files=1, bytes_read=10, book_lines=4, found=3, seconds=0.1
    )
    for place in (zone, other, None):
        Difference.objects.create(
            reconciliation=done, kind="file_missing", zone=place, object_ref=f"release:{place or 'sans'}"
        )
    return zone


def page_of(user):
    return signed_in(user).get(reverse("reconciliation"))


def test_auditors_see_every_difference_and_an_operator_its_zone_alone(differences):
    auditor = factories.user(organisation=factories.organisation("audit"), role="auditor")
    operator = factories.user(organisation=differences.operator)
    grants.give(operator, "zones.operate", differences, by=SYSTEM)

    of_auditor, of_operator = page_of(auditor), page_of(operator)

    assert of_auditor.context["page"].paginator.count == 3
    assert "3 écarts entre les octets remis et le journal" in of_auditor.content.decode()
    assert [found.zone for found in of_operator.context["page"]] == [differences]
    assert page_of(factories.user()).status_code == 403


def test_a_difference_waits_on_the_desk_of_auditors_alone(differences):
    auditor = factories.user(organisation=factories.organisation("audit"), role="auditor")
    told = "3 écarts entre les octets remis et le journal"

    assert told in signed_in(auditor).get(reverse("desk")).content.decode()
    assert told not in signed_in(factories.user()).get(reverse("desk")).content.decode()


def test_an_auditor_asks_for_it_and_the_log_tells_who(committed, tmp_path, settings):
    settings.RELEASES = tmp_path
    auditor = factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")
    browser = signed_in(auditor)

    for _click in (1, 2):
        assert browser.post(reverse("reconciliation-run")).status_code == 302
    [job] = ProcrastinateJob.objects.filter(task_name="broker.releases.tasks.reconcile")
    tasks.reconcile(**job.args)

    assert "demandé par Anne Leroy" in browser.get(reverse("reconciliation")).content.decode()
    event = json.loads(one("SELECT payload FROM audit_event ORDER BY id DESC LIMIT 1")[0])
    assert (event["act"], event["n"], event["actor"]["kind"]) == ("log.reconcile", 0, "auditor")


@pytest.mark.parametrize("role", ["terrain_app", "terrain_owner"])
@pytest.mark.parametrize("table", ["releases_reconciliation", "releases_difference"])
def test_what_was_found_is_not_rewritten(role, table):
    with psycopg.connect(postgres.cluster().url(role, postgres.DATABASE), autocommit=True) as intruder:
        for attack in (f"UPDATE {table} SET id = 1", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                intruder.execute(attack)
