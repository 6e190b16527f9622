"""The public home, what an inhabitant asks, and the desk of each person."""

from django.contrib.auth.decorators import login_not_required
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broker.desk import figures


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
    return render(request, "desk/desk.html")
