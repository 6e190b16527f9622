"""The files that the operator keeps: their list as the worker saw it, one chosen and read where it lies."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from broker.errors import BadInput
from zones import placing
from zones.forms import UploadForm, said
from zones.models import VersionFile
from zones.reading import Reading
from zones.views.dataset import former_reading, own_dataset_or_404
from zones.views.zone import PAGE


@require_http_methods(["GET", "POST"])
def placed_files(request, slug):
    """Names and sizes only, from the worker's last look: this process opens no place."""
    dataset = own_dataset_or_404(request, slug, "add_version")
    if request.method == "POST" and request.POST.get("act") == "list":
        placing.ask_listing(dataset.zone, by=request.user)
        messages.success(request, _("La liste est demandée au poste de la zone. Rechargez la page dans un instant."))
        return redirect("placed-files", dataset.slug)
    former = former_reading(dataset)
    chosen = request.POST.get("file", "")
    form = UploadForm(request.POST or None, former=former, initial=said(former or Reading()))
    if request.method == "POST":
        if not chosen:
            form.add_error(None, _("Choisissez un fichier."))
        elif form.is_valid():
            place, _sign, ref = chosen.partition(":")
            try:
                placing.choose_file(dataset, by=request.user, place=place, ref=ref, reading=form.reading())
            except BadInput as problem:
                form.add_error(None, str(problem))
            else:
                messages.success(request, _("Lecture demandée : le fichier reste où il est."))
                return redirect("placed-files", dataset.slug)
    listings = list(dataset.zone.listings.all())
    files = [
        {**one, "value": f"{listing.place}:{one['ref']}", "place": VersionFile.Place(listing.place).label}
        for listing in listings
        for one in listing.files
    ]
    context = {
        "dataset": dataset,
        "listings": listings,
        "page": Paginator(files, PAGE).get_page(request.GET.get("page")),
        "orders": list(dataset.source_orders.select_related("asked_by", "version")[:5]),
        "form": form,
        "chosen": chosen,
    }
    return render(request, "zones/placed_files.html", context, status=422 if form.is_bound else 200)
