"""One page at a time in a process, each in its turn.

Threads of one interpreter do not compute side by side. Left alone, eight pages at once change places every few
milliseconds, a page waits for the interpreter again after each of its queries, and all of them come late: what was
measured stands in docs/adr/0012-limits-and-scale.md. So a page keeps its turn until it is made, and a process that is
making one leaves the next connection to the other processes. Nothing waits longer than `PATIENCE` for somebody
else's page, and what may last takes no turn: a file that comes in (only reading takes one), a file that goes out (its
bytes leave after the turn), a connection that asks for nothing yet.
"""

import threading
import time

from gunicorn.workers.gthread import ThreadWorker

PATIENCE = 0.25  # seconds
MOMENT = 0.02  # seconds between a connection and its request, at most; a browser also opens some that ask for nothing


class Turn:
    """Who computes in this process, and since when."""

    def __init__(self):
        self._free = threading.Semaphore()
        self._taken_at: float | None = None
        self._expected_at: float | None = None

    def expect(self) -> None:
        """A connection has come in, that will ask for a page in a moment."""
        self._expected_at = time.monotonic()

    def begin(self) -> None:
        """What was expected has begun, or asks for no page."""
        self._expected_at = None

    def take(self) -> bool:
        """Wait for the turn; False when it did not come within PATIENCE."""
        if not self._free.acquire(timeout=PATIENCE):
            return False
        self._taken_at, self._expected_at = time.monotonic(), None
        return True

    def give_back(self) -> None:
        self._taken_at = None
        self._free.release()

    def is_free(self) -> bool:
        """Whether a page that comes now would be made at once, or waits for one that is longer than we wait for."""
        now, taken_at, expected_at = time.monotonic(), self._taken_at, self._expected_at
        if expected_at is not None and now - expected_at < MOMENT:
            return False
        return taken_at is None or now - taken_at > PATIENCE


turn = Turn()


class Turnstile:
    """Middleware: what is read takes its turn."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.method not in ("GET", "HEAD"):
            turn.begin()
            return self.get_response(request)
        if not turn.take():
            return self.get_response(request)
        try:
            return self.get_response(request)
        finally:
            turn.give_back()


class PageWorker(ThreadWorker):
    """Gunicorn's worker of threads, that takes a connection only while nobody computes a page.

    The loop asks for `worker_connections` each time something happened, the end of a request among others, and once
    a second.
    """

    def accept(self, listener):
        super().accept(listener)
        turn.expect()

    def finish_request(self, conn, fs):
        turn.begin()
        super().finish_request(conn, fs)

    @property
    def worker_connections(self) -> int:
        return self.cfg.worker_connections if turn.is_free() else 0

    @worker_connections.setter
    def worker_connections(self, most: int) -> None:
        """What gunicorn sets from its own settings."""
