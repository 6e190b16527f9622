"""Recompute the whole log from its events; exits 1 and says what is wrong when anything is."""

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from broker.audit import state
from broker.audit.verification import problems


class Command(BaseCommand):
    help = "Checks that nothing is missing from the log and that nothing was altered."

    def handle(self, **options):
        verifier = state.verifier()
        if verifier is None:
            raise CommandError("The log has no genesis record yet: start the signer and the sequencer.")
        connection.ensure_connection()
        size, found = problems(connection.connection, verifier)
        if found:
            raise CommandError("\n".join(found))
        self.stdout.write(f"{size} leaves: nothing is missing, nothing was altered.")
