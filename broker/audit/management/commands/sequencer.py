"""The sequencer's process: one a database, as the role `terrain_seq`, connected directly."""

import logging
import signal
import threading
import time

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from broker import clock
from broker.audit import entries, partitions, receipts, stamp, witnesses
from broker.audit.outside import Duty, Worker
from broker.audit.sequencer import CannotStart, Sequencer
from broker.audit.signer import Client, SignerDown, SignerError
from broker.audit.verification import problems

log = logging.getLogger(__name__)

TURN = 0.2  # seconds between two looks
LATE = 10  # seconds of lag before an alarm
HOUR = 3600
SHARE = 100  # the whole log is recomputed again after this many times what it took: one hundredth of a core
SOONEST = 300  # seconds


def duties() -> list[Duty]:
    """What this installation does with a signed checkpoint outside this house, as its settings say."""
    found = [entries.duty(settings.LOG_BUNDLES)]
    if settings.TSA_URL:
        found.append(stamp.hourly(settings.TSA_URL, settings.TSA_CERTIFICATE))
    known = witnesses.parse(settings.WITNESSES)
    if known:
        found.append(witnesses.handed(list(known)))
    return found + [witnesses.duty(witness, url) for witness, url in known.items() if url]


class Every:
    """True at the first call, then once every `seconds`."""

    def __init__(self, seconds: float):
        self.seconds, self.next = seconds, 0.0

    def due(self) -> bool:
        if time.monotonic() < self.next:
            return False
        self.next = time.monotonic() + self.seconds
        return True


class Alarm:
    """When to look whether the log runs late, and when to say it again."""

    def __init__(self):
        self.look, self.told = Every(2), Every(30)


class Command(BaseCommand):
    help = "Puts committed events into the Merkle tree and has its checkpoints signed."
    requires_system_checks = ()

    def handle(self, **options):
        self.stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        with psycopg.connect(settings.SEQUENCER_DATABASE_URL, autocommit=True) as connection:
            known = [str(key) for key in witnesses.parse(settings.WITNESSES)]
            closed = settings.LOG_CONTINUES.read_text() if settings.LOG_CONTINUES else ""
            sequencer = Sequencer(connection, Client(settings.SIGNER_SOCKET), witnesses=known, continues=closed)
            try:
                self.start(sequencer)
                if not self.stop.is_set():
                    self.stdout.write(f"Sequencing after {sequencer.size} leaves")
                    self.stdout.flush()
                    self.work(sequencer)
            except (CannotStart, SignerError) as error:
                raise CommandError(str(error)) from error

    def start(self, sequencer: Sequencer) -> None:
        """Start when the signer is there: the genesis record names its key."""
        told = Every(30)
        while not self.stop.is_set():
            try:
                return sequencer.start(at=clock.now())
            except SignerDown as error:
                if told.due():
                    log.warning("waiting for the signer: %s", error)
                sequencer.connection.execute("SELECT pg_advisory_unlock_all()")
                self.stop.wait(TURN)
        return None

    def work(self, sequencer: Sequencer) -> None:
        months, alarm = Every(HOUR), Alarm()
        self.may_verify_at = 0.0
        for duty in duties():
            Worker(duty, settings.SEQUENCER_DATABASE_URL, self.stop).start()
        while not self.stop.is_set():
            if months.due():
                self.make_partitions(sequencer)
                with sequencer.connection.transaction(), sequencer.connection.cursor() as cursor:
                    receipts.announce(cursor)
            added = sequencer.catch_up()
            if sequencer.signed and time.monotonic() >= self.may_verify_at:
                self.verify()
            self.warn_when_late(sequencer, alarm)
            if not added:
                self.stop.wait(TURN)

    def make_partitions(self, sequencer: Sequencer) -> None:
        """At start and every hour: the months ahead. A writer that does not end puts it off, never the writes."""
        try:
            with sequencer.connection.transaction(), sequencer.connection.cursor() as cursor:
                partitions.make(cursor, clock.today())
        except psycopg.errors.LockNotAvailable:
            log.warning("the months ahead were not made: a transaction holds the log's tables; again in an hour")

    def verify(self) -> None:
        """Recompute the whole log on another connection, in a thread: sequencing goes on."""
        self.may_verify_at = float("inf")

        def recompute():
            began = time.monotonic()
            try:
                signer = Client(settings.SIGNER_SOCKET)
                with psycopg.connect(settings.SEQUENCER_DATABASE_URL, autocommit=True) as connection:
                    size, found = problems(connection, signer.state().verifier, signer=signer)
                    connection.execute(
                        "INSERT INTO audit_verification (size, problems, seconds) VALUES (%s, %s, %s)",
                        [size, found, time.monotonic() - began],
                    )
                for problem in found:
                    log.critical("the log was altered: %s", problem)
            except (SignerDown, psycopg.Error) as error:
                log.warning("the log could not be recomputed, it will be tried again: %s", error)
            finally:
                ended = time.monotonic()
                self.may_verify_at = ended + max(SOONEST, SHARE * (ended - began))

        threading.Thread(target=recompute, daemon=True, name="verification").start()

    def warn_when_late(self, sequencer: Sequencer, alarm: Alarm) -> None:
        if alarm.look.due() and (waiting := sequencer.waiting()) > LATE and alarm.told.due():
            log.error(
                "the log runs %.0f s late: a transaction stays open somewhere in this cluster "
                "(see pg_stat_activity, backend_xmin)", waiting,
            )  # fmt: skip
