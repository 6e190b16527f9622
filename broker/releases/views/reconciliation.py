"""What was found when bytes, deliveries, permits and the log were laid side by side; asked again on demand."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from procrastinate.exceptions import AlreadyEnqueued

from broker.releases import permissions
from broker.releases.models import Difference, Reconciliation

EACH = 25  # differences a page


@never_cache
@require_safe
def detail(request):
    permissions.require_reconciliation(request.user)
    done = Reconciliation.objects.select_related("asked_by").first()
    found = Difference.objects.for_user(request.user).filter(reconciliation=done).select_related("zone")
    page = Paginator(found, EACH).get_page(request.GET.get("page"))
    context = {"done": done, "page": page, "may_run": permissions.may_reconcile(request.user)}
    return render(request, "releases/reconciliation.html", context)


@require_POST
def run_now(request):
    from broker.releases.tasks import reconcile

    permissions.require_reconciling(request.user)
    try:
        with transaction.atomic():
            reconcile.defer(user_id=request.user.pk)
    except AlreadyEnqueued:
        pass  # it was asked a moment ago: the same answer serves both
    messages.success(request, _("Rapprochement demandé : son résultat paraîtra ici."))
    return redirect("reconciliation")
