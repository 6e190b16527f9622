"""A witness without an address comes to read the log, and hands its cosignature back: believed for its signature."""

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse

from broker.audit import checkpoint, outside, state, witnesses
from broker.audit.checkpoint import COSIGNATURE, Signer, Verifier
from broker.audit.kit import witness as script
from broker.audit.views import LONGEST_LINE
from tests.logs import one, rows, sequencing, write

SITE = "http://site.test"


@pytest.fixture
def log(committed, tmp_path):
    write(3)
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        yield sequencer


@pytest.fixture
def partner(log, tmp_path):
    """A witness that only pulls; the settings name its key without an address."""
    made = script.Witness(tmp_path / "witness", "temoin.test/w1")
    made.know(str(state.verifier()))
    with override_settings(WITNESSES=[str(made)]):
        yield made


@pytest.fixture
def site(monkeypatch):
    """The script speaks to the site's own views; a refusal is what urllib makes of it."""
    browser = Client(enforce_csrf_checks=True)

    def fetch(url, body=None):
        path = url.removeprefix(SITE)
        answer = browser.get(path) if body is None else browser.post(path, body, content_type="text/plain")
        if answer.status_code >= 400:
            raise OSError(f"{answer.status_code} {answer.content.decode()}")
        return answer.content.decode()

    monkeypatch.setattr(script, "fetch", fetch)
    return browser


def brought(browser, size, line):
    return browser.post(reverse("log-cosignature", args=[size]), line, content_type="text/plain")


def turn(log):
    """What the sequencer's process does with what was handed back."""
    return witnesses.handed(list(witnesses.parse(settings.WITNESSES))).turn(log.connection)


def run(tmp_path, *options):
    return script.main([str(tmp_path / "witness"), "--nom", "temoin.test/w1", "--journal", str(state.verifier()),
                        "--releve", f"{SITE}/log/", *options])  # fmt: skip


def test_one_command_pulls_and_hands_back_and_the_log_publishes_it(log, partner, site, tmp_path, capsys):
    codes = [run(tmp_path, "--rendre"), run(tmp_path, "--rendre")]  # the second time before anybody has taken it up
    waiting = rows("SELECT size FROM audit_handed")
    turn(log)
    codes.append(run(tmp_path, "--rendre"))  # it is there already
    turn(log)

    published = state.checkpoint(4)
    key = Verifier.parse(str(partner))
    assert codes == [0, 0, 0]
    assert waiting == [(4,)]
    assert published.cosigners == ["temoin.test/w1"]
    assert key in checkpoint.verify(published.signed, key)
    assert "temoin.test/w1" in site.get(reverse("log-checkpoint")).content.decode()
    assert rows("SELECT size FROM audit_handed") == []
    assert outside.standing()["witness:temoin.test/w1"].size == 4
    assert capsys.readouterr().out.count("terrain.test/log\n4\n") == 3


def test_without_being_asked_to_it_hands_nothing_back(log, partner, site, tmp_path):
    assert run(tmp_path) == 0
    assert rows("SELECT size FROM audit_handed") == []


def test_a_witness_that_the_log_does_not_know_is_told_so(log, partner, site, tmp_path, capsys):
    with override_settings(WITNESSES=[]):
        code = run(tmp_path, "--rendre")

    assert code == 1
    assert "Cosigné, mais pas rendu : 403 no witness of this log's settings" in capsys.readouterr().err
    assert rows("SELECT size FROM audit_handed") == []


def test_only_a_line_that_verifies_for_that_checkpoint_is_taken(log, partner, site):
    write(2)
    log.catch_up()
    old = state.checkpoint(4)
    good = partner.add_checkpoint(f"old 0\n\n{old.note}")
    key = Verifier.parse(str(partner))
    signer = Signer(key.name, partner.private, COSIGNATURE)
    early, late = (signer.line(checkpoint.parse(old.note).text, at) for at in (1_000_000_000, 4_000_000_000))
    other = script.Witness(partner.folder / "autre", "autre.test/w2")
    other.know(str(state.verifier()))

    refused = [
        brought(site, 6, good), brought(site, 4, good[:-3] + "\n"), brought(site, 4, early), brought(site, 4, late),
        brought(site, 4, other.add_checkpoint(f"old 0\n\n{old.note}")), brought(site, 4, good + good),
        brought(site, 4, ""), brought(site, 4, old.note.splitlines()[-1] + "\n"),
    ]  # fmt: skip
    answers = {
        "too long": brought(site, 4, "x" * (LONGEST_LINE + 1)).status_code,
        "no text": brought(site, 4, b"\xff\xfe").status_code,
        "no checkpoint": brought(site, 5, good).status_code,
        "a look": site.get(reverse("log-cosignature", args=[4])).status_code,
    }

    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert answers == {"too long": 413, "no text": 400, "no checkpoint": 404, "a look": 405}
    assert rows("SELECT size FROM audit_handed") == []
    assert brought(site, 4, good).status_code == 202


def test_a_row_that_was_forged_is_not_believed(log, partner, site, caplog):
    good = partner.add_checkpoint(f"old 0\n\n{state.checkpoint(4).note}")
    with connection.cursor() as cursor:
        for name, line in ((str(partner), good[:-6] + "AAA=\n"), ("inconnu+01+AAAA", good)):
            cursor.execute("INSERT INTO audit_handed (size, witness, line) VALUES (4, %s, %s)", [name, line])

    turn(log)

    assert one("SELECT cosignatures FROM audit_checkpoint WHERE size = 4") == ("",)
    assert rows("SELECT size FROM audit_handed") == []
    assert "is not kept" in caplog.text


def test_a_witness_that_comes_once_a_day_is_not_late_after_five_minutes(log, partner, monkeypatch):
    monkeypatch.setattr(witnesses, "LATE", 0)
    by_day = witnesses.standing()[0].unwitnessed_since
    monkeypatch.setattr(witnesses, "LATE_PULLED", 0)
    at_once = witnesses.standing()[0].unwitnessed_since

    assert by_day is None
    assert at_once == state.checkpoint(4).published_at


def test_handing_back_alone_is_refused_by_the_command(tmp_path, capsys):
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), "--nom", "temoin.test/w1", "--rendre"])

    assert "--rendre va avec --releve" in capsys.readouterr().err
