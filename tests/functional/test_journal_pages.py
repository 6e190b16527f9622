"""The desk's pages on the log have no barrier, at phone and desktop width, light and dark, with figures on them."""

import pytest
from django.urls import reverse

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
    write(3, "zone.amend", zone=convention.zone.reference)
    with sequencing(fresh_database, tmp_path) as sequencer:
        sequencer.catch_up()
        yield convention


def test_the_pages_on_the_log_have_no_barrier(log, visit, sign_in, axe):
    auditor = factories.user("Anne Leroy", organisation=factories.organisation("audit"), role="auditor")
    kept = SavedSearch.objects.create(owner=auditor, name="Les refus de l’hôpital", asked={"question": "refus"})
    page = sign_in(visit(), auditor)
    of_one = [reverse(name, args=[kept.pk]) for name in ("audit-search-rename", "audit-search-remove")]

    for path in (*map(reverse, PAGES), reverse("audit-search") + "?question=refus", *of_one):
        page.goto(path)
        page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        for width, scheme in LOOKS:
            across, down = WIDTHS[width]
            page.set_viewport_size({"width": across, "height": down})
            page.emulate_media(color_scheme=scheme)
            axe(page)
            assert fits(page), (path, width)
