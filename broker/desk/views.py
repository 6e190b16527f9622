"""The public home, what an inhabitant asks, and the desk of each person."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from broker.audit import state
from broker.desk import figures, roles, specimens
from broker.desk import health as log
from broker.releases.permissions import reads_reconciliation


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
            "map": figures.map_of_zones(),
            "log": state.checkpoint(),
        },
    )


@login_not_required
@require_safe
def about_me(request):
    return render(request, "desk/about_me.html", {"uses": figures.uses(), "zones": figures.zones_of_persons()})


@require_safe
def desk(request):
    """Whoever signs in arrives here: what waits, then the rooms of their roles."""
    rooms = roles.rooms_of(request.user)
    shown = {
        reverse("registry-review", args=[file.entry.pk]) for file in rooms.get("queue", ())
    }  # in the clerk's table
    tasks = [task for task in roles.waiting_for(request.user) if task.link not in shown]
    return render(
        request,
        "desk/desk.html",
        {
            "mine": roles.lines([task for task in tasks if task.is_mine]),
            "awaited": roles.lines([task for task in tasks if not task.is_mine]),
            **rooms,
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


@never_cache
@require_safe
def log_health(request):
    """How the log is, in plain words: what is wrong, and what to do about it."""
    log.require_reading(request.user)
    context = {"report": log.look(), "reads_differences": reads_reconciliation(request.user)}
    return render(request, "desk/log_health.html", context)


@never_cache
@require_safe
def log_health_json(request):
    """The same for a monitoring program: 503 when something is grave."""
    log.require_reading(request.user)
    report = log.look()
    return JsonResponse(log.as_json(report), status=503 if report.is_grave else 200)
