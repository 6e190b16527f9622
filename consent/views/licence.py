"""Commercial licences: what they are, one request, its answer. A track of its own, that no experiment opens."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from broker import clock
from consent import permissions
from consent.forms import LicenceAnswerForm, LicenceForm
from consent.models import CommercialLicence
from consent.transitions import licence as licences
from zones.models import Dataset

PAGE = 25
S = CommercialLicence.Status
TONES = {S.ACCEPTED: "ok", S.SUBMITTED: "wait", S.DRAFT: "wait", S.DECLINED: "no"}


def list_(request):
    """Why a market needs a licence, and the requests this person may know of, the newest first."""
    wanted = CommercialLicence.objects.for_user(request.user).select_related("organisation", "dataset__zone")
    page = Paginator(wanted, PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "consent/commercial_licence.html",
        {"page": page, "lines": [{"row": row, "tone": TONES.get(row.status, "quiet")} for row in page]},
    )


def create(request, slug):
    """Prepare a request on one dataset; what is filled in is kept as a draft."""
    dataset = get_object_or_404(Dataset.objects.public().select_related("zone"), slug=slug)
    organisation = request.user.organisation
    if organisation is None:
        messages.info(request, _("Créez d'abord votre organisation : c'est elle qui demande."))
        return redirect("organisation-create")
    form = LicenceForm(request.POST or None, initial=_first_words(request.user))
    if form.is_valid():
        made = licences.draft(dataset, by=request.user, organisation=organisation, **form.cleaned_data)
        messages.success(request, _("Brouillon enregistré. Relisez-le, puis déposez la demande."))
        return redirect("licence-detail", ref=made.ref)
    context = {"dataset": dataset, "form": form, "organisation": organisation}
    return render(request, "consent/licence_create.html", context, status=422 if form.is_bound else 200)


def _first_words(user) -> dict:
    return {"contact_name": user.full_name, "contact_email": user.email}


def detail(request, ref):
    """The request, whose turn it is and since when; the applicant's acts and the operator's answer."""
    wanted = CommercialLicence.objects.for_user(request.user)
    row = get_object_or_404(
        wanted.select_related("organisation", "dataset__zone__operator", "submitted_by", "answered_by"), ref=ref
    )
    user, may = request.user, permissions.can
    is_ours = user.belongs_to(row.organisation)
    may_submit = row.status == S.DRAFT and may(permissions.require_representative, user, row.organisation)
    may_answer = row.status == S.SUBMITTED and not is_ours and may(permissions.require_operator, user, row.dataset.zone)
    act = request.POST.get("act", "")
    form = None
    if is_ours and row.status == S.DRAFT:
        form = LicenceForm(
            request.POST if act in ("save", "submit") else None,
            initial={
                **_first_words(user),
                **{name: getattr(row, name) for name in licences.TERMS if getattr(row, name)},
            },
        )
    answer = LicenceAnswerForm(request.POST if act in ("accept", "decline") else None) if may_answer else None
    if request.method == "POST":
        if form is not None and act in ("save", "submit"):
            if form.is_valid():
                licences.draft(row.dataset, by=user, organisation=row.organisation, **form.cleaned_data)
                if act == "submit":
                    licences.submit(row, by=user)
                    messages.success(request, _("Demande déposée : l'opérateur répond sous trente jours ouvrés."))
                else:
                    messages.success(request, _("Brouillon enregistré."))
                return redirect("licence-detail", ref=ref)
        elif answer is not None and act in ("accept", "decline"):
            if answer.is_valid():
                licences.answer(row, by=user, act=act, text=answer.cleaned_data["text"])
                messages.success(request, _("Réponse envoyée."))
                return redirect("licence-detail", ref=ref)
        elif is_ours and act == "withdraw":
            licences.withdraw(row, by=user)
            messages.success(request, _("Demande retirée."))
            return redirect("licence-detail", ref=ref)
        else:
            licences.next_state(row.status, act)
            raise Http404
    context = {
        "licence": row, "form": form, "answer": answer, "is_ours": is_ours, "may_submit": may_submit,
        "tone": TONES.get(row.status, "quiet"), "today": clock.today(), "events": _events(row),
        "may_withdraw": is_ours
        and (row.status == S.DRAFT
             or (row.status == S.SUBMITTED and may(permissions.require_representative, user, row.organisation))),
    }  # fmt: skip
    bad = (form is not None and form.errors) or (answer is not None and answer.errors)
    return render(request, "consent/licence_detail.html", context, status=422 if bad else 200)


def _events(row) -> list[dict]:
    events = [{"at": row.created_at, "label": _("Brouillon ouvert"), "tone": "ok"}]
    if row.submitted_at:
        events.append(
            {"at": row.submitted_at, "label": _("Demande déposée"), "who": str(row.submitted_by), "tone": "ok"}
        )
    if row.answered_at:
        tone = "ok" if row.status == S.ACCEPTED else "no"
        events.append(
            {"at": row.answered_at, "label": row.get_status_display(), "who": str(row.answered_by), "tone": tone}
        )
    elif row.status == S.SUBMITTED:
        events.append({"at": row.due_on, "label": _("Réponse attendue au plus tard"), "tone": "wait"})
    return events
