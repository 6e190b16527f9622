"""The pages of suspensions, ends and files of the registry hold at phone and desktop width, without a barrier."""

from datetime import timedelta

from django.urls import reverse

from broker import clock
from broker.accounts.grants import give
from broker.audit.actor import SYSTEM
from broker.epoch.models import KillSwitch
from consent.transitions import convention as conventions
from tests import factories
from tests.functional.conftest import fits


def hold(page, axe, paths):
    for path in paths:
        for width, scheme in ((390, "dark"), (1280, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.goto(path)
            axe(page)
            assert fits(page), (path, width)


def test_the_pages_of_a_suspended_convention_have_no_barrier(visit, sign_in, axe):
    convention = factories.convention()
    officer = factories.user("Marc Olivier", organisation=convention.zone.operator)
    give(officer, "zones.operate", convention.zone, by=SYSTEM)
    conventions.suspend(convention, by=officer, reason="comptage en double")
    KillSwitch.objects.create(kind="convention", ref=str(convention.pk), reason="doute", set_by=officer)
    page = sign_in(visit(), officer)

    routes = ("convention-detail", "convention-resume", "convention-terminate", "convention-verify")
    hold(page, axe, [reverse(route, args=[convention.ref]) for route in routes])
    hold(page, axe, [reverse("switch-list"), reverse("switch-create")])


def test_the_files_of_the_registry_have_no_barrier(visit, sign_in, axe):
    today = clock.today()
    waiting = factories.registry_entry(
        status="under_review", submitted_at=clock.now() - timedelta(days=3), due_on=today - timedelta(days=1)
    )
    accused = factories.registry_entry()
    factories.adversarial_step(accused)
    clerk = factories.user("Sophie Martin", organisation=factories.organisation("agency"), role="registry_officer")
    page = sign_in(visit(), clerk)

    files = [reverse("registry-review", args=[entry.pk]) for entry in (waiting, accused)]
    hold(page, axe, [reverse("registry-queue"), *files, reverse("registry-list")])
