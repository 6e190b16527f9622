"""Who may open the rooms of the desk. Outside the demonstration the page of pieces does not exist."""

from tests.actors import ACTORS
from tests.matrix import only

EVERYBODY = dict.fromkeys(ACTORS, 200)
NOBODY = dict.fromkeys(ACTORS, 404)

ROUTES = {
    "home": EVERYBODY,
    "about-me": EVERYBODY,
    "health": EVERYBODY,
    "desk": {**EVERYBODY, "visitor": 302},
    # No entry is shown: whoever reads a part of the log, and the agency. The world of the matrix has no sequencer.
    "log-health": only(403, operator=200, dpo=200, auditor=200, clerk=200),
    "log-health-json": only(403, operator=503, dpo=503, auditor=503, clerk=503),
    "components": NOBODY,
    "set_language": dict.fromkeys(ACTORS, 302),
}
