"""The nine invariants of the log, by number, on one log that has lived: writers side by side, refusals, rollbacks,
batches of several sizes, restarts, a signer that watches.

Each is also attacked in depth elsewhere: 1 to 6 in test_sequencer and test_log_failures, 7 in test_sequencer, 8 in
test_erasing, 9 by ten thousand tamperings, by our verifier and by Go's, in test_tampering.
"""

import io
import itertools
import json
import os
import threading
import zipfile
from dataclasses import astuple, dataclass, field

import pytest
from django.db import connection, transaction

from broker.accounts.models import Organisation
from broker.audit import bundle, erasing, leaf, merkle, tiles
from broker.audit.actions import describe, record, recorded
from broker.audit.kit import verify
from broker.errors import NotAllowed
from tests import postgres
from tests.conftest import connected_to
from tests.logs import SOMEBODY, one, rows, sequencing, write

WRITERS, EACH = 4, 9


@recorded("organisation.create")
def create(name: str, *, by, allowed: bool):
    """A business change: a row, and its event."""
    Organisation.objects.create(name=name, kind="experimenter")
    describe(obj=("organisation", name), detail={"name": name}, sub=f"patient:{name}")
    if not allowed:
        raise NotAllowed("non")


@dataclass
class Lived:
    database: str
    folder: str
    watched: list[bool] = field(default_factory=list)  # at each signature: were its tiles committed?


class Watching:
    """A signatory that looks, from another connection, at what is committed when it is asked to sign."""

    def __init__(self, signing, lived: Lived):
        self.signing, self.lived = signing, lived

    def state(self):
        return self.signing.state()

    def sign(self, size, root, proof):
        stored = {(level, n): bytes(hashes) for level, n, hashes in rows("SELECT level, n, hashes FROM audit_tile")}
        self.lived.watched.append(tiles.Edge.load(size, lambda level, n: stored[level, n]).root() == root)
        return self.signing.sign(size, root, proof)


def names(kind: str, writer: int):
    return [f"{kind} {writer}.{number}" for number in range(EACH)]


def live(writer: int) -> None:
    """Changes that commit, that are refused, and that are rolled back with their event."""
    try:
        for done, refused, undone in zip(*(names(kind, writer) for kind in ("fait", "non", "défait")), strict=True):
            create(done, by=SOMEBODY, allowed=True)
            with pytest.raises(NotAllowed):
                create(refused, by=SOMEBODY, allowed=False)
            with pytest.raises(ZeroDivisionError), transaction.atomic():
                record("organisation.create", by=SOMEBODY, obj=("organisation", undone))
                raise ZeroDivisionError
    finally:
        connection.close()


