"""What concerns the persons behind the data: an objection taken at the desk, the public notice of a convention."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from broker import clock
from broker.errors import BadInput, WrongState
from consent import notice as notices
from consent import oppositions, permissions
from consent.forms import DismissForm, OppositionForm, PublicObjectionForm, UndoForm
from consent.models import Convention, ObjectionRequest, OfferColumn
from zones.models import Column, Dataset, Zone

SESSION_KEY = "opposition_receipts"  # receipts this session was given: the page tells about those, and about no other
REMEMBERED = 25
S = Convention.Status


@never_cache
@sensitive_post_parameters("local_id")
def opposition_create(request, slug):
    """Take an objection; once taken, `?recepisse=` shows its number and since when it is in force."""
    zone = get_object_or_404(Zone.objects.for_user(request.user).select_related("operator"), slug=slug)
    permissions.require_intake(request.user, zone)
    form = OppositionForm(request.POST or None, zone=zone, initial={"dataset": _asked_about(request, zone)})
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


EACH = 25  # requests a page
AN_HOUR = 10  # objections sent from one address in an hour; a desk that serves many has its own page
A_DAY = 500  # objections received on one zone's public page in a day


@login_not_required
@never_cache
@sensitive_post_parameters("local_id")
def objection_create(request, slug):
    """The public page, without an account: say no, get a receipt, come back with it to see what became of it."""
    zone = get_object_or_404(Zone.objects.filter(status=Zone.Status.OPEN).select_related("operator"), slug=slug)
    form = PublicObjectionForm(request.POST or None, zone=zone, initial={"dataset": _asked_about(request, zone)})
    if request.method == "POST" and form.is_valid():
        _within_limits(request, zone)
        taken = oppositions.request(zone, **form.cleaned_data)
        return redirect(f"{reverse('objection-create', args=[zone.slug])}?recepisse={taken.receipt}")
    number = request.GET.get("recepisse", "").strip().upper()
    receipt = None
    if number and request.method == "GET":
        state, since = oppositions.state_of(zone, number)
        reason = ObjectionRequest.objects.filter(zone=zone, receipt=number).values_list("reason", flat=True).first()
        receipt = {"number": number, "state": state, "since": since, "reason": reason}
    context = {"zone": zone, "form": form, "receipt": receipt, "identifiers": _identifiers(zone)}
    return render(request, "consent/objection_create.html", context, status=422 if request.method == "POST" else 200)


def _asked_about(request, zone: Zone) -> Dataset | None:
    """The dataset from whose page one comes."""
    slug = request.GET.get("jeu", "")
    return zone.datasets.filter(slug=slug, is_personal=True).first() if slug else None


def _identifiers(zone: Zone) -> list[tuple[str, str]]:
    """For each dataset of persons, the number by which it knows them, in the steward's words."""
    keys = Column.objects.filter(
        dataset__zone=zone, dataset__status="published", dataset__is_personal=True, role="subject_key"
    )
    rows = keys.order_by("dataset__title").values_list("dataset__title", "description", "name")[:50]
    return [(title, description or name) for title, description, name in rows]


def _within_limits(request, zone: Zone) -> None:
    """Raises WrongState when one address, or the whole public, sends more than people do. No address is kept: a
    digest of it counts for an hour."""
    mark = salted_hmac("objection", f"{request.client_address} {clock.now():%Y%m%d%H}").hexdigest()[:32]
    crowd = 10 * AN_HOUR if settings.DEMO else AN_HOUR  # in the demo everybody comes from one address
    for key, most, seconds in ((f"objection:{mark}", crowd, 3600), (f"objection:{zone.pk}", A_DAY, 86400)):
        cache.add(key, 0, seconds)
        if cache.incr(key) > most:
            raise WrongState(
                _("Trop de demandes à la suite. Réessayez dans une heure, ou dites-le à l'accueil : %s.")
                % zone.contact_email
            )


@never_cache
def objection_list(request, slug):
    """What the operator verifies: receipts and references, never an identifier."""
    zone = get_object_or_404(Zone.objects.for_user(request.user).select_related("operator"), slug=slug)
    permissions.require_intake(request.user, zone)
    form = DismissForm(request.POST if "dismiss" in request.POST else None)
    refused = None
    if request.method == "POST":
        number = request.POST.get("dismiss") or request.POST.get("confirm") or ""
        asked = get_object_or_404(ObjectionRequest, zone=zone, receipt=number)
        if "confirm" in request.POST:
            oppositions.confirm(asked, by=request.user)
            messages.success(request, _("Opposition confirmée : elle est en vigueur dès que le poste l'a lue."))
            return redirect("objection-list", slug=zone.slug)
        if form.is_valid():
            oppositions.dismiss(asked, by=request.user, reason=form.cleaned_data["reason"])
            messages.success(request, _("Demande écartée. La personne lit le motif avec son récépissé."))
            return redirect("objection-list", slug=zone.slug)
        refused = number
    waiting = ObjectionRequest.objects.filter(zone=zone, status="waiting").select_related("dataset")
    page = Paginator(waiting.order_by("received_at", "pk"), EACH).get_page(request.GET.get("page"))
    decided = ObjectionRequest.objects.filter(zone=zone).exclude(status="waiting").select_related("decided_by")
    context = {
        "zone": zone, "page": page, "form": form, "refused": refused,
        "decided": decided.order_by("-decided_at")[:5],
    }  # fmt: skip
    return render(request, "consent/objection_list.html", context, status=422 if refused else 200)


@never_cache
def opposition_undo(request, slug):
    """The person changes their mind, and gives their receipt at the desk."""
    zone = get_object_or_404(Zone.objects.for_user(request.user).select_related("operator"), slug=slug)
    permissions.require_intake(request.user, zone)
    form = UndoForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            oppositions.withdraw(zone, by=request.user, receipt=form.cleaned_data["receipt"])
        except BadInput as error:
            form.add_error("receipt", str(error))
        else:
            messages.success(request, _("Opposition retirée. Les remises à venir pourront contenir cette personne."))
            return redirect("zone-detail", slug=zone.slug)
    context = {"zone": zone, "form": form}
    return render(request, "consent/opposition_undo.html", context, status=422 if request.method == "POST" else 200)


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
    pairs = [(label, said[name]) for name, label in labels.items() if said[name]]
    context = {
        "convention": convention,
        "dataset": convention.offer.dataset,
        "zone": convention.zone,
        "pairs": pairs,
        "columns": [line.column.description or line.column.path for line in columns],
        "is_over": convention.status not in (S.ACTIVE, S.SUSPENDED),
    }
    return render(request, "consent/convention_notice.html", context)
