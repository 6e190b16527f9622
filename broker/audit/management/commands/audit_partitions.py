"""Make the log's monthly partitions; run at start and every night by whoever migrates, or by the sequencer itself."""

from django.core.management.base import BaseCommand
from django.db import connection

from broker import clock


class Command(BaseCommand):
    help = "Makes the partitions of this month and of the three that follow."

    def handle(self, **options):
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_partitions(%s)", [clock.today()])
            made = [name for (name,) in cursor.fetchall()]
        self.stdout.write(f"{len(made)} partitions: {', '.join(made) or 'nothing to make'}")
