"""The desk's pages on the log have no barrier, at phone and desktop width, light and dark, with figures on them."""

from datetime import timedelta

import pytest
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit import search
from broker.audit.actor import SYSTEM
from broker.desk.journal import keeping
from broker.desk.models import SavedSearch
from tests import factories
from tests.functional.conftest import WIDTHS, fits
from tests.logs import sequencing, write

PAGES = ["audit-month", "audit-searches", "log-health", "reconciliation"]
LOOKS = [("phone", "dark"), ("desktop", "light"), ("phone", "light"), ("desktop", "dark")]


@pytest.fixture
def log(site, fresh_database, tmp_path):
    """A log of a day: accesses of one convention, refusals, a failure."""
    convention = factories.convention()
    under = {
        "zone": convention.zone.reference, "org": convention.organisation.reference, "conv": convention.reference,
        "obj": ("convention", convention.ref),
    }  # fmt: skip
    write(12, "data.download", **under)
    write(5, "gate.decide", out="deny", reason=("G11",), **under)
    write(2, "data.build", out="error", **under)
    write(3, "zone.amend", zone=convention.zone.reference, detail={"motif": "adresse corrigée"})
    with sequencing(fresh_database, tmp_path) as sequencer:
        sequencer.catch_up()
        yield convention


def look(page, axe, paths):
    for path in paths:
        page.goto(path)
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        for width, scheme in LOOKS:
            across, down = WIDTHS[width]
            page.set_viewport_size({"width": across, "height": down})
            page.emulate_media(color_scheme=scheme)
            axe(page)
            assert fits(page), (path, width)


def test_the_pages_on_the_log_have_no_barrier(log, visit, sign_in, axe):
    auditor = factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")
    kept = SavedSearch.objects.create(owner=auditor, name="Les refus de l’hôpital", asked={"question": "refus"})
    of_one = [reverse(name, args=[kept.pk]) for name in ("audit-search-rename", "audit-search-remove")]

    look(sign_in(visit(), auditor), axe, [*map(reverse, PAGES), reverse("audit-search") + "?question=refus", *of_one])


def test_the_page_of_what_is_kept_has_no_barrier(log, visit, sign_in, axe):
    delegate, officer = (factories.user(name, organisation=log.zone.operator) for name in ("Nadia", "Hugo"))
    for person, role in ((delegate, "advise"), (officer, "operate")):
        grants.give(person, f"zones.{role}", log.zone, by=SYSTEM)
    entry = next(one for one in map(search.at, range(1, 30)) if search.detail_of(one))
    keeping.erase(entry, "detail", by=officer, reason="La personne le demande.")
    keeping.hold(entry, by=delegate, until=clock.today() + timedelta(days=90), reason="Un litige est en cours.")

    look(sign_in(visit(), delegate), axe, [reverse("audit-keeping", args=[entry.leaf_index])])
