"""How the log is, for those who keep the machines: one JSON document; exits 1 when something is grave."""

import json
import sys

from django.core.management.base import BaseCommand

from broker.desk import health


class Command(BaseCommand):
    help = "Prints the log's health as JSON: figures, what is wrong, what to do. Exits 1 when something is grave."

    def handle(self, **options):
        report = health.look()
        self.stdout.write(json.dumps(health.as_json(report), ensure_ascii=False, indent=1))
        if report.is_grave:
            sys.exit(1)
