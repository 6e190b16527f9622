"""Whatever the address, what is not one's own does not exist: every route that names an object, asked by strangers.

A second house (a hospital being prepared, its draft dataset and draft offer, its start-up's files) is opened by every
actor of the first. A new route is swept without anybody having to think of it.
"""

import pytest
from django.db import transaction
from django.urls import reverse

from tests import factories, matrix
from tests.actors import ACTORS, World, world

# The auditor reads every organisation's files: that is what auditors are for. The clerk decides on every entry.
STRANGERS = tuple(actor for actor in ACTORS if actor != "auditor")
MEANT_FOR_THEM = {("registry-review", "clerk")}
# Public on purpose, for whoever has the address.
PUBLIC = {
    "log-checkpoint-of", "log-consistency-proof", "log-note", "log-proof", "log-tile", "log-token", "convention-notice",
    "audit-export",  # its address names a form of file, no object: each takes away their own part (test_log_exports)
}  # fmt: skip
# What a page answers to a stranger: not there, not yours, not that way. A visitor is sent to sign in.
REFUSED = {403, 404, 405}


def private(of: World) -> World:
    """The objects of a house nobody else may know of yet: drafts, and the files of its start-up."""
    zone = factories.zone(operator=of.objects["zone"].operator, status="draft")
    dataset = factories.dataset(zone, status="draft")
    of.objects |= {
        "zone": zone, "service": factories.service(zone), "dataset": dataset, "version": dataset.versions.get(),
        "offer": factories.offer(dataset, status="draft", published_at=None, notice_published_at=None),
    }  # fmt: skip
    return of


def named() -> list[str]:
    """The routes whose address names an object."""
    return sorted(route for route, path in matrix.named_routes().items() if "<" in path and route not in PUBLIC)


@pytest.fixture(scope="module")
def two_houses(django_db_setup, django_db_blocker):
    """(the other house, browsers of the first one's people); all of it is rolled back at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        here = world()
        browsers = {actor: here.browser(actor) for actor in STRANGERS}
        for browser in browsers.values():
            browser.raise_request_exception = False
        yield private(world()), browsers
        transaction.set_rollback(True)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("route", named())
def test_a_stranger_finds_nothing_behind_an_address(route, method, two_houses):
    other, browsers = two_houses
    where = matrix.address(route, other)
    told = {}

    for actor, browser in browsers.items():
        with transaction.atomic():
            answer = getattr(browser, method)(where, {"sent": "1"})
            told[actor] = (answer.status_code, answer.headers.get("Location", ""))
            transaction.set_rollback(True)

    wrong = {
        actor: (status, to)
        for actor, (status, to) in told.items()
        if status not in REFUSED
        and not (status == 302 and actor == "visitor" and to.startswith(reverse("account_login")))
        and (route, actor) not in MEANT_FOR_THEM
    }
    assert wrong == {}


@pytest.mark.parametrize("number", ["0", "999999999", "9" * 30])
@pytest.mark.parametrize("route", [r for r in named() if "int:" in matrix.named_routes()[r]])
def test_a_number_that_names_nothing_is_not_a_fault_of_ours(route, number, two_houses):
    _other, browsers = two_houses
    path = "/" + matrix.named_routes()[route]
    for part in path.split("/"):
        if part.startswith("<int:"):
            path = path.replace(part, number)
        elif part.startswith("<"):
            path = path.replace(part, "nulle-part")

    with transaction.atomic():
        answer = browsers["operator"].get(path)
        transaction.set_rollback(True)

    assert answer.status_code in REFUSED
