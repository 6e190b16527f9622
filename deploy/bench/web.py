"""`make bench WHAT=web`: every page of the house at scale, by eight people at once, and what the night has to do.

The house is the world of tests/actors.py with a crowd around it (deploy/bench/crowd.py: 10,000 datasets, 10,000
applications, 2,000 conventions, 250,000 events in the tree).

`queries_grow_with_rows`: pages that ask the database more questions in the large house than in the small one.
`page_p95_at_8_readers`: eight persons (a visitor and seven roles) read every page they may read, each as soon as the
last one has come (no time to think), from the web server of the demo's process list.
`page_p95_at_8_readers_thinking`: the same with a second between the pages of one person.
`nightly_deadlines`: writing down the ends that time brought to a whole night's rows.
`demo_story`: what the last whole story of `make demo` took.
"""

import http.client
import json
import os
import random
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench import Figures
from deploy.bench.audit import p95
from deploy.bench.crowd import FEW, MANY, SEED, Crowd

ROOT = Path(__file__).resolve().parent.parent.parent
READERS = ("visitor", "representative", "named", "operator", "steward", "dpo", "clerk", "auditor")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))  # times that each reader reads every page of theirs
THOUGHT = 1.0  # seconds between two pages of one person who reads
THINKING = 40  # pages that each of them reads
PORT = int(os.environ.get("TERRAIN_PORT") or "8000")
ENDED = 400  # conventions whose last day was yesterday, and as many accreditations

# What people ask of a list besides its first page.
ASKED = {
    "catalogue": ("?q=glycemie", "?q=sejours+urgences&page=3", "?domain=clinical&page=40"),
    "registry-list": ("?q=glycemie", "?page=20"),
    "convention-list": ("?page=2",),
    "audit-search": ("?question=refus", "?question=lectures"),
    "zone-list": ("?page=2",),
}


def readable_pages(world, actor: str) -> list[tuple[str, str]]:
    """(route, address) of each page that `actor` reads with a plain GET."""
    from tests import matrix

    pages = []
    for line, statuses in sorted(matrix.lines().items()):
        if not line.startswith("POST ") and statuses.get(actor) == 200:
            where = matrix.address(line, world)
            pages += [(line, where + asked) for asked in ("", *ASKED.get(line, ()))]
    return pages


