"""The auditor's kit: it verifies as it is, and no altered byte passes."""

import io
import json
import subprocess
import sys
import zipfile

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.audit import bundle, search, state
from broker.audit.bundle import KIT
from broker.audit.kit import verify
from broker.errors import BadInput, WrongState
from tests.logs import one, sequencing, write


@pytest.fixture
def log(committed, tmp_path):
    """A signed log of 31 leaves, of which 10 are about dataset 7; a first checkpoint at 11."""
    write(10, detail={"motif": "essai"})
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()
        write(10, act="data.download", obj=("dataset", "7", "1"), zone="zone:1", detail={"octets": 12})
        write(10, act="zone.open", out="deny", reason=("G11",))
        sequencer.catch_up()


def files(query=None, **wanted):
    out = io.BytesIO()
    bundle.write(out, query, **wanted)
    with zipfile.ZipFile(out) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check(content, **trusted):
    return verify.check(verify.Files(content), **trusted)


SELECTION = search.Query(obj=("dataset:7",))


def test_the_whole_log_verifies(log):
    content = files()

    wrong, facts = check(content)

    assert wrong == []
    assert facts["whole"] and facts["entries"] == facts["size"] == 31
    assert facts["root"] == bytes(one("SELECT root FROM audit_checkpoint ORDER BY size DESC")[0]).hex()


def test_a_selection_verifies_with_one_proof_an_entry(log):
    content = files(SELECTION, details=True)

    wrong, facts = check(content)

    assert wrong == []
    assert facts["entries"] == 11  # and leaf 0, which names the key
    assert facts["details"] == 10
    assert sum(name.startswith("preuves/") for name in content) == 11


def test_the_script_alone_verifies_the_archive_and_the_folder(log, tmp_path):
    out = tmp_path / "dossier.zip"
    with out.open("wb") as file:
        bundle.write(file, SELECTION)
    folder = tmp_path / "clair"
    with zipfile.ZipFile(out) as archive:
        archive.extractall(folder)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-I", str(folder / "verify.py"), *arguments], capture_output=True, text=True, cwd="/"
        )

    assert run().returncode == 0, run().stdout
    assert run(str(out)).returncode == 0
    altered = (folder / "entries.jsonl").read_bytes().replace(b"data.download", b"data.downloaf", 1)
    (folder / "entries.jsonl").write_bytes(altered)
    said = run()
    assert said.returncode == 1
    assert "entries.jsonl ligne 2 : entrée modifiée" in said.stdout


@pytest.mark.parametrize("form", ["whole", "selection"])
@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda lines: [*lines[:3], lines[3].replace(b"2026", b"2025", 1), *lines[4:]], "ligne 4 : entrée modifiée"),
        (lambda lines: lines[:3] + lines[4:], "ne s'y trouvent plus"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "ligne 5 : entrée déplacée"),
        (lambda lines: [*lines, lines[-1]], "entrées, index.tsv en annonce"),
        (lambda lines: [*lines, b'{"act":"x"}'], "ajoutée"),
        (lambda lines: lines[:-1], "ne s'y trouvent plus"),
    ],
    ids=["changed", "missing", "swapped", "repeated", "added", "cut"],
)
def test_each_tampering_of_entries_is_named(log, form, alter, says):
    content = files(None if form == "whole" else SELECTION)
    lines = content["entries.jsonl"].split(b"\n")[:-1]

    content["entries.jsonl"] = b"\n".join(alter(lines)) + b"\n"

    wrong, _ = check(content)
    assert any("entries.jsonl" in reason and says in reason for reason in wrong), wrong


def test_a_forger_who_redoes_the_manifest_and_the_index_is_found(log):
    content = files()
    content["entries.jsonl"] = content["entries.jsonl"].replace(b'"allow"', b'"deny!"', 1)
    import hashlib

    lines = content["entries.jsonl"].split(b"\n")[:-1]
    content["index.tsv"] = "".join(
        f"{i}\t{hashlib.sha256(bytes(1) + line).hexdigest()}\t\n" for i, line in enumerate(lines)
    ).encode()
    content["MANIFEST.sha256"] = "".join(
        f"{hashlib.sha256(raw).hexdigest()}  {name}\n"
        for name, raw in sorted(content.items())
        if name != "MANIFEST.sha256"
    ).encode()

    wrong, _ = check(content)

    assert any("ne donnent pas la racine signée" in reason for reason in wrong)


