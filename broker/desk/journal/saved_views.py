"""The pages of the searches that a reader keeps."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from broker.desk.journal import permissions, saved
from broker.desk.journal.forms import NameForm, SaveForm
from broker.desk.models import SavedSearch
from broker.errors import BadInput

PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
def searches(request):
    """One's own, and a new one among them: the fields come from the page of the search."""
    permissions.scope(request.user)
    form = SaveForm(request.POST, reader=request.user) if request.method == "POST" else None
    if form is not None and form.is_valid():
        try:
            kept = saved.save(form.cleaned_data["name"], asked=form.asked(), by=request.user)
        except BadInput as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, _("Recherche gardée : « %s ».") % kept)
            return redirect("audit-searches")
    page = Paginator(SavedSearch.objects.for_user(request.user), PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "form": form, "sent": form.asked() if form else {}}
    return render(request, "desk/saved_searches.html", context, status=422 if form else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def rename(request, pk):
    kept = get_object_or_404(SavedSearch.objects.for_user(request.user), pk=pk)
    form = NameForm(request.POST) if request.method == "POST" else NameForm(initial={"name": kept.name})
    if form.is_bound and form.is_valid():
        try:
            saved.rename(kept, form.cleaned_data["name"], by=request.user)
        except BadInput as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, _("Recherche renommée : « %s ».") % kept)
            return redirect("audit-searches")
    return render(request, "desk/saved_search.html", {"kept": kept, "form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request, pk):
    """Asked once more, then gone: the log keeps that it was there."""
    kept = get_object_or_404(SavedSearch.objects.for_user(request.user), pk=pk)
    if request.method == "POST":
        saved.remove(kept, by=request.user)
        messages.success(request, _("Recherche supprimée : « %s ».") % kept)
        return redirect("audit-searches")
    return render(request, "desk/saved_search_remove.html", {"kept": kept})
