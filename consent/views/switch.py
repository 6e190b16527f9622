"""Kill switches: those that are on, cutting one more, lifting one in two."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from consent import permissions
from consent.forms import DecisionForm, SwitchForm
from consent.transitions import switch as switches

PAGE = 25


def list_(request):
    """The switches that are on and that this person may know of."""
    offered = switches.offered_to(request.user)
    page = Paginator(switches.seen_by(request.user), PAGE).get_page(request.GET.get("page"))
    targets, opened = switches.targets_of(page), switches.first_agreements(page)
    liftable = switches.liftable_by(request.user, targets)
    lines = [
        {"row": row, "name": targets[row.pk].name, "kind": switches.KINDS.get(row.kind, ""),
         "first": opened.get(row.pk), "may_lift": row.pk in liftable}
        for row in page
    ]  # fmt: skip
    if not lines and not offered and not switches.may_read(request.user):
        raise Http404
    return render(request, "consent/switch_list.html", {"page": page, "lines": lines, "may_cut": bool(offered)})


def create(request):
    """Cut now: what, why. One person is enough."""
    offered = switches.offered_to(request.user)
    if not offered:
        raise Http404
    form = SwitchForm(request.POST or None, offered=offered, initial={"what": request.GET.get("quoi", "")})
    if form.is_valid():
        kind, ref = form.cleaned_data["what"].split(":")
        switches.cut(kind, ref, by=request.user, reason=form.cleaned_data["reason"])
        messages.success(request, _("Accès coupé. Les téléchargements en cours s'arrêtent sous dix secondes."))
        return redirect("switch-list")
    return render(request, "consent/switch_create.html", {"form": form}, status=422 if form.is_bound else 200)


def lift(request, pk):
    """Agree to give access back; the second person's agreement does."""
    row = get_object_or_404(switches.seen_by(request.user), pk=pk)
    what = switches.target(row.kind, row.ref)
    if not permissions.can(switches.require_lifter, request.user, what):
        raise Http404
    form = DecisionForm(request.POST or None)
    if form.is_valid():
        lifted = switches.lift(row, by=request.user, reason=form.cleaned_data["reason"])
        if lifted.lifted_at:
            messages.success(request, _("Coupe-circuit levé : la barrière juge à nouveau chaque accès."))
        else:
            messages.success(request, _("Premier accord enregistré : une deuxième personne doit décider aussi."))
        return redirect("switch-list")
    context = {
        "row": row, "name": what.name, "kind": switches.KINDS[row.kind], "form": form,
        "first": switches.first_to_lift(row),
    }  # fmt: skip
    return render(request, "consent/switch_lift.html", context, status=422 if form.is_bound else 200)
