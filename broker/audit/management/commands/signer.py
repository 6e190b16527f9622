"""The signer's process: holds the log's private key, answers the sequencer on a Unix socket. Needs no database."""

import signal
import sys

from django.conf import settings
from django.core.management.base import BaseCommand

from broker.audit.signer import Server, Signing


class Command(BaseCommand):
    help = "Signs the log's checkpoints; key and memory live in TERRAIN_SIGNER_FOLDER, apart from the database."
    requires_system_checks = ()

    def handle(self, **options):
        signing = Signing(settings.SIGNER_FOLDER, settings.LOG_ORIGIN)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with Server(settings.SIGNER_SOCKET, signing, group=settings.SIGNER_GROUP) as server:
            self.stdout.write(
                f"Signing {settings.LOG_ORIGIN}, {signing.size} leaves so far, as {signing.signer.verifier}"
            )
            self.stdout.flush()
            try:
                server.serve_forever(poll_interval=5)
            except KeyboardInterrupt:
                return
