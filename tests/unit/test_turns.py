"""Pages take turns: one is computed at a time, and nothing waits long for somebody else's."""

import http.client
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from broker import turns
from tests.standalone import free_port

GET, POST = SimpleNamespace(method="GET"), SimpleNamespace(method="POST")


class House:
    """Pages behind a turnstile; `held` are made until `open` is called."""

    def __init__(self):
        self.inside, self.most = 0, 0
        self.came, self.leave = threading.Semaphore(0), threading.Event()
        self.count = threading.Lock()
        self.door = turns.Turnstile(self.page)

    def page(self, request):
        with self.count:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.came.release()
        self.leave.wait(5)
        with self.count:
            self.inside -= 1
        return "page"

    def ask(self, request) -> threading.Thread:
        asked = threading.Thread(target=self.door, args=[request], daemon=True)
        asked.start()
        return asked


@pytest.fixture
def house(monkeypatch):
    monkeypatch.setattr(turns, "turn", turns.Turn())
    house = House()
    yield house
    house.leave.set()


def test_a_page_waits_until_the_one_before_it_is_made(house, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 5)
    house.leave.set()

    for asked in [house.ask(GET) for _ in range(8)]:
        asked.join(5)

    assert house.most == 1


def test_nobody_waits_longer_than_that_for_a_long_page(house, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    house.ask(GET)
    assert house.came.acquire(timeout=5)

    house.ask(GET)

    assert house.came.acquire(timeout=5), "the second page was not begun beside the first"
    assert house.most == 2


def test_what_may_bring_a_file_takes_no_turn(house, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 5)
    house.ask(GET)
    assert house.came.acquire(timeout=5)

    house.ask(POST)

    assert house.came.acquire(timeout=2), "a form waited for a page"


def test_a_page_that_fails_gives_its_turn_back(monkeypatch):
    monkeypatch.setattr(turns, "turn", turns.Turn())

    def fails(request):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        turns.Turnstile(fails)(GET)

    assert turns.turn.is_free()
    assert turns.Turnstile(lambda request: "page")(GET) == "page"


def test_a_process_that_makes_a_page_leaves_the_next_one_to_others_until_patience_ends(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    turn = turns.Turn()
    assert turn.is_free()

    assert turn.take()

    assert not turn.is_free()
    time.sleep(0.06)
    assert turn.is_free(), "a long page must not close the process"
    turn.give_back()
    assert turn.is_free()


def test_a_connection_that_asks_for_nothing_closes_the_process_for_a_moment_only(monkeypatch):
    monkeypatch.setattr(turns, "MOMENT", 0.02)
    turn = turns.Turn()

    turn.expect()

    assert not turn.is_free()
    time.sleep(0.03)
    assert turn.is_free()


APPLICATION = """
import sys, time
from types import SimpleNamespace
from broker import turns

def page(request):
    time.sleep(float(request.path.strip("/") or 0))
    return request.path.encode()

door = turns.Turnstile(page)

def application(environ, start_response):
    body = door(SimpleNamespace(method=environ["REQUEST_METHOD"], path=environ["PATH_INFO"]))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def server(tmp_path):
    (tmp_path / "slow_pages.py").write_text(APPLICATION)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--worker-class", "broker.turns.PageWorker", "--workers", "2", "--threads",
         "8", "--keep-alive", "0", "--no-control-socket", "--log-level", "warning", "--pythonpath", str(tmp_path),
         "--bind", f"127.0.0.1:{port}", "slow_pages:application"],
    )  # fmt: skip
    try:
        limit = time.monotonic() + 30
        while True:
            try:
                get(port, "/0")
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < limit, "the server does not come up"
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def get(port: int, path: str) -> bytes:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request("GET", path)
    return link.getresponse().read()


def test_quick_pages_are_answered_while_long_ones_are_made_and_idle_lines_wait(server):
    idle = [socket.create_connection(("127.0.0.1", server)) for _ in range(4)]  # as a browser opens them ahead
    done: list[str] = []

    def long_page():
        get(server, "/4")
        done.append("long")

    long_ones = [threading.Thread(target=long_page) for _ in range(3)]
    for one in long_ones:
        one.start()
    time.sleep(0.5)

    for number in range(6):
        assert get(server, "/0") == b"/0"
        done.append(f"quick {number}")

    assert done == [f"quick {number}" for number in range(6)], "a quick page waited for a long one"
    for one in long_ones:
        one.join(20)
    assert done[6:] == ["long"] * 3
    for line in idle:
        line.close()
