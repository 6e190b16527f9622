"""Write a bundle of the whole log to a file, whatever its size: what the page leaves to the operator."""

import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from broker.audit import bundle
from broker.audit.actions import describe, recorded
from broker.audit.actor import SYSTEM
from broker.errors import TerrainError


@recorded("log.export")
def export(*, by, form: str):
    """The export is an event before the file exists: whoever reads the log reads that it was read."""
    describe(detail={"form": form, "by": "manage.py audit_bundle"})


class Command(BaseCommand):
    help = "Writes the whole log, with its checkpoint and its verifier, to a zip file."

    def add_arguments(self, parser):
        parser.add_argument("out", type=Path)
        parser.add_argument("--since", type=int, help="size of a checkpoint you kept: adds the proof of consistency")

    def handle(self, *, out, since, **options):
        export(by=SYSTEM, form="whole")
        try:
            with out.open("wb") as file:
                made = bundle.write(file, None, since=since, most_whole=sys.maxsize)
        except TerrainError as error:
            out.unlink(missing_ok=True)
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made.entries} entries, root {made.root}: {out}")
