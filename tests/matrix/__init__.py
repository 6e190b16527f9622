"""The permission matrix: route x actor -> status, one module an app, each with a table `ROUTES`.

    ROUTES = {
        "zone-list": everybody(200),
        "zone-people": only(404, operator=200, visitor=302),   # a GET
        "POST zone-open": only(403, operator=302, visitor=302),
    }

A key is a route's name, for a GET, or "POST " and the name, for a POST without any field of the form: a form's route
answers 422 to whoever may act, 403 or 404 to the others. A route that only takes POST has its POST line alone. The
address is filled from the world of tests/actors.py: what stands before the parameter says which object it names
(`PLACES`).
"""

import importlib
import pkgutil
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.actors import ACTORS, World

# allauth's own pages about one's own account: tested in test_becoming_somebody, no object of the house behind them.
ALLAUTH = frozenset(
    {
        "account_change_password", "account_complete_password_reset", "account_confirm_login_code",
        "account_confirm_password_reset_code", "account_email_verification_sent", "account_inactive",
        "account_login", "account_logout", "account_password_reset_completed", "account_reauthenticate",
        "account_reset_password", "account_set_password", "account_signup", "mfa_authenticate", "mfa_deactivate_totp",
        "mfa_download_recovery_codes", "mfa_generate_recovery_codes", "mfa_index", "mfa_reauthenticate",
        "mfa_view_recovery_codes",
    }
)  # fmt: skip

# The path's part before a parameter (or the parameter's own name) -> the object of the world and its attribute.
PLACES = {
    "zones": ("zone", "slug"),
    "jeux": ("dataset", "slug"),
    "versions": ("version", "number"),
    "services": ("service", "pk"),
    "offres": ("offer", "pk"),
    "demandes": ("registry_entry", "pk"),
    "candidatures": ("application", "pk"),
    "conventions": ("convention", "ref"),
    "licences": ("licence", "ref"),
    "notices": ("convention", "ref"),
    "remises": ("release", "pk"),
    "environnements": ("environment", "pk"),
    "invitations": ("invitation", "pk"),
    "identifiants": ("credential", "pk"),
    "ordres-de-retrait": ("withdrawal", "pk"),
    "enquetes": ("inquiry", "pk"),
    "cles": ("signing_key", "pk"),
    "apercus": ("preview", "pk"),
    "coupe-circuits": ("switch", "pk"),
    "imports": ("consent_import", "pk"),
    "preuve": ("leaf", "index"),
    "recepisses": ("leaf", "index"),
    "journal": ("leaf", "index"),
    "recherches": ("saved_search", "pk"),
    "export": ("leaf", "form"),
    "tile": ("leaf", "index"),
    "releves": ("leaf", "index"),
    "coherence": ("leaf", "index"),
}


def everybody(status: int) -> dict[str, int]:
    """The same for all, visitors too."""
    return dict.fromkeys(ACTORS, status)


def signed_in(status: int, *, visitor: int = 302) -> dict[str, int]:
    """The same for all who signed in; a visitor is sent to sign in."""
    return {**everybody(status), "visitor": visitor}


def only(others: int, *, visitor: int = 302, **statuses: int) -> dict[str, int]:
    """`others` for those not named; a visitor is sent to sign in unless told."""
    assert statuses.keys() <= set(ACTORS), f"unknown actors: {statuses.keys() - set(ACTORS)}"
    return {**everybody(others), "visitor": visitor, **statuses}


def lines() -> dict[str, dict[str, int]]:
    """Every line of every app. Raises ValueError when two apps write the same line."""
    found: dict[str, dict[str, int]] = {}
    for module in pkgutil.iter_modules(__path__):
        table = importlib.import_module(f"{__name__}.{module.name}").ROUTES
        if twice := found.keys() & table.keys():
            raise ValueError(f"tests/matrix/{module.name}.py repeats {', '.join(sorted(twice))}")
        found |= table
    return found


def name_of(line: str) -> str:
    return line.removeprefix("POST ")


def named_routes() -> dict[str, str]:
    """The house's routes by name, each with its path; a route without a name is listed under its path."""
    return {name or path: path for name, path in _walk(get_resolver()) if name not in ALLAUTH}


def _walk(resolver: URLResolver, before: str = "") -> Iterator[tuple[str | None, str]]:
    for entry in resolver.url_patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield entry.name, path
        else:
            yield from _walk(entry, path)


def address(route: str, world: World) -> str:
    """The address of `route`, its parameters filled with the world's objects."""
    path = named_routes()[route]
    facts, before = {}, ""
    for part in path.split("/"):
        if part.startswith("<"):
            parameter = part.strip("<>").split(":")[-1]
            place = PLACES.get(before) or PLACES.get(parameter)
            if place is None:
                raise LookupError(f"{path}: say in tests.matrix.PLACES what stands after {before!r}")
            name, attribute = place
            facts[parameter] = getattr(world.objects[name], attribute)
        elif part:
            before = part
    return reverse(route, kwargs=facts)
