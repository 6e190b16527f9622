"""Recompute the whole log from its events; exits 1 and says what is wrong when anything is."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from broker.audit import state
from broker.audit.checkpoint import Checkpoint, InvalidNote
from broker.audit.verification import problems


class Command(BaseCommand):
    help = "Checks that nothing is missing from the log and that nothing was altered."

    def add_arguments(self, parser):
        parser.add_argument("--kept", type=Path, nargs="*", default=[], help="checkpoints kept outside the database")

    def handle(self, *, kept, **options):
        verifier = state.verifier()
        if verifier is None:
            raise CommandError("The log has no genesis record yet: start the signer and the sequencer.")
        connection.ensure_connection()
        try:
            seen = [Checkpoint.open(path.read_text(), verifier) for path in kept]
        except InvalidNote as error:
            raise CommandError(f"A kept checkpoint cannot be believed: {error}") from error
        size, found = problems(connection.connection, verifier, kept=seen)
        if found:
            raise CommandError("\n".join(found))
        self.stdout.write(f"{size} leaves: nothing is missing, nothing was altered.")
