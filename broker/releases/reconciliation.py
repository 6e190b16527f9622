"""Laying side by side, both ways: the bytes (files, and the store's own book of openings), the deliveries, the
decisions, and the log. What two of them do not say alike is a difference, kept, told in the log, and alarmed.

Rows and events are read in one snapshot: a row and its event are one transaction, so none is seen without the other.
Files are measured afterwards, outside any transaction.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from broker import clock
from broker.audit import reading
from broker.audit.actions import describe, recorded
from broker.releases import store
from broker.releases.models import Delivery, Difference, Reconciliation, Release
from consent.models import GateDecision

ACTS = frozenset({"gate.decide", "data.download", "data.download_end", "release.withdraw", "release.expire"})
PERMITS = ("permit", "permit_with_obligations")
SOON = timedelta(hours=1)  # between a permit and the first byte, or a release and its file's removal
LONG = timedelta(hours=24)  # no download lasts longer
LAST_PIECE = 64 * 1024  # bytes: read from the file, and not sent because access had ended
MOST = 500  # differences kept of one comparison; all are counted
Kind = Difference.Kind


@dataclass(frozen=True, slots=True)
class Found:
    kind: str
    object_ref: str
    zone_id: int | None = None
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Log:
    """What the log says of downloads, by decision; `erased` counts by release those whose detail is gone."""

    permitted: dict[str, tuple[str, datetime]] = field(default_factory=dict)  # decision -> (action or "", when)
    begun: dict[str, str] = field(default_factory=dict)  # decision -> release
    ended: dict[str, int] = field(default_factory=dict)  # decision -> bytes
    erased: Counter = field(default_factory=Counter)
    erased_ends: Counter = field(default_factory=Counter)
    gone: dict[str, datetime] = field(default_factory=dict)  # release -> since when its file is to be removed


@dataclass(slots=True)
class _Book:
    """What the store's own book says: the file opened and the bytes read, by decision."""

    files: dict[str, str] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    since: datetime | None = None


@dataclass(slots=True)
class Compared:
    found: list[Found]
    deliveries: int
    permits: int
    files: int
    bytes_read: int
    book_lines: int
    seconds: float


def run(*, by, asked_by=None) -> Reconciliation:
    """Compare everything, keep what was found, tell it in the log. `asked_by` is who asked, None at night."""
    return _keep(compare(), asked_by=asked_by, by=by)


@recorded("log.reconcile")
def _keep(compared: Compared, *, asked_by, by) -> Reconciliation:
    row = Reconciliation.objects.create(
        asked_by=asked_by, deliveries=compared.deliveries, permits=compared.permits, files=compared.files,
        bytes_read=compared.bytes_read, book_lines=compared.book_lines, found=len(compared.found),
        seconds=compared.seconds,
    )  # fmt: skip
    Difference.objects.bulk_create(
        Difference(
            reconciliation=row, kind=one.kind, zone_id=one.zone_id, object_ref=one.object_ref[:200], told=one.told
        )
        for one in compared.found[:MOST]
    )
    describe(
        obj=("reconciliation", str(row.pk)), n=len(compared.found),
        detail={"by_kind": dict(Counter(one.kind for one in compared.found)), "deliveries": compared.deliveries,
                "files": compared.files},
    )  # fmt: skip
    return row


def compare() -> Compared:
    began, now = time.monotonic(), clock.now()
    # Book and names first: whatever is in them has its row in the snapshot that follows.
    book, there = _read_book(), store.names()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        log = _read_log()
        found, deliveries = _deliveries(log, book, now)
        found += _decisions(log, now)
        releases = list(
            Release.objects.exclude(stored_as="").select_related("convention").only(
                "stored_as", "status", "size", "sha256", "convention__zone_id"
            )
        )  # fmt: skip
        building = {
            str(pk) for pk in Release.objects.filter(status__in=["queued", "building"]).values_list("pk", flat=True)
        }
        before = Reconciliation.objects.order_by("-pk").values_list("book_lines", flat=True).first()
    if before is not None and book.lines < before:
        found.append(Found(Kind.BOOK_SHORTER, "opened", None, {"lines": book.lines, "before": before}))
    measured, bytes_read = _files(found, there, releases, building, log.gone, now)
    return Compared(
        found, deliveries, len(log.permitted), measured, bytes_read, book.lines, round(time.monotonic() - began, 3)
    )


