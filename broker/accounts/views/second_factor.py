"""Getting a second factor, and giving it again in a session that is open already."""

from allauth.mfa.totp.views import ActivateTOTPView
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from broker.accounts import second_factor
from broker.accounts.forms import SecondFactorForm
from broker.errors import NotAllowed


class ActivateTOTP(ActivateTOTPView):
    """allauth's enrolment. The code that proves it is the session's second factor."""

    def form_valid(self, form):
        response = super().form_valid(form)
        second_factor.recorded_in_session(self.request, {"method": "totp", "enrolled": "yes"}, by=self.request.user)
        return response


activate_totp = ActivateTOTP.as_view()


def give_again(request):
    """A fresh code, then back to `next`."""
    if second_factor.authenticator_of(request.user) is None:
        return redirect("mfa_activate_totp")
    form = SecondFactorForm(request.POST or None, user=request.user)
    if form.is_valid():
        second_factor.recorded_in_session(request, form.evidence, by=request.user)
        return redirect(_next(request))
    facts = {"form": form, "next": _next(request), "given_at": second_factor.at(request)}
    return render(request, "accounts/second_factor.html", facts, status=422 if form.is_bound else 200)


def address_is_kept(request):
    """allauth's page of addresses is not offered: the address is what conventions and the log know a person by."""
    raise NotAllowed(_("L'adresse d'un compte ne se change pas : vos signatures et le journal la connaissent."))


def _next(request) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return wanted
    return resolve_url("desk")