def read(browser, address: str) -> tuple[int, int]:
    """(status, queries) of one read in this process."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    connection.queries_log.clear()  # it keeps 9000 at most, and would count none after them
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(address)
        if answer.streaming:
            b"".join(answer.streaming_content)
    return answer.status_code, len(captured)


def count_queries(figures: Figures, world, counts: dict, label: str) -> None:
    """The queries of every page, for each of its readers, into `counts` under `label`."""
    for actor in READERS:
        browser = world.browser(actor)
        for route, address in readable_pages(world, actor):
            read(browser, address)  # the first one loads templates and content types
            status, queries = read(browser, address)
            if status != 200:
                figures.notes.append(f"{route} answered {status} to {actor}: not measured")
                continue
            counts[(route, address.partition("?")[2], actor)][label] = queries


def read_the_journal(world) -> None:
    """Each reader of the journal asks it once: who read it is a question of that page, and an empty answer names
    nobody, so that it asks less than an answer of one line does."""
    for actor in READERS:
        browser = world.browser(actor)
        for route, address in readable_pages(world, actor):
            if route == "audit-search":
                read(browser, address)


def sequence() -> None:
    """Put the events in the tree, as the sequencer does."""
    from broker import clock
    from broker.audit.sequencer import Sequencer
    from broker.audit.signer import Signing
    from deploy.bench.__main__ import DATABASE, FOLDER
    from deploy.postgres import Cluster

    with psycopg.connect(Cluster(FOLDER).url("terrain_seq", DATABASE), autocommit=True) as link:
        sequencer = Sequencer(link, Signing(FOLDER / "files" / "signer", "terrain.bench/log"))
        sequencer.start(at=clock.now())
        sequencer.catch_up()


def analyse() -> None:
    """What autovacuum does within a minute of such writes."""
    from deploy.bench.__main__ import owner_url

    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE)")


class Reader(threading.Thread):
    """One person: a connection kept open, their own cookie, their pages in an order of their own."""

    def __init__(self, actor: str, cookie: str, pages: list[tuple[str, str]], *, think: float, most: int | None):
        super().__init__(daemon=True)
        shuffled = random.Random(f"{SEED} {actor}")  # noqa: S311
        self.actor, self.cookie, self.think = actor, cookie, think
        self.turns = [page for _round in range(ROUNDS) for page in shuffled.sample(pages, len(pages))][:most]
        self.took: list[tuple[str, float]] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        headers = {"Cookie": self.cookie, "Accept-Language": "fr", "Accept-Encoding": "identity"}
        for route, address in self.turns:
            begun = time.perf_counter()
            link.request("GET", address, headers=headers)
            answer = link.getresponse()
            answer.read()
            self.took.append((route, (time.perf_counter() - begun) * 1000))
            if answer.status != 200:
                self.wrong.append(f"{address} answered {answer.status} to {self.actor}")
            time.sleep(self.think)


def served(cluster_folder: Path) -> tuple[subprocess.Popen, list[str]]:
    """The web server of the demo's process list, on the bench's database."""
    from deploy.demo.start import Demo, processes
    from deploy.postgres import Cluster

    demo = Demo(var=cluster_folder / "files", port=PORT)
    command, _environment = processes(demo, Cluster(cluster_folder))["web"]
    process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ))
    limit = time.monotonic() + 60
    while True:
        try:
            link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            link.request("GET", "/sante/")
            if link.getresponse().status == 200:
                return process, command
        except OSError:
            pass
        if time.monotonic() > limit or process.poll() is not None:
            process.terminate()
            raise RuntimeError("the web server does not answer")
        time.sleep(0.2)


def readers(world, *, think: float = 0, most: int | None = None) -> list[Reader]:
    made = []
    for actor in READERS:
        cookie = "; ".join(f"{name}={one.value}" for name, one in world.browser(actor).cookies.items())
        made.append(Reader(actor, cookie, readable_pages(world, actor), think=think, most=most))
    return made


def at_once(people: list[Reader]) -> tuple[list[tuple[str, float]], float, list[str]]:
    """Every (route, milliseconds) of people who read side by side, the seconds it took, what went wrong."""
    begun = time.perf_counter()
    for one in people:
        one.start()
    for one in people:
        one.join()
    took = [line for one in people for line in one.took]
    return took, time.perf_counter() - begun, [line for one in people for line in one.wrong]


def measure_readers(figures: Figures, world) -> None:
    from deploy.bench.__main__ import FOLDER

    process, command = served(FOLDER)
    try:
        at_once(readers(world, most=20))  # templates are read, connections opened
        took, seconds, wrong = at_once(readers(world))
        thinking, _seconds, more = at_once(readers(world, think=THOUGHT, most=THINKING))
    finally:
        process.terminate()
        process.wait()
    figures.notes += sorted(set(wrong + more))[:10]
    figures.add("page_p95_at_8_readers", p95([ms for _route, ms in took]), "ms")
    figures.add("page_median_at_8_readers", statistics.median([ms for _route, ms in took]), "ms")
    figures.add("pages_per_second", len(took) / seconds, "pages/s")
    figures.add("page_p95_at_8_readers_thinking", p95([ms for _route, ms in thinking]), "ms")
    by_route: dict[str, list[float]] = defaultdict(list)
    for route, ms in took:
        by_route[route].append(ms)
    slowest = sorted(by_route.items(), key=lambda page: -statistics.median(page[1]))[:8]
    figures.notes += [f"slow: {route} median {statistics.median(ms):.0f} ms" for route, ms in slowest]
    figures.settings |= {
        "readers": "8 persons (" + ", ".join(READERS) + "), each asks for the next page as soon as one has come; "
        "readers, web server and PostgreSQL share the machine",
        "reads": len(took), "think_seconds_of_the_second_figure": THOUGHT,
        "web_server": " ".join(command[command.index("-m") :]),
    }  # fmt: skip


def measure_night(figures: Figures, crowd: Crowd) -> None:
    """Conventions and accreditations that ended yesterday, written down by the very job; called until nothing is
    left, since one run of it is short on purpose."""
    from django.db.backends.postgresql.psycopg_any import DateRange

    from broker import clock
    from consent.models import Accreditation, Convention, RegistryEntry
    from consent.tasks import end_what_has_ended

    today = clock.today()
    ids = [one.pk for one in crowd.conventions[-ENDED:]]
    Convention.objects.filter(pk__in=ids).update(ends_on=today - timedelta(days=1), starts_on=today - timedelta(days=9))
    entries = RegistryEntry.objects.filter(status="accredited").order_by("-pk").values_list("pk", flat=True)[:ENDED]
    ended = list(entries)
    Accreditation.objects.filter(entry__in=ended).update(period=DateRange(today - timedelta(days=9), today))
    begun, runs = time.perf_counter(), 0
    left = (
        Convention.objects.filter(pk__in=ids, status="active"),
        RegistryEntry.objects.filter(pk__in=ended, status="accredited"),
    )
    while any(rows.exists() for rows in left):
        end_what_has_ended(0)
        runs += 1
        if runs > 20:
            raise RuntimeError("the night's job does not come to an end")
    figures.add("nightly_deadlines", time.perf_counter() - begun, "s")
    figures.settings["nightly"] = f"{ENDED} conventions and {len(ended)} accreditations that ended, in {runs} runs"


def measure() -> Figures:
    from django.conf import settings
    from django.test.utils import setup_test_environment

    from tests.actors import world as make_world

    setup_test_environment()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # of made-up persons: not measured
    figures, world = Figures(), make_world()
    crowd = Crowd(world)
    counts: dict[tuple[str, str, str], dict[str, Any]] = defaultdict(dict)
    read_the_journal(world)
    sequence()  # a log of one checkpoint shows no comparison with the one before: its page asks less
    for label, size in (("few", FEW), ("many", MANY)):
        begun = time.perf_counter()
        crowd.grow(size)
        sequence()
        analyse()
        figures.notes.append(f"{label}: rows made in {time.perf_counter() - begun:.0f} s")
        count_queries(figures, world, counts, label)
    growing = {page: by for page, by in counts.items() if by.get("many", 0) > by.get("few", 0)}
    figures.add("queries_grow_with_rows", len(growing), "pages")
    figures.add("pages_measured", len(counts), "pages")
    figures.add("queries_most", max(by["many"] for by in counts.values() if "many" in by), "queries")
    figures.notes += [f"grows: {' '.join(page)} {by['few']} -> {by['many']} queries" for page, by in growing.items()]
    most = sorted(counts.items(), key=lambda page: -page[1].get("many", 0))[:5]
    figures.notes += [f"asks much: {' '.join(page)} {by['many']} queries" for page, by in most]
    measure_readers(figures, world)
    measure_night(figures, crowd)
    summary = ROOT / "var" / "demo" / "summary.json"
    if summary.exists() and (told := json.loads(summary.read_text())).get("complete"):
        figures.add("demo_story", told["seconds_total"], "s")
    figures.settings |= {
        "rows": {name: getattr(MANY, name) for name in MANY.__dataclass_fields__},
        "rows_of_the_small_house": {name: getattr(FEW, name) for name in FEW.__dataclass_fields__},
        "seed": SEED,
    }
    return figures