def _read_book() -> _Book:
    book = _Book()
    for line in store.book():
        book.lines += 1
        decision = str(line.get("decision", ""))
        if not decision:
            continue
        if book.since is None:
            book.since = datetime.fromisoformat(line["at"])
        if "file" in line:
            book.files[decision] = line["file"]
        if "read" in line:
            book.read[decision] = line["read"]
    return book


def _read_log() -> _Log:
    log = _Log()
    tell: dict[str, Callable[[reading.Told], None]] = {
        "gate.decide": lambda told: _permit(log, told),
        "data.download": lambda told: _begun(log, told),
        "data.download_end": lambda told: _ended(log, told),
        "release.withdraw": lambda told: log.gone.update({told.event["obj"]["id"]: told.at}),
        "release.expire": lambda told: log.gone.update({told.event["obj"]["id"]: told.at}),
    }
    for told in reading.events(ACTS):
        if told.event["out"] == "allow" and told.event["obj"]:
            tell[told.event["act"]](told)
    return log


def _permit(log: _Log, told: reading.Told) -> None:
    action = "" if told.is_erased else told.detail.get("action", "")
    if action in ("", "release_download"):
        log.permitted[told.event["obj"]["id"]] = (action, told.at)


def _begun(log: _Log, told: reading.Told) -> None:
    if told.is_erased:
        log.erased[told.event["obj"]["id"]] += 1
    else:
        log.begun[told.detail["decision"]] = told.event["obj"]["id"]


def _ended(log: _Log, told: reading.Told) -> None:
    if told.is_erased:
        log.erased_ends[told.event["obj"]["id"]] += 1
    else:
        log.ended[told.detail["decision"]] = told.detail["bytes_sent"]


def _deliveries(log: _Log, book: _Book, now: datetime) -> tuple[list[Found], int]:
    found: list[Found] = []
    rows = Delivery.objects.select_related("release__convention").only(
        "decision_id", "decision_effect", "bytes_sent", "started_at", "ended_at", "release__stored_as",
        "release__convention__zone_id",
    )  # fmt: skip
    seen: set[str] = set()
    for row in rows.order_by("pk").iterator(chunk_size=2_000):
        decision, release = str(row.decision_id), str(row.release_id)
        seen.add(decision)

        say = _saying(found, row)
        if decision not in log.permitted or row.decision_effect not in PERMITS:
            say(Kind.NO_PERMIT, decision=decision)
        if decision in log.begun:
            if log.begun[decision] != release:
                say(Kind.OTHER_RELEASE, log=log.begun[decision])
        elif log.erased[release]:
            log.erased[release] -= 1
        else:
            say(Kind.NO_LEAF, decision=decision)
        _end_of(row, decision, release, log, now, say)
        _in_book(row, decision, book, now, say)
    for decision in sorted(log.begun.keys() - seen):
        found.append(Found(Kind.NO_ROW, f"release:{log.begun[decision]}", None, {"decision": decision}))
    for release, left in sorted(log.erased.items()):
        if left > 0:
            found.append(Found(Kind.NO_ROW, f"release:{release}", None, {"count": left}))
    for decision in sorted(book.files.keys() - seen):
        found.append(Found(Kind.BOOK_NO_ROW, f"file:{book.files[decision]}", None, {"decision": decision}))
    for decision, (action, at) in sorted(log.permitted.items()):
        if action and decision not in seen and at < now - SOON:
            found.append(Found(Kind.UNUSED, f"gatedecision:{decision}"))
    return found, len(seen)


