"""The pages of an objection and of what follows it have no barrier, at phone and desktop width, light and dark."""

import pytest
from django.urls import reverse

from tests import actors
from tests.functional.conftest import fits


@pytest.mark.parametrize(("width", "scheme"), [("phone", "light"), ("desktop", "dark")])
def test_the_pages_after_an_objection_have_no_barrier(visit, sign_in, axe, width, scheme):
    world = actors.world()
    zone, release = world.objects["zone"], world.objects["release"]
    public = [reverse("objection-create", args=[zone.slug]), "/et-moi/"]
    staff = [
        reverse("objection-list", args=[zone.slug]), reverse("opposition-undo", args=[zone.slug]),
        reverse("trace-create", args=[zone.slug]), reverse("leak-create", args=[zone.slug]),
        reverse("inquiry-detail", args=[world.objects["inquiry"].pk]), reverse("withdrawal-list"),
        reverse("withdrawal-detail", args=[world.objects["withdrawal"].pk]),
        reverse("release-detail", args=[release.pk]),
    ]  # fmt: skip

    visitor = visit(width=width, scheme=scheme)
    for path in public:
        visitor.goto(path)
        axe(visitor)
        assert fits(visitor), path

    operator = sign_in(visit(width=width, scheme=scheme), world.users["operator"])
    for path in staff:
        operator.goto(path)
        axe(operator)
        assert fits(operator), path
