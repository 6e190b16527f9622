"""The same-day path: simulate, take up the offer, go and sign."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts import second_factor
from broker.accounts.models import SecureEnvironment
from consent import permissions
from consent.deadlines import add_months
from consent.forms import ApplicationForm, SimulateForm
from consent.models import Offer, PurposeKind
from consent.transitions import application as applications
from consent.views.offer import notice_ready_on
from consent.words import OBLIGATIONS, told


def _open_offer(request, pk) -> Offer:
    wanted = Offer.objects.filter(status=Offer.Status.PUBLISHED)
    return get_object_or_404(wanted.select_related("dataset__zone__operator", "dataset__service"), pk=pk)


def _without_organisation(request):
    messages.info(request, _("Créez d'abord votre organisation : c'est elle qui demande."))
    return redirect("organisation-create")


def _first_dates(offer) -> dict:
    today = clock.today()
    starts = max(today, offer.starts_on)
    return {"starts_on": starts, "ends_on": min(add_months(starts, 6), applications.longest_end(offer, starts))}


def simulate(request, pk):
    """Every reason that would refuse now, and how to mend each; nothing is asked and nothing is promised."""
    offer = _open_offer(request, pk)
    organisation = request.user.organisation
    if organisation is None:
        return _without_organisation(request)
    environment = organisation.environments.order_by("-created_at").first()
    form = SimulateForm(
        request.POST or None, offer=offer, organisation=organisation,
        initial={"environment": environment, "purpose_code": offer.purposes[0], **_first_dates(offer)},
    )  # fmt: skip
    decision = None
    if form.is_valid():
        decision = applications.simulate(
            offer, by=request.user, organisation=organisation, purpose_kind=PurposeKind.EXPERIMENTATION,
            second_factor_at=second_factor.at(request), **form.cleaned_data,
        )  # fmt: skip
    context = {"offer": offer, "form": form, "decision": decision, "notice_ready_on": notice_ready_on(offer)}
    if decision is not None:
        context |= {
            "blocking": told([r for r in decision.refusals if r.rule not in applications.gate.SETTLED_LATER]),
            "later": told([r for r in decision.refusals if r.rule in applications.gate.SETTLED_LATER]),
            "obligations": [
                {"rule": r.rule, "words": OBLIGATIONS.get(r.rule, r.message)} for r in decision.reasons if not r.refuses
            ],
        }
    return render(request, "consent/offer_simulate.html", context, status=422 if form.errors else 200)


def create(request, pk):
    """Take up the offer unchanged: approved at once when everything is in order, then to be signed."""
    offer = _open_offer(request, pk)
    organisation = request.user.organisation
    if organisation is None:
        return _without_organisation(request)
    if request.method == "POST" and request.POST.get("purpose_kind") == PurposeKind.COMMERCIAL:
        return _commercial(request, offer, organisation)
    initial = {
        "purpose_kind": PurposeKind.EXPERIMENTATION, "purpose_code": offer.purposes[0],
        "environment": SecureEnvironment.objects.filter(organisation=organisation).order_by("-created_at").first(),
        **_first_dates(offer),
    }  # fmt: skip
    form = ApplicationForm(request.POST or None, offer=offer, organisation=organisation, initial=initial)
    if form.is_valid():
        convention = applications.take_up(
            offer, by=request.user, organisation=organisation, second_factor_at=second_factor.at(request),
            **form.cleaned_data,
        )  # fmt: skip
        messages.success(request, _("Demande approuvée sous l'offre. Il reste à signer."))
        return redirect("convention-detail", ref=convention.ref)
    context = {
        "offer": offer, "form": form, "organisation": organisation,
        "may_submit": permissions.can(permissions.require_representative, request.user, organisation),
        "has_environment": organisation.environments.exists(), "notice_ready_on": notice_ready_on(offer),
    }  # fmt: skip
    return render(request, "consent/application_create.html", context, status=422 if form.is_bound else 200)


def _commercial(request, offer, organisation):
    """The gate refuses, for everybody; the request for a licence, a file of its own, is opened beside."""
    decision, licence = applications.refuse_commercial(
        offer, by=request.user, organisation=organisation, solution=request.POST.get("solution", "")[:200],
        second_factor_at=second_factor.at(request), **_first_dates(offer),
    )  # fmt: skip
    reasons = told([r for r in decision.refusals if r.rule not in applications.gate.SETTLED_LATER])
    return render(
        request,
        "consent/commercial_refused.html",
        {"offer": offer, "licence": licence, "reasons": reasons},
        status=403,
    )
