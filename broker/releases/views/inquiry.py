"""Two searches for the operator: where a person's data went, which convention leaked lines come from."""

from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET

from broker.accounts import grants
from broker.errors import NotAllowed
from broker.releases import inquiries
from broker.releases.forms import LeakForm, TraceForm
from broker.releases.models import Inquiry, Release
from broker.releases.tables import columns_of
from consent.models import Convention, OfferColumn
from zones.models import Zone


def _zone(request, slug, *, may) -> Zone:
    zone = get_object_or_404(Zone.objects.for_user(request.user).select_related("operator"), slug=slug)
    if not may(request.user, zone):
        raise NotAllowed(_("Cette recherche revient à l'opérateur de %s, à son DPO ou à un auditeur.") % zone)
    return zone


@never_cache
@sensitive_post_parameters("local_id")
def trace_create(request, slug):
    zone = _zone(request, slug, may=inquiries.may_trace)
    form = TraceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        asked = inquiries.trace(zone, by=request.user, local_id=form.cleaned_data["local_id"])
        return redirect("inquiry-detail", pk=asked.pk)
    context = {"zone": zone, "form": form, "asked": _asked(request, zone, Inquiry.Kind.SUBJECT)}
    return render(request, "releases/trace_create.html", context, status=422 if request.method == "POST" else 200)


@never_cache
@sensitive_post_parameters("lines")
def leak_create(request, slug):
    zone = _zone(request, slug, may=inquiries.may_look_for_leaks)
    form = LeakForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        asked = inquiries.look_for_leak(zone, by=request.user, text=form.text())
        return redirect("inquiry-detail", pk=asked.pk)
    context = {"zone": zone, "form": form, "asked": _asked(request, zone, Inquiry.Kind.LEAK)}
    return render(request, "releases/leak_create.html", context, status=422 if request.method == "POST" else 200)


def _asked(request, zone, kind):
    return inquiries.visible(request.user).filter(zone=zone, kind=kind)[:5]


@never_cache
@require_GET
def detail(request, pk):
    """What was found; it asks for itself again until the worker has answered."""
    inquiry = get_object_or_404(inquiries.visible(request.user).select_related("zone"), pk=pk)
    template = "releases/_inquiry.html" if request.headers.get("HX-Request") else "releases/inquiry_detail.html"
    context = {"inquiry": inquiry, "waiting": inquiry.status == "waiting", **_found(inquiry)}
    reads_log = any(grants.may(request.user, f"zones.{role}", inquiry.zone) for role in ("operate", "advise"))
    return render(request, template, {**context, "reads_log": reads_log})


def _found(inquiry: Inquiry) -> dict:
    if inquiry.kind == Inquiry.Kind.SUBJECT:
        return {"releases": _releases(inquiry.found.get("releases", []))}
    origins = inquiry.found.get("origins", [])
    conventions = Convention.objects.select_related("organisation").in_bulk(
        [one["convention"] for one in origins] + inquiry.found.get("destroyed", [])
    )
    releases = {str(one.pk): one for one in _releases([pk for one in origins for pk in one["releases"]])}
    return {
        "origins": [
            {
                **one,
                "convention": conventions[one["convention"]],
                "releases": [releases[pk] for pk in one["releases"] if pk in releases],
            }
            for one in origins
            if one["convention"] in conventions
        ],
        "destroyed": [conventions[pk] for pk in inquiry.found.get("destroyed", []) if pk in conventions],
    }


def _releases(numbers: list[str]) -> list[Release]:
    """With the columns in words, as a person reads them: the same names as the public notice."""
    found = list(
        Release.objects.filter(pk__in=numbers)
        .select_related("convention__organisation", "dataset_version__dataset")
        .order_by("built_at")
    )
    named: dict[int, dict[str, str]] = {}
    for line in OfferColumn.objects.filter(offer__in={one.convention.offer_id for one in found}).select_related(
        "column"
    ):
        named.setdefault(line.offer_id, {})[line.column.path] = line.column.description or line.column.path
    for one in found:
        said = named.get(one.convention.offer_id, {})
        one.in_words = [
            said.get(path, path)
            for path, c in columns_of(one.recipe).items()
            if c["treatment"]["kind"] not in ("drop", "pseudonym", "rekey")
        ]
    return found
