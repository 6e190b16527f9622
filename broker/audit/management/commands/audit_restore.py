"""Take up the log after a restore; says what it found and what it did. The site and the sequencer are stopped."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from broker.audit import restoring, stamp, witnesses
from broker.audit.entries import Entries, Unreadable
from broker.audit.kept import Checkpoints
from broker.audit.sequencer import CannotStart
from broker.audit.signer import Client, SignerDown


def leaves_of(paths: list[Path]) -> Iterator[tuple[int, str]]:
    """(place, payload) of the leaves of whole bundles, or of the folder TERRAIN_LOG_BUNDLES, from the first leaf on,
    one after the other."""
    seen = -1
    for path in paths:
        if path.is_dir():
            for place, payload in Entries(path).leaves():
                if place > seen:
                    seen = place
                    yield place, payload
            continue
        with zipfile.ZipFile(path) as archive:
            if json.loads(archive.read("dossier.json"))["form"] != "whole":
                raise CannotStart(f"{path} holds a selection: the whole log is needed")
            with archive.open("entries.jsonl") as lines:
                for place, line in enumerate(lines):
                    if place > seen:
                        seen = place
                        yield place, line.decode().removesuffix("\n")


def kept_in(paths: list[Path]) -> restoring.Outside:
    """The checkpoints of the folders among `paths`, judged with the keys and the certificate of the settings."""
    trusted = stamp.certificates(settings.TSA_CERTIFICATE) if settings.TSA_CERTIFICATE else []

    def stamped(token: bytes, note: bytes):
        try:
            return stamp.verify(token, note, trusted=trusted)
        except stamp.NoStamp:
            return None

    kept = (one for path in paths if path.is_dir() for one in Checkpoints(path).read())
    return restoring.Outside(kept, list(witnesses.parse(settings.WITNESSES)), stamped)


class Command(BaseCommand):
    help = "Begins a new generation of the log after its database was restored, and says what it did."

    def add_arguments(self, parser):
        parser.add_argument(
            "--refill",
            type=Path,
            nargs="+",
            metavar="BUNDLE",
            help="whole bundles kept outside, or the folder TERRAIN_LOG_BUNDLES",
        )

    def handle(self, *, refill, **options):
        connection.ensure_connection()
        try:
            signed = Client(settings.SIGNER_SOCKET).state()
            done = restoring.take_up(
                connection.connection, signed, leaves=leaves_of(refill) if refill else None,
                outside=kept_in(refill or []),
            )  # fmt: skip
        except SignerDown as error:
            raise CommandError(f"{error}. Start it first: its memory says how long the log was.") from error
        except (CannotStart, Unreadable, stamp.NoStamp, OSError, zipfile.BadZipFile, KeyError) as error:
            raise CommandError(f"Nothing was changed: {error}") from error
        where = "another cluster" if done.other_cluster else "the same cluster"
        self.stdout.write(
            f"Restored into {where}: generation {done.generation} begins.\n"
            f"{done.size} leaves stand, the signer agrees on the first {signed.size}.\n"
            f"{done.refilled} lost leaves were put back from bundles.\n"
            f"{done.checkpoints} published checkpoints were put back, {done.amended} more got back what came to them; "
            f"{done.left_out} lines or tokens that nobody known here signed were left out.\n"
            f"{done.moved} events without a place were moved into the new generation.\n"
            f"{done.waiting} events wait for the sequencer, as before.\n"
            "Start the sequencer, then the site."
        )
