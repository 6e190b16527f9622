"""The only module that touches stored releases (`settings.RELEASES`).

Reading needs a `Permit`, which `consent.record` alone builds, and the delivery recorded under it: no row, no byte.
Writing is the worker's: an attempt writes its own partial file, which then takes its name in one move.
"""

from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from broker.releases.models import Delivery, Release
from consent.record import Permit

EXPERIMENTAL = "experimental"  # commercial releases will have a folder of their own: no shared prefix (invariant 2)


def _folder() -> Path:
    folder = settings.RELEASES / EXPERIMENTAL
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def open(permit: Permit) -> BinaryIO:
    """The stored bytes of the release whose delivery is recorded under `permit`. Raises TypeError on anything else."""
    if type(permit) is not Permit:
        raise TypeError("a stored release is opened with a recorded Permit only")
    delivery = Delivery.objects.select_related("release").get(decision_id=permit.decision_id)
    return (_folder() / delivery.release.stored_as).open("rb")


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
