"""Who may open the rooms of the desk. Outside the demonstration the page of pieces does not exist."""

from tests.actors import ACTORS

EVERYBODY = dict.fromkeys(ACTORS, 200)
NOBODY = dict.fromkeys(ACTORS, 404)

ROUTES = {
    "home": EVERYBODY,
    "about-me": EVERYBODY,
    "health": EVERYBODY,
    "desk": {**EVERYBODY, "visitor": 302},
    "components": NOBODY,
    "set_language": dict.fromkeys(ACTORS, 302),
}
