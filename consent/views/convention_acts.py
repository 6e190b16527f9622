"""The acts on a convention, a page each: suspend, give back, end, attest, verify. Each says what follows before."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.countersigning import pending
from broker.errors import WrongState
from consent import life, permissions
from consent.forms import AnswerForm, AttestationForm, DecisionForm, TerminationForm
from consent.models import Convention
from consent.transitions import convention as conventions
from consent.views.convention import seen

S = Convention.Status


def _decided(request, convention, before):
    if convention.status != before.status:
        messages.success(request, _("Convention désormais « %s ».") % convention.get_status_display())
    elif convention.terminates_on and not before.terminates_on:
        messages.success(
            request, _("Préavis donné : dernier jour le %s.") % convention.terminates_on.strftime("%d/%m/%Y")
        )
    else:
        messages.success(request, _("Premier accord enregistré : un second agent doit décider aussi."))
    return redirect("convention-detail", ref=convention.ref)


def _page(request, convention, name: str, form, **context):
    context = {"convention": convention, "form": form, "act": name, "title": life.TITLES[name], **context}
    return render(request, "consent/convention_act.html", context, status=422 if form.is_bound else 200)


def _allowed(request, ref, name: str) -> Convention:
    convention = seen(request, ref)
    if not permissions.rights_on(convention, request.user)[name]:
        raise Http404
    return convention


def suspend(request, ref):
    """One person, at once: running downloads are cut."""
    convention = _allowed(request, ref, "suspend")
    form = DecisionForm(request.POST or None)
    if form.is_valid():
        return _decided(
            request, conventions.suspend(convention, by=request.user, reason=form.cleaned_data["reason"]), convention
        )
    return _page(request, convention, "suspend", form)


def resume(request, ref):
    """Two officers, once the cause is removed."""
    convention = _allowed(request, ref, "resume")
    form = DecisionForm(request.POST or None)
    if form.is_valid():
        return _decided(
            request, conventions.resume(convention, by=request.user, reason=form.cleaned_data["reason"]), convention
        )
    first = pending("convention.resume", conventions.countersign_ref(convention))
    return _page(request, convention, "resume", form, first=first)


def terminate(request, ref):
    """The experimenter's representative alone, on notice; or two officers, on notice or at once."""
    convention = _allowed(request, ref, "terminate")
    alone = permissions.can(permissions.require_representative, request.user, convention.organisation)
    ref_ = conventions.countersign_ref(convention)
    first = pending("convention.terminate", ref_) or pending("convention.notice", ref_)
    form = TerminationForm(request.POST or None, alone=alone)
    if form.is_valid():
        return _decided(request, conventions.terminate(convention, by=request.user, **form.cleaned_data), convention)
    return _page(
        request, convention, "terminate", form, first=first, alone=alone,
        last=clock.today() + conventions.NOTICE,
    )  # fmt: skip


def attest(request, ref):
    """The experimenter's representative attests that every copy is gone."""
    convention = _allowed(request, ref, "attest")
    form = AttestationForm(request.POST or None)
    if form.is_valid():
        conventions.attest(convention, by=request.user, **form.cleaned_data)
        messages.success(request, _("Attestation signée : l'opérateur la vérifie."))
        return redirect("convention-detail", ref=ref)
    context = {
        "convention": convention, "form": form, "due": conventions.attestation_due(convention),
        "is_over": life.is_over(convention), "returned": convention.attestations.filter(is_verified=False).first(),
    }  # fmt: skip
    return render(request, "consent/convention_attest.html", context, status=422 if form.is_bound else 200)


def verify(request, ref):
    """An officer of the operator reads the attestation: verified, the convention is closed."""
    convention = _allowed(request, ref, "operate")
    given = convention.attestations.select_related("signer", "answered_by").first()
    form = AnswerForm(request.POST or None)
    if form.is_valid():
        if given is None:
            raise WrongState(_("Aucune attestation n'est à vérifier."))
        decided = conventions.answer_attestation(given, by=request.user, **form.cleaned_data)
        if decided.status == S.CLOSED:
            messages.success(request, _("Convention close. La clé des pseudonymes est détruite dans trente jours."))
        else:
            messages.success(request, _("Attestation renvoyée à l'expérimentateur, avec ce qui manque."))
        return redirect("convention-detail", ref=ref)
    context = {"convention": convention, "given": given, "form": form}
    return render(request, "consent/convention_verify.html", context, status=422 if form.is_bound else 200)
