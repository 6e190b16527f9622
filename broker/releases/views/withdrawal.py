"""Orders of withdrawal: what the recipient must remove, by when, and its attestation."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from broker.releases import withdrawals
from broker.releases.forms import AttestationForm

EACH = 25  # orders a page


def _orders(request):
    return withdrawals.visible(request.user).select_related(
        "convention__organisation", "convention__zone", "convention__offer__dataset", "attested_by"
    )


@require_GET
def list_(request):
    page = Paginator(_orders(request).order_by("-issued_at", "-pk"), EACH).get_page(request.GET.get("page"))
    return render(request, "releases/withdrawal_list.html", {"page": page})


@never_cache
def detail(request, pk):
    order = get_object_or_404(_orders(request), pk=pk)
    may = order.attested_at is None and withdrawals.may_attest(request.user, order)
    form = AttestationForm(request.POST or None)
    if request.method == "POST" and (not may or form.is_valid()):
        withdrawals.attest(order, by=request.user, text=form.data.get("text", ""))
        messages.success(request, _("Attestation enregistrée. L'opérateur en est informé."))
        return redirect("withdrawal-detail", pk=order.pk)
    context = {
        "order": order,
        "form": form,
        "may_attest": may,
        "reads": withdrawals.reads_pseudonyms(request.user, order),
        "releases": list(order.releases.select_related("dataset_version__dataset").order_by("built_at")),
    }
    return render(request, "releases/withdrawal_detail.html", context, status=422 if request.method == "POST" else 200)
