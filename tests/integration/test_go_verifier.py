"""A second verifier, on Go's own packages, says of a bundle what ours says."""

import zipfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.audit import bundle, merkle, search
from broker.audit.checkpoint import COSIGNATURE, Signer, parse
from broker.audit.kit import verify
from broker.audit.witnesses import request
from tests import golang
from tests.logs import one, sequencing, write

ABOUT_DATASET_7 = search.Query(obj=("dataset:7",))
WITNESS = Signer("vigie.example", Ed25519PrivateKey.from_private_bytes(b"8" * 32), COSIGNATURE)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return golang.build(tmp_path_factory.mktemp("go"))


@pytest.fixture
def bundles(committed, tmp_path):
    """{form: folder} of a log of 31 leaves seen before at 11: the whole log, and a selection of 10 entries."""
    made = {}
    with sequencing(committed, tmp_path / "signer") as sequencer:
        write(10)
        sequencer.catch_up()
        write(10, act="data.download", obj=("dataset", "7", "1"))
        write(10)
        sequencer.catch_up()
    (tmp_path / "kept").write_text(one("SELECT note FROM audit_checkpoint WHERE size = 11")[0])
    for form, query in (("whole", None), ("selection", ABOUT_DATASET_7)):
        with (tmp_path / f"{form}.zip").open("wb") as out:
            bundle.write(out, query, since=11)
        with zipfile.ZipFile(tmp_path / f"{form}.zip") as archive:
            archive.extractall(tmp_path / form)
        made[form] = tmp_path / form
    return made


@pytest.mark.parametrize(("form", "says"), [("whole", "31 entries, the whole log"), ("selection", "11 entries, a sel")])
def test_go_accepts_what_we_deliver(program, bundles, tmp_path, form, says):
    trusted = ["-key", str(bundles[form] / "cle-publique.txt"), "-old", str(tmp_path / "kept")]

    folder, archive = golang.judge(program, [bundles[form], tmp_path / f"{form}.zip"], *trusted)

    assert says in folder and folder.startswith("OK")
    assert says in archive and archive.startswith("OK")


@pytest.mark.parametrize("form", ["whole", "selection"])
@pytest.mark.parametrize(
    ("name", "alter"),
    [
        ("entries.jsonl", lambda raw: raw.replace(b'"allow"', b'"deny!"', 1)),
        ("entries.jsonl", lambda raw: b"".join(raw.splitlines(keepends=True)[:-1])),
        ("entries.jsonl", lambda raw: raw + raw.splitlines(keepends=True)[-1]),
        ("entries.jsonl", lambda raw: raw[:-1]),
        ("checkpoint", lambda raw: raw.replace(b"\n31\n", b"\n32\n")),
        ("coherence.txt", lambda raw: raw.replace(b"11\n", b"10\n", 1)),
        ("coherence.txt", lambda raw: b"0\n" + raw.partition(b"\n")[2]),
        ("coherence.txt", lambda raw: b"".join(raw.splitlines(keepends=True)[:-1])),
        ("cle-publique.txt", lambda raw: raw.replace(b"+A", b"+B", 1)),
    ],
    ids=["changed", "cut", "repeated", "torn", "checkpoint", "from ten", "from nothing", "short proof", "key"],
)
def test_go_and_ours_refuse_what_was_altered(program, bundles, form, name, alter):
    path = bundles[form] / name
    before = path.read_bytes()
    path.write_bytes(alter(before))

    (said,) = golang.judge(program, [bundles[form]])
    wrong, _ = verify.check(verify.Files(bundles[form]))

    assert path.read_bytes() != before
    assert said.startswith("FAIL")
    assert [reason for reason in wrong if "MANIFEST" not in reason]


def test_go_and_ours_follow_an_older_cosigned_checkpoint_to_the_one_of_the_bundle(program, bundles, tmp_path):
    """The newest checkpoint is not cosigned yet: the bundle says which one was, and proves what lies between."""
    folder, keys = bundles["whole"], tmp_path / "witnesses"
    keys.write_text(f"{WITNESS.verifier}\n")
    hashes = [merkle.leaf_hash(line) for line in (folder / "entries.jsonl").read_bytes().splitlines()]
    kept, note = (tmp_path / "kept").read_text(), (folder / "checkpoint").read_text()
    way = merkle.consistency_proof(11, hashes)
    (folder / "temoins").mkdir()
    (folder / "temoins" / "checkpoint").write_text(kept + WITNESS.line(parse(kept).text, 1_795_392_000))

    for old, proof, held in [(11, way, True), (10, way, False), (11, way[1:], False), (11, way[::-1], False)]:
        (folder / "temoins" / "coherence").write_text(request(old, proof, note))
        (said,) = golang.judge(program, [folder], "-witnesses", str(keys))
        wrong, facts = verify.check(verify.Files(folder), witnesses=keys.read_bytes())

        assert said.startswith("OK") == held
        assert ([reason for reason in wrong if "MANIFEST" not in reason] == []) == held
        assert (facts["witnesses"] == {"vigie.example": 1_795_392_000}) == held


def test_go_and_ours_read_a_cosignature_alike(program, bundles, tmp_path):
    folder, keys = bundles["whole"], tmp_path / "witnesses"
    keys.write_text(f"{WITNESS.verifier}\n")
    path = folder / "checkpoint"
    note = path.read_text()
    good = WITNESS.line(parse(note).text, 1_795_392_000)
    bad = WITNESS.line("un autre texte\n", 1_795_392_000)

    for lines, held in [("", False), (good, True), (bad, False)]:
        path.write_text(note + lines)
        (said,) = golang.judge(program, [folder], "-witnesses", str(keys))
        wrong, facts = verify.check(verify.Files(folder), witnesses=keys.read_bytes())

        assert said.startswith("OK") == held
        assert ([reason for reason in wrong if "MANIFEST" not in reason] == []) == held
        assert not held or facts["witnesses"] == {"vigie.example": 1_795_392_000}
