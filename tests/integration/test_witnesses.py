"""The platform's side of witnesses: it asks them, verifies what they answer, keeps it, and says when they are gone."""

import io
import threading
import zipfile

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from broker.audit import bundle, checkpoint, merkle, outside, state, witnesses
from broker.audit.checkpoint import Verifier
from broker.audit.kit import verify
from broker.audit.kit import witness as script
from tests.logs import one, sequencing, write


class Partner:
    """A witness on loopback, as kit/witness.py serves one."""

    def __init__(self, folder, name="temoin.test/w1"):
        self.witness = script.Witness(folder, name)
        self.server = script.server(self.witness, "127.0.0.1:0")
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.key = Verifier.parse(str(self.witness))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def setting(self):
        return f"{self.key} {self.url}/"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def partner(tmp_path):
    made = Partner(tmp_path / "witness")
    yield made
    made.stop()


@pytest.fixture
def log(committed, tmp_path, partner):
    """A log of four leaves whose key the witness knows."""
    write(3)
    with sequencing(committed, tmp_path / "signer") as sequencer:
        sequencer.catch_up()
        partner.witness.know(str(sequencer.signer.state().verifier))
        yield sequencer


def cosignatures(size):
    return one("SELECT cosignatures FROM audit_checkpoint WHERE size = %s", size)[0]


def test_each_new_checkpoint_is_cosigned_and_the_line_is_kept_beside_it(log, partner):
    duty = witnesses.duty(partner.key, partner.url)
    sizes = [duty.act(log.connection)]
    write(300)
    log.catch_up()
    sizes += [duty.turn(log.connection), duty.act(log.connection)]

    assert sizes == [4, witnesses.EVERY, None]
    for published in (state.checkpoint(4), state.checkpoint(304)):
        told = checkpoint.verify(published.signed, state.verifier(), partner.key)
        assert set(told) == {state.verifier(), partner.key}
        assert checkpoint.Checkpoint.open(published.signed, state.verifier()).size == published.size
    assert outside.standing()["witness:temoin.test/w1"].size == 304


def test_two_witnesses_cosign_one_checkpoint(log, partner, tmp_path):
    other = Partner(tmp_path / "other", "autre.test/w2")
    other.witness.know(str(state.verifier()))
    try:
        for one_of in (partner, other):
            witnesses.duty(one_of.key, one_of.url).turn(log.connection)
    finally:
        other.stop()

    assert set(checkpoint.verify(state.checkpoint(4).signed, partner.key, other.key)) == {partner.key, other.key}


def test_a_witness_that_remembers_another_size_is_asked_from_that_one(log, partner):
    witnesses.duty(partner.key, partner.url).act(log.connection)  # its answer is kept, that it was asked is not
    write()
    log.catch_up()

    assert witnesses.duty(partner.key, partner.url).act(log.connection) == 5
    assert partner.witness.remembered("terrain.test/log")[0] == 5


def test_a_witness_that_saw_another_log_refuses_and_the_log_goes_on(log, partner):
    saw = {"origin": "terrain.test/log", "size": 2, "root": "A" * 43 + "=", "checkpoint": ""}
    partner.witness.write(partner.witness.memory("terrain.test/log"), script.json.dumps(saw).encode())
    duty = witnesses.duty(partner.key, partner.url)

    duty.turn(log.connection)
    write()
    added = log.catch_up()

    assert added == 1
    assert cosignatures(4) == ""
    assert "ne prolonge pas" in outside.standing()["witness:temoin.test/w1"].problem


def test_a_witness_that_saw_a_longer_log_tells_that_ours_was_cut(log, partner):
    saw = {"origin": "terrain.test/log", "size": 40, "root": "A" * 43 + "=", "checkpoint": ""}
    partner.witness.write(partner.witness.memory("terrain.test/log"), script.json.dumps(saw).encode())

    with pytest.raises(witnesses.NotCosigned, match="has cosigned 40 leaves and this log publishes 4"):
        witnesses.duty(partner.key, partner.url).act(log.connection)