def _saying(found: list[Found], delivery: Delivery) -> Callable[..., None]:
    def say(kind: str, **told) -> None:
        zone = delivery.release.convention.zone_id
        found.append(Found(kind, f"release:{delivery.release_id}", zone, {"delivery": delivery.pk, **told}))

    return say


def _end_of(row: Delivery, decision: str, release: str, log: _Log, now: datetime, say) -> None:
    if row.ended_at is None:
        if decision in log.ended:
            say(Kind.BYTES, log=log.ended[decision], row=None)
        elif row.started_at < now - LONG:
            say(Kind.UNFINISHED, since=row.started_at.isoformat())
    elif decision in log.ended:
        if log.ended[decision] != row.bytes_sent:
            say(Kind.BYTES, log=log.ended[decision], row=row.bytes_sent)
    elif log.erased_ends[release]:
        log.erased_ends[release] -= 1
    else:
        say(Kind.NO_END, row=row.bytes_sent)


def _in_book(row: Delivery, decision: str, book: _Book, now: datetime, say) -> None:
    """The book is younger than the first deliveries of an older installation: those are not looked for in it."""
    if decision in book.files:
        if row.release.stored_as and book.files[decision] != row.release.stored_as:
            say(Kind.BOOK_FILE, book=book.files[decision])
        if row.ended_at is not None and decision in book.read:
            read = book.read[decision]
            if not row.bytes_sent <= read <= row.bytes_sent + LAST_PIECE:
                say(Kind.BOOK_BYTES, book=read, row=row.bytes_sent)
    elif row.bytes_sent and book.since and book.since <= row.started_at < now - SOON:
        say(Kind.NOT_IN_BOOK, row=row.bytes_sent)


def _decisions(log: _Log, now: datetime) -> list[Found]:
    """Decisions to let download, against their leaves, both ways."""
    found = []
    kept = {
        str(pk): zone
        for pk, zone in GateDecision.objects.filter(action="release_download", effect__in=PERMITS).values_list(
            "pk", "convention__zone_id"
        )
    }
    for decision in sorted(kept.keys() - log.permitted.keys()):
        found.append(Found(Kind.DECISION_NO_LEAF, f"gatedecision:{decision}", kept[decision]))
    for decision, (action, _at) in sorted(log.permitted.items()):
        if action and decision not in kept:
            found.append(Found(Kind.NO_DECISION, f"gatedecision:{decision}"))
    return found


def _files(
    found: list[Found], there: set[str], releases, building: set[str], gone: dict[str, datetime], now: datetime
) -> tuple[int, int]:
    """Every ready release's file, its size and its SHA-256; every file that should not be there."""
    known: set[str] = set()
    measured, bytes_read = 0, 0
    for release in releases:
        known.add(release.stored_as)
        zone, reference = release.convention.zone_id, f"release:{release.pk}"
        if release.status == Release.Status.READY:
            told = store.measure(release)
            if told is not None:
                measured, bytes_read = measured + 1, bytes_read + told.size
            if told is not None and (told.size, told.sha256) == (release.size, release.sha256):
                continue
            if not Release.objects.filter(pk=release.pk, status=Release.Status.READY).exists():
                continue  # withdrawn or expired in the meantime
            if told is None:
                found.append(Found(Kind.FILE_MISSING, reference, zone))
            else:
                told_of = {"size": told.size, "sha256": told.sha256, "expected": release.sha256}
                found.append(Found(Kind.FILE_ALTERED, reference, zone, told_of))
        elif release.stored_as in there and release.status in store.GONE:
            since = gone.get(str(release.pk))
            if since is None or since < now - 2 * SOON:
                found.append(Found(Kind.FILE_KEPT, reference, zone))
    for name in sorted(there - known):
        if name.partition(".")[0] not in building:
            found.append(Found(Kind.FILE_UNKNOWN, f"file:{name}"))
    return measured, bytes_read
