"""A release shown before it is asked for: what is done to each column, what is lost, what to change."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from broker.accounts import second_factor
from broker.errors import BadInput, NotAllowed, Refused, WrongState
from broker.releases import permissions, previews, words
from broker.releases.forms import ReleaseForm
from broker.releases.models import Preview
from broker.releases.tables import columns_of
from broker.releases.views import release
from consent.models import Convention, Offer


@require_POST
def of_release(request, ref):
    """From the form of a release: the same gate, then the preview; a refusal says what the release's would."""
    convention = get_object_or_404(
        Convention.objects.for_user(request.user).select_related("offer__dataset", "zone", "environment"), ref=ref
    )
    if not permissions.may_request(request.user, convention):
        raise NotAllowed(_("Seules les personnes nommées par la convention demandent une remise."))
    form = ReleaseForm(request.POST, convention=convention)
    if not form.is_valid():
        return release.form_page(request, convention, form, status=422)
    try:
        preview = previews.of_release(
            convention, by=request.user, second_factor_at=second_factor.at(request), address=request.client_address,
            columns=form.cleaned_data["columns"], per_mille=form.per_mille,
        )  # fmt: skip
    except Refused as refused:
        return release.form_page(request, convention, form, status=refused.status, reasons=refused.reasons)
    return redirect("preview-detail", pk=preview.pk)


@require_POST
def of_offer(request, pk):
    wanted = Offer.objects.for_user(request.user).select_related("dataset__zone__operator")
    offer = get_object_or_404(wanted, pk=pk)
    try:
        preview = previews.of_offer(offer, by=request.user)
    except (BadInput, WrongState) as error:
        messages.error(request, str(error))
        return redirect("offer-detail", pk=offer.pk)
    return redirect("preview-detail", pk=preview.pk)


@never_cache
@require_GET
def detail(request, pk):
    """The figures; it asks for itself again until the worker has answered."""
    seen = Preview.objects.for_user(request.user).select_related(
        "dataset_version__dataset__zone__operator", "convention", "offer"
    )
    preview = get_object_or_404(seen, pk=pk)
    whole = previews.sees_reasons_of_loss(request.user, preview)
    of = preview.convention.offer if preview.convention else preview.offer
    offered = set(of.columns.values_list("column__path", flat=True))
    sample = preview.recipe.get("sample", {}).get("per_mille", 1000)
    context = {
        "part": sample // 10 if sample < 1000 else "",
        "preview": preview, "waiting": preview.status == Preview.Status.WAITING, "whole": whole,
        "step": words.step(preview.progress.get("step", "")), "said": previews.explained(preview, whole=whole),
        "bars": release.bars(preview.found, whole=whole, to=previews.told) if preview.found else [],
        "asked": [path for path in columns_of(preview.recipe) if path in offered],
    }  # fmt: skip
    template = "releases/_preview.html" if request.headers.get("HX-Request") else "releases/preview_detail.html"
    return render(request, template, context)
