"""No page beyond the public ones without a second factor; the log learns how the person proved who they are. A
person's grants are read once a request."""

from django.http import JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from broker.accounts import grants, second_factor
from broker.errors import NotAllowed
from broker.middleware import as_problem

# Where a person without a second factor still may go: to get one, or to leave.
OPEN_NAMES = frozenset({"account_logout", "account_reauthenticate", "mfa_activate_totp", "second-factor"})


class SecondFactor:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with grants.read_once():
            return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if not request.user.is_authenticated:
            return None
        given = second_factor.at(request)
        request.user.authenticated_by = "mfa" if given else "password"
        if given or not getattr(view, "login_required", True) or request.resolver_match.url_name in OPEN_NAMES:
            return None
        if request.path.startswith("/api/"):
            error = NotAllowed(_("Ouvrez une session avec votre second facteur, puis recommencez."))
            return JsonResponse(as_problem(error), status=error.status, content_type="application/problem+json")
        if second_factor.authenticator_of(request.user) is None:
            return redirect("mfa_activate_totp")
        here = request.get_full_path() if request.method == "GET" else reverse("desk")
        return redirect(f"{reverse('second-factor')}?{urlencode({'next': here})}")
