"""Pages: server time of each page of the permission matrix, and whether its queries grow with the rows it could list.

Each page is asked for in this process by the first actor who may read it, on 25 then on 250 objects of every kind
that the actors see. `demo_story` is what the last whole story of `make demo` took.
"""

import json
import statistics
import time
from pathlib import Path

from deploy.bench import Figures

ROOT = Path(__file__).resolve().parent.parent.parent
FEW, MANY = 25, 250
TIMES = 3  # reads of each page; the first one, which loads templates, is not counted


def populate(world, until: int, already: int) -> None:
    """Siblings of the world's objects, so that every list that its actors open has at least `until` rows."""
    from django.db import transaction

    from broker.accounts import grants
    from broker.audit.actions import record
    from broker.audit.actor import SYSTEM
    from tests import factories

    zone, startup = world.objects["zone"], world.objects["startup"]
    for _number in range(already, until):
        another = factories.zone(operator=zone.operator)
        grants.give(world.users["operator"], "zones.operate", another, by=SYSTEM)
        service = factories.service(zone)
        dataset = factories.dataset(zone, in_service=service)
        offer = factories.offer(dataset)
        factories.convention(offer, organisation_=startup, named=world.users["named"])
        factories.registry_entry()
        factories.environment(startup)
        factories.user(organisation=startup)
        with transaction.atomic():
            record("log.proof", by=SYSTEM, obj=zone, zone=zone.reference)


def readable_pages(world) -> list[tuple[str, str, str]]:
    """(route, actor, address) of each page that somebody reads with a plain GET."""
    from tests import matrix

    pages = []
    for line, statuses in sorted(matrix.lines().items()):
        actor = next((a for a, status in statuses.items() if status == 200 and a != "visitor"), None)
        actor = actor or next((a for a, status in statuses.items() if status == 200), None)
        if actor and not line.startswith("POST "):
            pages.append((line, actor, matrix.address(line, world)))
    return pages


def read(browser, address: str) -> tuple[int, int, float]:
    """(status, queries, milliseconds) of one read."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    connection.queries_log.clear()  # it keeps 9000 at most, and would count none after them
    with CaptureQueriesContext(connection) as captured:
        begun = time.perf_counter()
        answer = browser.get(address)
        if answer.streaming:
            b"".join(answer.streaming_content)
        took = (time.perf_counter() - begun) * 1000
    return answer.status_code, len(captured), took


def measure() -> Figures:
    from django.conf import settings
    from django.test.utils import setup_test_environment

    from tests.actors import ACTORS
    from tests.actors import world as make_world

    setup_test_environment()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # of made-up persons: not measured
    figures, world = Figures(), make_world()
    browsers = {actor: world.browser(actor) for actor in ACTORS}
    counts: dict[str, dict[int, int]] = {}
    times: dict[str, list[float]] = {}
    already = 1
    for rows in (FEW, MANY):
        populate(world, rows, already)
        already = rows
        for route, actor, address in readable_pages(world):
            status, _, _ = read(browsers[actor], address)
            if status != 200:
                figures.notes.append(f"{route} answered {status}: not measured")
                continue
            again = [read(browsers[actor], address) for _ in range(TIMES)]
            counts.setdefault(route, {})[rows] = again[-1][1]
            if rows == MANY:
                times[route] = [took for _, _, took in again]
    growing = {route: by for route, by in counts.items() if by.get(MANY, 0) > by.get(FEW, 0)}
    medians = {route: statistics.median(took) for route, took in times.items()}
    figures.add("queries_grow_with_rows", len(growing), "pages")
    figures.add("pages_measured", len(medians), "pages")
    figures.add("page_median", statistics.median(medians.values()), "ms")
    figures.add("page_p95", statistics.quantiles(medians.values(), n=20)[-1], "ms")
    figures.add("page_slowest", max(medians.values()), "ms")
    figures.add("queries_most", max(by[MANY] for by in counts.values() if MANY in by), "queries")
    figures.notes += [f"grows: {route} {by[FEW]} -> {by[MANY]} queries" for route, by in growing.items()]
    slowest = sorted(medians.items(), key=lambda page: -page[1])[:5]
    figures.notes += [f"slow: {route} {took:.0f} ms, {counts[route][MANY]} queries" for route, took in slowest]
    summary = ROOT / "var" / "demo" / "summary.json"
    if summary.exists() and (told := json.loads(summary.read_text())).get("complete"):
        figures.add("demo_story", told["seconds_total"], "s")
    figures.settings |= {"rows": [FEW, MANY], "reads": TIMES, "readers": 1}
    return figures