def test_another_key_is_found(log, tmp_path_factory):
    from broker.audit.signer import Signing
    from tests.logs import ORIGIN

    content = files()
    ours = content["cle-publique.txt"]
    other = f"{Signing(tmp_path_factory.mktemp('other'), ORIGIN).signer.verifier}\n".encode()

    assert check(content, trusted_key=ours)[0] == []
    assert any("--cle" in reason for reason in check(content, trusted_key=other)[0])
    content["cle-publique.txt"] = other
    assert any("aucune signature" in reason for reason in check(content)[0])


def test_today_s_log_extends_the_one_of_the_last_visit(log):
    kept = state.checkpoint(11).note.encode()

    content = files(SELECTION, since=11)

    assert check(content, old=kept) == ([], check(content, old=kept)[1])
    assert check(content, old=kept)[1]["extends"] == 11
    forged = content | {"coherence.txt": content["coherence.txt"].replace(b"11\n", b"10\n", 1)}
    assert any("coherence.txt" in reason for reason in check(forged, old=kept)[0])
    assert any("coherence.txt" in reason for reason in check(files(SELECTION), old=kept)[0])


def test_a_bundle_is_refused_when_it_cannot_be_made(committed, tmp_path):
    with pytest.raises(WrongState):
        bundle.write(io.BytesIO(), None)
    write(3)
    with sequencing(committed, tmp_path) as sequencer:
        sequencer.catch_up()

    with pytest.raises(BadInput, match="Aucun checkpoint"):
        bundle.write(io.BytesIO(), None, since=3)
    with pytest.raises(BadInput, match="entier compte 4"):
        bundle.write(io.BytesIO(), None, most_whole=3)


def test_every_leaf_fits_the_published_schema(log):
    schema = json.loads((KIT / "schema.json").read_text())

    for line in files()["entries.jsonl"].splitlines():
        jsonschema.validate(json.loads(line), schema)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_altered_byte_of_a_bundle_passes(log, made_once, data):
    content = dict(made_once(data.draw(st.sampled_from(["whole", "selection"]))))
    name = data.draw(st.sampled_from(sorted(content)))
    raw = bytearray(content[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    content[name] = bytes(raw)

    wrong, _ = check(content)

    assert wrong, name


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_altered_byte_passes_even_without_the_manifest(log, made_once, data):
    """What the tree and the signature cover is covered whatever a forger does to the manifest."""
    content = dict(made_once(data.draw(st.sampled_from(["whole", "selection"]))))
    covered = [n for n in content if n in ("entries.jsonl", "checkpoint", "cle-publique.txt") or "preuves/" in n]
    name = data.draw(st.sampled_from(sorted(covered)))
    raw = bytearray(content[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    content[name] = bytes(raw)

    wrong = [reason for reason in check(content)[0] if "MANIFEST" not in reason]

    assert wrong, name


@pytest.fixture
def made_once(log):
    kept = {}

    def get(form):
        if form not in kept:
            kept[form] = files(None if form == "whole" else SELECTION, details=True, since=11)
        return kept[form]

    return get


def test_a_page_is_named_by_the_leaf_before_it(log):
    first = search.page(search.Query(), size=12)
    second = search.page(search.Query(), before=first.next, size=12)
    third = search.page(search.Query(), before=second.next, size=12)

    indexes = [e.leaf_index for p in (first, second, third) for e in p.entries]
    assert indexes == list(range(30, -1, -1))
    assert third.next is None


def test_what_is_asked_is_what_is_found(log):
    def found(**asked):
        return len(search.page(search.Query(**asked), size=100).entries)

    actor = search.tokens_of("user:1")
    assert found(actor=actor) == 30
    assert found(actor=()) == 0
    assert found(out=("deny", "error")) == 10
    assert found(obj=("dataset:7",), zone=("zone:1", "autre")) == 10
    assert found(act=("zone.open", "data.download")) == 20
    assert search.references_of(["p:" + actor[0].hex()]) == {"p:" + actor[0].hex(): "user:1"}
