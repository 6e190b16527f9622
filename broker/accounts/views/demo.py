"""The pages of the demo. With DEMO=1 alone; elsewhere they are not there."""

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from broker import clock
from broker.accounts import actions, demo
from broker.accounts.forms import ClockForm


def _refuse_outside_the_demo():
    if not settings.DEMO:
        raise Http404


@login_not_required
@require_safe
@never_cache
def cast(request):
    _refuse_outside_the_demo()
    facts = {"cast": demo.cast(), "mails": demo.letters(), "seconds_left": demo.seconds_left()}
    return render(request, "accounts/demo_cast.html", facts)


def advance_clock(request):
    _refuse_outside_the_demo()
    form = ClockForm(request.POST or None)
    if form.is_valid():
        seconds = actions.advance_clock(by=request.user, **form.cleaned_data)
        # This request still holds the time before the step.
        now = (clock.now() + timedelta(seconds=seconds)).astimezone(clock.PARIS)
        messages.success(request, _("Nous sommes maintenant le %(day)s.") % {"day": f"{now:%d/%m/%Y à %H:%M}"})
        return redirect("demo-clock")
    return render(request, "accounts/demo_clock.html", {"form": form}, status=422 if form.is_bound else 200)
