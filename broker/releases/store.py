"""The only module that touches stored releases (`settings.RELEASES`).

Reading needs a `Permit`, which `consent.record` alone builds, and the delivery recorded under it: no row, no byte.
Each opening, and how many bytes were read, is written to the store's own book, beside the database: `reconciliation`
compares the two. Writing is the worker's: an attempt writes its own partial file, which then takes its name in one
move.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from broker import clock
from broker.releases.models import Delivery, Release
from consent.record import Permit

EXPERIMENTAL = "experimental"  # commercial releases will have a folder of their own: no shared prefix (invariant 2)


def _folder() -> Path:
    folder = settings.RELEASES / EXPERIMENTAL
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class Opened:
    """A stored file being read; what was read of it is in the book once it is closed."""

    def __init__(self, path: Path, decision: str):
        self.decision, self.count = decision, 0
        self.file = path.open("rb")
        try:
            _note(decision=decision, file=path.name)  # no book, no byte
        except OSError:
            self.file.close()
            raise

    def seek(self, place: int) -> int:
        return self.file.seek(place)

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.count += len(piece)
        return piece

    def close(self) -> None:
        if not self.file.closed:
            self.file.close()
            _note(decision=self.decision, read=self.count)


def open(permit: Permit) -> Opened:
    """The stored bytes of the release whose delivery is recorded under `permit`. Raises TypeError on anything else."""
    if type(permit) is not Permit:
        raise TypeError("a stored release is opened with a recorded Permit only")
    delivery = Delivery.objects.select_related("release").get(decision_id=permit.decision_id)
    return Opened(_folder() / delivery.release.stored_as, str(permit.decision_id))


def _books() -> Path:
    folder = settings.RELEASES / "opened"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _note(**facts) -> None:
    """One line of this month's book, in one write: lines of two processes never mix."""
    at = clock.now()
    line = json.dumps({"at": at.isoformat(), **facts}) + "\n"
    descriptor = os.open(_books() / f"{at:%Y-%m}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def book() -> Iterator[dict]:
    """The book's lines, in their order: {at, decision, file} at an opening, {at, decision, read} (bytes) at its end. A
    line that cannot be read is given as {}."""
    for path in sorted(_books().glob("*.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    told = json.loads(line)
                except ValueError:
                    told = {}
                yield told if isinstance(told, dict) else {}


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file is, without its bytes."""

    size: int
    sha256: str


def names() -> set[str]:
    """The files that are stored, half-written ones too."""
    return {path.name for path in _folder().iterdir()}


def measure(release: Release) -> Stored | None:
    """Size and SHA-256 of the stored file of `release`; None when it is not there. Its bytes go nowhere."""
    try:
        with (_folder() / release.stored_as).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return Stored(file.tell(), digest.hexdigest())
    except FileNotFoundError:
        return None


def attempt_path(release: Release) -> Path:
    """Where this attempt writes; another attempt never finds it."""
    return _folder() / f"{release.pk}.{release.attempt}.part"


def _name(release: Release) -> str:
    return f"{release.pk}.sealed" if release.recipe["output"]["sealed"] else f"{release.pk}.clear"


def publish(release: Release) -> str:
    """Give the attempt's file its name, in one move; returns the name to store."""
    attempt_path(release).replace(_folder() / _name(release))
    return _name(release)


def discard(release: Release) -> None:
    """Remove the file of a release that failed after its file had its name."""
    if release.status != Release.Status.FAILED:
        raise ValueError("only a failed release is discarded")
    (_folder() / _name(release)).unlink(missing_ok=True)


def forget_attempts(release: Release) -> None:
    """Remove what earlier attempts left half written."""
    for left in _folder().glob(f"{release.pk}.*.part"):
        left.unlink(missing_ok=True)


GONE = (Release.Status.WITHDRAWN, Release.Status.EXPIRED)


def remove(release: Release) -> None:
    """Remove the file of a withdrawn or expired release; a download under way keeps what it has opened until it is
    cut."""
    if release.status not in GONE or not release.stored_as:
        raise ValueError("only a withdrawn or an expired release loses its file")
    (_folder() / release.stored_as).unlink(missing_ok=True)


def remove_gone() -> None:
    """Remove every file whose release is withdrawn or expired: a worker may have died between the row and the file."""
    held = {path.name for path in _folder().iterdir()}
    for release in Release.objects.filter(status__in=GONE, stored_as__in=held):
        remove(release)
