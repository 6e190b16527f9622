"""The files that the operator keeps: their list as the worker saw it, some chosen and read where they lie."""

from collections.abc import Iterator
from pathlib import PurePath

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from broker.errors import BadInput
from zones import actions, placing, tables
from zones.forms import UploadForm, said
from zones.models import Dataset, VersionFile
from zones.reading import Reading
from zones.views.dataset import former_reading, former_readings, own_dataset_or_404
from zones.views.zone import PAGE


def _files(
    chosen: list[str], form: UploadForm, dataset: Dataset, readings: dict[str, Reading]
) -> Iterator[placing.Chosen]:
    """The files of the form. The only one is read as the form says; among several, each as its name says."""
    several = len(chosen) > 1 or len(readings) > 1 or form.data.get("act") == "gather" or actions.gathering(dataset)
    for value in chosen:
        place, _sign, ref = value.partition(":")
        name = PurePath(ref).name
        reading = form.reading_of(name, readings.get(tables.name_of(name))) if several else form.reading()
        yield placing.Chosen(place, ref, reading)


@require_http_methods(["GET", "POST"])
def placed_files(request, slug):
    """Names and sizes only, from the worker's last look: this process opens no place."""
    dataset = own_dataset_or_404(request, slug, "add_version")
    if request.method == "POST" and request.POST.get("act") == "list":
        placing.ask_listing(dataset.zone, by=request.user)
        messages.success(request, _("La liste est demandée au poste de la zone. Rechargez la page dans un instant."))
        return redirect("placed-files", dataset.slug)
    former, readings = former_reading(dataset), former_readings(dataset)
    chosen = request.POST.getlist("file")
    form = UploadForm(request.POST or None, former=former, initial=said(former or Reading()))
    if request.method == "POST":
        if not chosen:
            form.add_error(None, _("Choisissez un fichier."))
        elif form.is_valid():
            try:
                orders = placing.choose_files(
                    dataset, by=request.user, files=_files(chosen, form, dataset, readings),
                    more=request.POST.get("act") == "gather",
                )  # fmt: skip
            except BadInput as problem:
                form.add_error(None, str(problem))
            else:
                messages.success(request, _("Lecture demandée : le fichier reste où il est."))
                return redirect(orders[0].into or reverse("placed-files", args=[dataset.slug]))
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
        "orders": list(dataset.source_orders.select_related("asked_by", "file__version__dataset")[:5]),
        "gathering": actions.gathering(dataset),
        "several": len(readings) > 1,
        "form": form,
        "chosen": chosen,
    }
    return render(request, "zones/placed_files.html", context, status=422 if form.is_bound else 200)