def test_a_witness_that_is_down_leaves_the_log_unwitnessed_since(log, partner):
    with override_settings(WITNESSES=[partner.setting]):
        witnesses.duty(partner.key, partner.url).turn(log.connection)
        while_up = witnesses.standing()
        write()
        log.catch_up()
        witnesses.duty(partner.key, "http://127.0.0.1:9").turn(log.connection)
        soon_after = witnesses.standing()
        with override_settings(WITNESSES=[partner.setting]), pytest.MonkeyPatch.context() as patch:
            patch.setattr(witnesses, "LATE", 0)
            later = witnesses.standing()

    assert [w.size for w in while_up + soon_after + later] == [4, 4, 4]
    assert while_up[0].problem == ""
    assert while_up[0].unwitnessed_since is None
    assert "does not answer" in soon_after[0].problem
    assert soon_after[0].unwitnessed_since is None
    assert later[0].unwitnessed_since == state.checkpoint(5).published_at


def test_a_witness_that_never_answered_is_told_too(log, partner):
    with override_settings(WITNESSES=[partner.setting]), pytest.MonkeyPatch.context() as patch:
        patch.setattr(witnesses, "LATE", 0)
        never = witnesses.standing()

    assert [(w.name, w.size, w.unwitnessed_since) for w in never] == [
        ("temoin.test/w1", None, state.checkpoint(4).published_at)
    ]


def _answering(monkeypatch, text):
    monkeypatch.setattr(script.Witness, "add_checkpoint", lambda *_: text)


def test_an_answer_of_another_key_or_over_another_text_is_not_kept(log, partner, tmp_path, monkeypatch):
    stranger = script.Witness(tmp_path / "stranger", "temoin.test/w1")
    stranger.know(str(state.verifier()))
    body = witnesses.request(0, [], state.checkpoint(4).note)
    good = partner.witness.add_checkpoint(body)
    write()
    log.catch_up()
    duty = witnesses.duty(partner.key, partner.url)

    for text in ("", "rien\n", stranger.add_checkpoint(body), good, good + good):
        _answering(monkeypatch, text)
        with pytest.raises(witnesses.NotCosigned):
            duty.act(log.connection)
    assert cosignatures(5) == ""


def test_a_cosignature_of_long_ago_is_not_kept(log, partner, monkeypatch):
    monkeypatch.setattr(script.time, "time", lambda: 1_700_000_000)
    old = partner.witness.add_checkpoint(witnesses.request(0, [], state.checkpoint(4).note))
    monkeypatch.undo()
    _answering(monkeypatch, old)

    with pytest.raises(witnesses.NotCosigned, match="clock"):
        witnesses.duty(partner.key, partner.url).act(log.connection)


@pytest.mark.parametrize("item", ["rien", "a+b https://x", "temoin.test/w1+00000000+BAAA https://x"])
def test_a_wrong_setting_is_told(item):
    with pytest.raises(ImproperlyConfigured, match="TERRAIN_WITNESSES"):
        witnesses.parse([item])


def test_a_log_s_key_is_no_witness(log):
    with pytest.raises(ImproperlyConfigured, match="a log's"):
        witnesses.parse([f"{state.verifier()} https://x"])


def test_the_kit_carries_the_cosignatures_and_what_ties_them_to_its_checkpoint(log, partner):
    witnesses.duty(partner.key, partner.url).act(log.connection)
    cosigned_last = _kit()
    write(20)
    log.catch_up()
    cosigned_before = _kit()
    none_of_this = {name for name in cosigned_last if name.startswith("temoins/")}

    key = state.verifier()
    assert set(checkpoint.verify(cosigned_last["checkpoint"], key, partner.key)) == {key, partner.key}
    assert none_of_this == set()
    seen = checkpoint.Checkpoint.open(cosigned_before["temoins/checkpoint"], key)
    assert partner.key in checkpoint.verify(cosigned_before["temoins/checkpoint"], partner.key)
    head, _, note = cosigned_before["temoins/coherence"].partition("\n\n")
    size, *path = head.split("\n")
    now = checkpoint.Checkpoint.open(note, key)
    assert note == cosigned_before["checkpoint"]
    assert size == f"old {seen.size}"
    merkle.verify_consistency(seen.size, now.size, [checkpoint.from_base64(line) for line in path], seen.root, now.root)
    for content in (cosigned_last, cosigned_before):
        assert verify.check(verify.Files({name: text.encode() for name, text in content.items()}))[0] == []


def _kit():
    out = io.BytesIO()
    bundle.write(out, None)
    with zipfile.ZipFile(out) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_first_leaf_names_the_witnesses_of_the_beginning(committed, tmp_path, partner):
    with sequencing(committed, tmp_path / "signer", witnesses=[str(partner.key)]) as sequencer:
        sequencer.catch_up()

    assert state.genesis()["policy"]["witnesses"] == [str(partner.key)]
