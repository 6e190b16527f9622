"""The page on which a detail is erased before its term, or held beyond it."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from broker.desk.journal import actions, keeping, telling
from broker.desk.journal.forms import EraseForm, FreezeForm, LiftForm
from broker.desk.journal.views import MOST_LEAVES

FORMS = {"erase": EraseForm, "freeze": FreezeForm, "lift": LiftForm}


@require_http_methods(["GET", "HEAD", "POST"])
def page(request, index):
    entry = actions.open_entry(index, by=request.user) if index <= MOST_LEAVES else None
    if entry is None:
        raise Http404
    zone = keeping.require(request.user, keeping.zone_of(entry))
    asked = request.POST.get("do", "erase")
    forms = {
        do: kind(request.POST if request.method == "POST" and do == asked else None, auto_id=f"{do}_%s")
        for do, kind in FORMS.items()
    }
    sent = forms.get(asked) if request.method == "POST" else None
    if sent is not None and sent.is_valid():
        messages.success(request, _done(entry, sent.cleaned_data, by=request.user))
        return redirect("audit-keeping", index=index)
    context = {
        "entry": entry, "line": telling.tell([entry], reader=request.user)[0], "hold": keeping.held(entry),
        "proposed": keeping.proposed(zone, entry), "approves": keeping.may_approve(request.user, zone), **forms,
    }  # fmt: skip
    return render(request, "desk/audit_keeping.html", context, status=422 if request.method == "POST" else 200)


def _done(entry, said: dict, *, by) -> str:
    if said["do"] == "freeze":
        keeping.hold(entry, by=by, until=said["until"], reason=said["reason"])
        return _("Détail gelé.")
    if said["do"] == "lift":
        keeping.lift(entry, by=by, reason=said["reason"])
        return _("Gel levé.")
    if keeping.erase(entry, said["what"], by=by, reason=said["reason"]):
        return _("Effacé : l'inscription et sa preuve n'en sont pas changées.")
    return _("Proposé : un délégué de la zone doit l'approuver.")
