"""Compare bytes, deliveries, permits and the log, now; exits 1 and says what differs when anything does."""

from django.core.management.base import BaseCommand, CommandError

from broker.audit.actor import SYSTEM
from broker.releases import reconciliation


class Command(BaseCommand):
    help = "Lays stored files, deliveries, decisions and the log side by side, keeps and tells what differs."

    def handle(self, **options):
        done = reconciliation.run(by=SYSTEM)
        told = [f"{one.kind} {one.object_ref} {one.facts}".rstrip() for one in done.differences.all()]
        if told:
            raise CommandError("\n".join([*told, f"{done.found} differences"]))
        self.stdout.write(
            f"{done.deliveries} deliveries, {done.permits} permits, {done.files} files ({done.bytes_read} bytes): "
            f"no difference, in {done.seconds} s"
        )
