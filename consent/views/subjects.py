"""What concerns the persons behind the data: an objection taken at the desk, the public notice of a convention."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from consent import notice as notices
from consent import oppositions, permissions
from consent.forms import OppositionForm
from consent.models import Convention, OfferColumn
from zones.models import Zone

SESSION_KEY = "opposition_receipts"  # receipts this session was given: the page tells about those, and about no other
REMEMBERED = 25
S = Convention.Status


@never_cache
@sensitive_post_parameters("local_id")
def opposition_create(request, slug):
    """Take an objection; once taken, `?recepisse=` shows its number and since when it is in force."""
    zone = get_object_or_404(Zone.objects.for_user(request.user).select_related("operator"), slug=slug)
    permissions.require_intake(request.user, zone)
    form = OppositionForm(request.POST or None, zone=zone)
    if request.method == "POST" and form.is_valid():
        taken = oppositions.receive(zone, by=request.user, **form.cleaned_data)
        given = request.session.get(SESSION_KEY, [])
        request.session[SESSION_KEY] = [*given, taken.receipt][-REMEMBERED:]
        messages.success(request, _("Opposition reçue. Remettez le numéro de récépissé à la personne."))
        return redirect(f"{reverse('opposition-create', args=[zone.slug])}?recepisse={taken.receipt}")
    context = {"zone": zone, "form": form, "receipt": _receipt(request, zone)}
    return render(request, "consent/opposition_create.html", context, status=422 if request.method == "POST" else 200)


def _receipt(request, zone: Zone) -> dict | None:
    number = request.GET.get("recepisse", "")
    if not number:
        return None
    state, since = oppositions.state_of(zone, number)
    if state == "unknown":
        if number not in request.session.get(SESSION_KEY, []):
            return None
        state = "already"
    return {"number": number, "state": state, "since": since, "limit": oppositions.limit(since) if since else None}


@login_not_required
def convention_notice(request, ref):
    """The permanent public page of one convention: who, what, why, until when, and how to say no. No login."""
    online = Convention.objects.exclude(notice_published_at=None).exclude(status__in=[S.SIGNING, S.WITHDRAWN])
    convention = get_object_or_404(
        online.select_related("organisation", "zone__operator", "offer__dataset__holder", "environment", "application"),
        ref=ref,
    )
    columns = list(OfferColumn.objects.filter(offer=convention.offer_id).select_related("column"))
    said = notices.fields(convention, columns)
    labels = notices.LABELS
    pairs = [(labels[name], said[name]) for name in notices.REQUIRED if name != "columns" and said[name]]
    context = {
        "convention": convention,
        "dataset": convention.offer.dataset,
        "zone": convention.zone,
        "pairs": pairs,
        "columns": [line.column.description or line.column.name for line in columns],
        "is_over": convention.status not in (S.ACTIVE, S.SUSPENDED),
    }
    return render(request, "consent/convention_notice.html", context)