@pytest.fixture(scope="module")
def lived(django_db_blocker, tmp_path_factory):
    name = f"test_{os.getpid()}_lived"
    found = Lived(name, str(tmp_path_factory.mktemp("signer")))
    postgres.cluster().create_database(name, template=postgres.TEMPLATE)
    with django_db_blocker.unblock(), connected_to(name):
        writers = [threading.Thread(target=live, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for batch in itertools.cycle((1, 7, 50)):
            with sequencing(name, found.folder, batch=batch) as sequencer:
                sequencer.signer = Watching(sequencer.signer, found)
                is_over = not any(writer.is_alive() for writer in writers)
                sequencer.catch_up()
            if is_over:
                break
        write(1)
        with sequencing(name, found.folder) as sequencer:
            sequencer.catch_up()
        yield found
    postgres.cluster().drop_database(name)


def payloads() -> list[str]:
    """The leaves, in the order that anybody can compute again."""
    return [payload for (payload,) in rows("SELECT payload FROM audit_event ORDER BY generation, xid, id")]


def objects(out: str) -> list[str]:
    events = map(json.loads, payloads())
    return sorted(event["obj"]["id"] for event in events if event.get("obj") and event["out"] == out)


def signed() -> tuple[int, bytes]:
    size, root = one("SELECT size, root FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    return size, bytes(root)


def of_all(kind: str) -> list[str]:
    return sorted(name for writer in range(WRITERS) for name in names(kind, writer))


def test_invariant_1_a_committed_change_has_one_leaf_and_a_rolled_back_one_none(lived):
    assert sorted(Organisation.objects.values_list("name", flat=True)) == of_all("fait")
    assert objects("allow") == of_all("fait")
    assert not any("défait" in payload for payload in payloads())
    placed = rows("SELECT event_id FROM audit_index")
    assert sorted(placed) == sorted(rows("SELECT id FROM audit_event")) and len(placed) == len(set(placed))


def test_invariant_2_a_refusal_is_recorded_in_its_own_transaction_after_the_rollback(lived):
    assert objects("deny") == of_all("non")
    assert not Organisation.objects.filter(name__startswith="non").exists()
    shared = (
        "SELECT count(*) FROM (SELECT xid FROM audit_event WHERE generation = 1 GROUP BY xid HAVING count(*) > 1) t"
    )
    assert one(shared) == (0,)


def test_invariant_3_places_have_no_gap_where_ids_have(lived):
    places = [place for (place,) in rows("SELECT leaf_index FROM audit_index ORDER BY 1")]
    ids = [number for (number,) in rows("SELECT id FROM audit_event ORDER BY 1")]

    assert places == list(range(signed()[0]))
    assert max(ids) - min(ids) + 1 > len(ids)


def test_invariant_4_the_root_depends_on_no_batch_and_no_restart(lived):
    hashes = [merkle.leaf_hash(payload.encode()) for payload in payloads()]
    size, root = signed()

    assert merkle.root(hashes) == root
    for batch in (1, 3, 64, size):
        edge = tiles.Edge()
        for start in range(0, size, batch):
            edge.grow(hashes[start : start + batch])
        assert edge.root() == root


def test_invariant_5_nothing_is_signed_before_its_tiles_are_committed(lived):
    assert len(lived.watched) >= 2
    assert all(lived.watched)


def test_invariant_6_every_checkpoint_extends_the_one_before(lived):
    published = rows("SELECT size, root, proof FROM audit_checkpoint ORDER BY size")

    assert len(published) >= 3
    for (old, old_root, _), (new, new_root, proof) in itertools.pairwise(published):
        merkle.verify_consistency(old, new, tiles.split(bytes(proof)), bytes(old_root), bytes(new_root))


def test_invariant_7_the_index_is_a_function_of_the_leaves(lived):
    stored = rows(
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), ulid, zone, actor, org, conv, "
        "obj, act, out, sub, purp FROM audit_index ORDER BY leaf_index"
    )
    plain = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in stored]

    assert plain == [astuple(leaf.columns(payload)) for payload in payloads()]


ALTERATIONS = {
    "change": lambda lines: [*lines[:5], lines[5].replace(b"allow", b"deny").replace(b"non ", b"fait "), *lines[6:]],
    "removal": lambda lines: lines[:5] + lines[6:],
    "insertion": lambda lines: [*lines[:5], lines[7], *lines[5:]],
    "swap": lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
    "truncation": lambda lines: lines[:-1],
    "fork": lambda lines: [*lines[:-3], *reversed(lines[-3:])],
}


def test_invariant_9_any_single_alteration_is_caught(lived):
    out = io.BytesIO()
    bundle.write(out, None)
    with zipfile.ZipFile(out) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    lines = content["entries.jsonl"].splitlines(keepends=True)

    assert verify.check(verify.Files(content))[0] == []
    for kind, alter in ALTERATIONS.items():
        altered = alter(lines)
        assert altered != lines, kind
        wrong, _facts = verify.check(verify.Files({**content, "entries.jsonl": b"".join(altered)}))
        assert wrong != [], kind


def test_invariant_8_erasing_details_and_pseudonyms_changes_no_root(lived):
    size, root = signed()
    numbers = [number for (number,) in rows("SELECT event_id FROM audit_detail")]
    tokens = [reference for (reference,) in rows("SELECT subject_ref FROM audit_subject_key")]

    assert erasing.erase_details(numbers, by=SOMEBODY, why="terme") == len(numbers) > WRITERS * EACH
    assert erasing.erase_tokens(tokens, by=SOMEBODY, why="terme") >= len(tokens) > WRITERS * EACH

    assert merkle.root([merkle.leaf_hash(payload.encode()) for payload in payloads()[:size]]) == root
