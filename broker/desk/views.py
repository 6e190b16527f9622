"""The public home, what an inhabitant asks, and the desk of each person."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broker.desk import figures, roles, specimens


@login_not_required
@require_safe
def home(request):
    to_accreditation, to_release = figures.time_to_access()
    return render(
        request,
        "desk/home.html",
        {
            "to_accreditation": to_accreditation,
            "to_release": to_release,
            "counts": figures.counts(),
            "zones": figures.open_zones(),
        },
    )


@login_not_required
@require_safe
def about_me(request):
    return render(request, "desk/about_me.html", {"uses": figures.uses(), "zones": figures.open_zones(50)})


@require_safe
def desk(request):
    """Whoever signs in arrives here: what waits, then the rooms of their roles."""
    tasks = roles.waiting_for(request.user)
    return render(
        request,
        "desk/desk.html",
        {
            "mine": [task for task in tasks if task.is_mine],
            "awaited": [task for task in tasks if not task.is_mine],
            **roles.rooms_of(request.user),
        },
    )


@login_not_required
@require_safe
def health(request):
    """For load balancers and the demo's start: the database answers. Any fault is a 500, which says the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def components(request):
    """Every piece of the interface on one page, in the demonstration only."""
    if not settings.DEMO:
        raise Http404
    return render(request, "desk/components.html", specimens.everything())
