"""Make the log's monthly partitions; run at start and every night by whoever migrates, or by the sequencer itself."""

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from broker import clock
from broker.audit import partitions


class Command(BaseCommand):
    help = "Makes the partitions of this month and of the three that follow, and tells it in the log."

    def handle(self, **options):
        with transaction.atomic(), connection.cursor() as cursor:
            made = partitions.make(cursor, clock.today())
        self.stdout.write(f"{len(made)} partitions: {', '.join(made) or 'nothing to make'}")
