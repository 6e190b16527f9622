"""The delivery server itself, on a socket: what a slow reader still gets once access has ended."""

import os
import socket
import subprocess
import sys
import threading
import time

import httpx
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.releases import actions, delivery
from broker.releases.models import Delivery, Release
from consent.models import Convention
from consent.transitions import convention as conventions
from tests import factories, postgres, releasing
from tests.integration.test_release import credential_of

CHUNK = 8 * 1024 * 1024  # what may still follow a suspension (legal-gate, section 6.1)
TWO_GIB = 2 << 30


@pytest.fixture
def stays(fresh_database, django_db_blocker, tmp_path):
    (tmp_path / "keys").mkdir(mode=0o700)
    with (
        django_db_blocker.unblock(),
        override_settings(
            KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
            SCRATCH=tmp_path / "scratch",
        ),
    ):  # fmt: skip
        yield releasing.convention_on_stays(tmp_path, lines=1500)


@pytest.fixture
def served(stays, fresh_database, tmp_path):
    """The address of a delivery server of its own process, as `make demo` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": postgres.cluster().url("terrain_app", fresh_database),
        "TERRAIN_RELEASES": str(settings.RELEASES), "TERRAIN_KEY_STORE": "",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "4", "--no-control-socket",
        "--log-level", "warning", "--bind", f"127.0.0.1:{port}", "broker.releases.delivery:application",
    ]  # fmt: skip
    server = subprocess.Popen(command, cwd=postgres.ROOT, env=environment)
    try:
        limit = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/sante/", trust_env=False)
                break
            except httpx.TransportError:
                assert time.monotonic() < limit, "the delivery server does not answer"
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def grown(release: Release, size: int) -> Release:
    """The same release with a stored file of `size` bytes, sparse: nobody builds 2 GiB for a test."""
    os.truncate(settings.RELEASES / "experimental" / release.stored_as, size)
    with psycopg.connect(postgres.cluster().url("terrain_owner", connection.settings_dict["NAME"])) as owner:
        owner.execute("ALTER TABLE releases_release DISABLE TRIGGER USER")
        owner.execute("UPDATE releases_release SET size = %s WHERE id = %s", [size, release.pk])
        owner.execute("ALTER TABLE releases_release ENABLE TRIGGER USER")
    release.refresh_from_db()
    return release


class SlowReader:
    """A machine that reads a little at a time, on a plain socket."""

    def __init__(self, port: int, order, secret: str, *, from_byte: int = 0):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)  # what waits here has left already
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        ranged = f"Range: bytes={from_byte}-\r\n" if from_byte else ""
        asked = f"GET /ordres/{order.pk}/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {secret}\r\n{ranged}\r\n"
        self.socket.sendall(asked.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        self.status = int(head.split()[1])
        self.received = 0

    def read(self, number: int) -> bool:
        """Read `number` bytes; false when the other side has ended."""
        while number:
            try:
                got = self.socket.recv(min(number, 1 << 20))
            except ConnectionResetError:
                return False
            if not got:
                return False
            self.received += len(got)
            number -= len(got)
        return True

    def read_slowly_to_the_end(self, *, bytes_per_turn: int = 64 * 1024, pause: float = 0.2) -> None:
        while self.read(bytes_per_turn):
            time.sleep(pause)


def suspend(convention: Convention) -> None:
    officer = factories.user("Inès Fabre", organisation=convention.zone.operator)
    grants.give(officer, "zones.operate", convention.zone, by=SYSTEM)
    conventions.suspend(convention, by=officer, reason="doute sur un capteur")


def ended_delivery() -> Delivery:
    limit = time.monotonic() + 15
    while (row := Delivery.objects.order_by("started_at").first()).ended_at is None:
        assert time.monotonic() < limit, "the delivery does not end"
        time.sleep(0.05)
    return row


def test_scenario_5_a_suspension_cuts_a_download_of_2_gib_while_a_slow_client_reads(stays, served):
    release, secret = grown(releasing.built(stays), TWO_GIB), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    reader = SlowReader(served, order, secret)
    assert reader.status == 200
    assert reader.read(20 * 1024 * 1024)

    suspend(stays.convention)
    before, begun = reader.received, time.monotonic()
    reader.read_slowly_to_the_end()
    took = time.monotonic() - begun
    resumed = SlowReader(served, order, secret, from_byte=reader.received)
    said = httpx.get(
        f"http://127.0.0.1:{served}/ordres/{order.pk}/", trust_env=False,
        headers={"Authorization": secret, "Range": f"bytes={reader.received}-"},
    )  # fmt: skip

    ended = ended_delivery()
    assert reader.received - before <= CHUNK
    assert took <= 10
    assert ended.outcome == "cut"
    assert reader.received <= ended.bytes_sent <= reader.received + CHUNK
    assert resumed.status == 403
    assert [reason["code"] for reason in said.json()["reasons"]] == ["G10"]
    assert Delivery.objects.count() == 1


def test_a_reader_that_stands_still_gets_nothing_that_the_kernel_had_kept_for_it(stays, served):
    release, secret = grown(releasing.built(stays), 64 * 1024 * 1024), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    reader = SlowReader(served, order, secret)
    assert reader.read(64 * 1024)
    time.sleep(1)  # the server fills what the kernel takes, then waits for this reader

    suspend(stays.convention)
    time.sleep(delivery.SEND_SECONDS + 1)
    reader.read_slowly_to_the_end(pause=0)

    ended = ended_delivery()
    assert ended.outcome in ("cut", "interrupted")
    assert reader.received < release.size
    assert ended.bytes_sent <= CHUNK


def test_two_slow_readers_do_not_hold_the_door_for_a_third(stays, served):
    release, secret = grown(releasing.built(stays), 64 * 1024 * 1024), credential_of(stays)
    orders = [actions.give_order(release, by=stays.person, second_factor_at=clock.now()) for _ in range(3)]
    slow = [SlowReader(served, order, secret) for order in orders[:2]]
    answers = []

    third = threading.Thread(target=lambda: answers.append(SlowReader(served, orders[2], secret)))
    third.start()
    third.join(5)

    assert [reader.status for reader in (*slow, *answers)] == [200, 200, 200]
    assert answers[0].read(release.size)
