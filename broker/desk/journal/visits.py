"""Is anything missing or altered since this reader's last visit: their last checkpoint, and the proof, made anew.

The server keeps for each reader the length and the root that they last saw on a day. At each visit the path of
consistency from there to the newest signed checkpoint is computed from the tiles and verified: a log that was cut,
rewritten or reordered meanwhile cannot pass, whatever its other pages say. A log that does not pass is not remembered.
"""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from broker import clock
from broker.audit import merkle, state, tiles
from broker.audit.checkpoint import Checkpoint, InvalidNote
from broker.desk.models import LogVisit


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader saw: `at` is the last moment of that visit."""

    size: int
    root: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """How the log stands for one reader. `problems` is empty when nothing is missing and nothing altered."""

    last: state.Published | None
    since: Seen | None  # the last visit of an earlier day, or the one of today
    problems: list[str] = field(default_factory=list)

    @property
    def added(self) -> int:
        return self.last.size - self.since.size if self.last and self.since else 0


def look(reader) -> Sight:
    """Compare the log with what `reader` last saw of it, and remember what is seen now."""
    last = state.checkpoint()
    today = clock.today()
    kept = [
        (day, Seen(size, bytes(root), at))
        for day, size, root, at in LogVisit.objects.filter(reader=reader, day__lte=today)
        .order_by("-day")
        .values_list("day", "size", "root", "seen_at")[:2]
    ]
    before = [seen for day, seen in kept if day < today]
    since = before[0] if before else kept[0][1] if kept else None
    if last is None:
        return Sight(None, since, ["the log has no signed checkpoint any more"] if since else [])
    problems = _problems(last, [seen for _day, seen in kept])
    if not problems:
        _remember(reader, today, last)
    return Sight(last, since, problems)


def seen_by(reader, day) -> Seen | None:
    """What `reader` had last seen by the end of `day`."""
    visit = LogVisit.objects.filter(reader=reader, day__lte=day).order_by("-day").first()
    return Seen(visit.size, bytes(visit.root), visit.seen_at) if visit else None


def _problems(last: state.Published, kept: list[Seen]) -> list[str]:
    """The signature, the tiles up to the signed root, the path from each of `kept`, the last whole verification."""
    found = []
    verifier = state.verifier()
    try:
        if verifier is None:
            raise InvalidNote("the log has lost its genesis record")
        signed = Checkpoint.open(last.note, verifier)
        if (signed.size, signed.root) != (last.size, last.root):
            found.append("the last checkpoint is signed for something else")
        node = tiles.node_reader(state.read_edge(last.size, *(seen.size for seen in kept)))
        if merkle.range_root(0, last.size, node) != last.root:
            found.append("the tiles do not lead to the signed root")
        for seen in kept:
            if seen.size > last.size:
                found.append(f"the log held {seen.size} entries and holds {last.size}")
                continue
            path = merkle.consistency_path(seen.size, last.size, node)
            merkle.verify_consistency(seen.size, last.size, path, seen.root, last.root)
    except (InvalidNote, merkle.InvalidProof, LookupError) as error:
        found.append(str(error))
    with connection.cursor() as cursor:
        cursor.execute("SELECT problems FROM audit_verification ORDER BY id DESC LIMIT 1")
        verified = cursor.fetchone()
    return found + (verified[0] if verified else [])


def _remember(reader, today, last: state.Published) -> None:
    """Only forward: of two pages opened at once, the longer log is kept."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO desk_logvisit AS kept (reader_id, day, size, root, seen_at) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (reader_id, day) DO UPDATE SET size = EXCLUDED.size, root = EXCLUDED.root, "
            "seen_at = EXCLUDED.seen_at WHERE EXCLUDED.size >= kept.size",
            [reader.pk, today, last.size, last.root, clock.now()],
        )
