"""Every route x every actor: a new page fails here until somebody has written who may open it."""

import pytest
from django.db import transaction

from tests import matrix
from tests.actors import ACTORS, world

LINES = matrix.lines()


@pytest.fixture(scope="module")
def inhabited(django_db_setup, django_db_blocker):
    """The world and each actor's browser, made once; all of it is rolled back at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        made = world()
        browsers = {actor: made.browser(actor) for actor in ACTORS}
        for browser in browsers.values():
            browser.raise_request_exception = False
        yield made, browsers
        transaction.set_rollback(True)


def answers(line: str, inhabited) -> dict[str, int]:
    """The status that each actor gets; whatever an actor changed is undone before the next one asks."""
    made, browsers = inhabited
    where = matrix.address(matrix.name_of(line), made)
    statuses = {}
    for actor, browser in browsers.items():
        with transaction.atomic():
            # A browser always sends something: the CSRF token, at least.
            answer = browser.post(where, {"sent": "1"}) if line.startswith("POST ") else browser.get(where)
            statuses[actor] = answer.status_code
            transaction.set_rollback(True)
    return statuses


def test_every_route_has_a_line_and_every_line_a_route():
    routes = matrix.named_routes()
    written = {matrix.name_of(line) for line in LINES}

    assert sorted(routes.keys() - written) == [], "routes without a line in tests/matrix/<app>.py"
    assert sorted(written - routes.keys()) == [], "lines without a route"


@pytest.mark.parametrize("line", sorted(LINES))
def test_each_actor_gets_what_the_matrix_says(line, inhabited):
    assert answers(line, inhabited) == LINES[line]
