"""Conventions: the list, one convention with whose turn it is, its document, its signature, its persons."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from broker.accounts.countersigning import pending
from consent import permissions, readiness
from consent.forms import CodeForm, DecisionForm, PersonForm
from consent.models import Convention, Signature
from consent.transitions import convention as conventions
from consent.words import purpose_label

PAGE = 25
S = Convention.Status
TONES = {S.ACTIVE: "ok", S.SIGNING: "wait", S.SUSPENDED: "no", S.TERMINATED: "no"}
PARTIES = dict(Signature.Party.choices)


def seen(request, ref) -> Convention:
    wanted = Convention.objects.for_user(request.user).select_related(
        "organisation", "zone__operator", "offer__dataset__holder", "environment", "application"
    )
    return get_object_or_404(wanted, ref=ref)


def list_(request):
    """The conventions this person may know of, the newest first."""
    wanted = Convention.objects.for_user(request.user).select_related("organisation", "zone", "offer__dataset")
    page = Paginator(wanted, PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "consent/convention_list.html",
        {"page": page, "lines": [{"row": row, "tone": TONES.get(row.status, "quiet")} for row in page]},
    )


def detail(request, ref):
    """What it is, what happened, whose turn it is and since when."""
    convention = seen(request, ref)
    user = request.user
    paper = convention.documents.order_by("-number").select_related("sealed").defer("pdf", "sealed__pdf").first()
    signed = list(convention.signatures.select_related("signer", "standing_mandate"))
    missing = conventions.missing_signatures(convention) if convention.status == S.SIGNING else []
    mine = conventions.party_for(convention, user)
    acts = _acts(convention, user)
    asked = request.POST.get("act") if request.method == "POST" else None
    for act in acts:
        act["form"] = DecisionForm(
            request.POST if act["name"] == asked else None,
            auto_id=f"{act['name']}-%s", reason_required=act["name"] != "resume",
        )  # fmt: skip
    chosen = next((act for act in acts if act["name"] == asked), None)
    if request.method == "POST" and chosen is None:
        conventions.next_state(convention.status, asked or "")
        raise Http404
    if chosen is not None and chosen["form"].is_valid():
        verb = {"suspend": conventions.suspend, "resume": conventions.resume, "terminate": conventions.terminate}[asked]
        decided = verb(convention, by=user, reason=chosen["form"].cleaned_data["reason"])
        if decided.status == convention.status:
            messages.success(request, _("Premier accord enregistré : un second agent doit décider aussi."))
        else:
            messages.success(request, _("Convention désormais « %s ».") % decided.get_status_display())
        return redirect("convention-detail", ref=ref)
    context = {
        "convention": convention, "paper": paper, "signatures": signed, "tone": TONES.get(convention.status, "quiet"),
        "missing": [PARTIES[party] for party in missing], "mine": mine in missing and mine,
        "events": _events(convention, signed), "acts": acts, "purpose": purpose_label(convention.purpose_code),
        "persons": convention.named_persons.select_related("user", "confirmed_by").order_by("pk"),
        "may_name": permissions.can(permissions.require_representative, user, convention.organisation),
        "last_day_to_sign": conventions.last_day_to_sign(convention),
        "lacks": _lacks(convention, user),
    }  # fmt: skip
    return render(request, "consent/convention_detail.html", context, status=422 if chosen else 200)


def _lacks(convention, user) -> list[str]:
    """What this very person still needs before the data open to them, when they are named."""
    if not convention.named_persons.filter(user=user, until_day=None).exists():
        return []
    return readiness.lacking(convention, user)


def _acts(convention, user) -> list[dict]:
    """What this person may do to the convention in its state, with the first person's agreement when there is one."""
    may, zone = permissions.can, convention.zone
    operator = may(permissions.require_operator, user, zone)
    allowed = {
        "suspend": may(permissions.require_suspender, user, zone),
        "resume": operator,
        "terminate": operator or may(permissions.require_representative, user, convention.organisation),
    }
    labels = {"suspend": _("Suspendre"), "resume": _("Rétablir l'accès"), "terminate": _("Résilier")}
    return [
        {"name": name, "label": labels[name],
         "first": pending(f"convention.{name}", conventions.countersign_ref(convention)) if name != "suspend" else None}
        for name in labels
        if (S(convention.status), name) in conventions.NEXT and allowed[name]
    ]  # fmt: skip


def _events(convention, signed) -> list[dict]:
    """The life of the convention, oldest first."""
    events = [{"at": convention.created_at, "label": _("Approuvée sous l'offre, document établi"), "tone": "ok"}]
    for signature in signed:
        how = _("par mandat permanent") if signature.standing_mandate_id else _("en personne")
        events.append(
            {
                "at": signature.signed_at,
                "label": _("Signée par %(party)s, %(how)s") % {"party": signature.get_party_display(), "how": how},
                "who": str(signature.signer),
                "tone": "ok",
            }
        )
    if convention.activated_at:
        events.append({"at": convention.activated_at, "label": _("Active, notice publique en ligne"), "tone": "ok"})
    if convention.status not in (S.SIGNING, S.ACTIVE):
        events.append({"label": _("Aujourd'hui : %s") % convention.get_status_display(), "tone": "no"})
    elif convention.status == S.ACTIVE:
        events.append({"at": convention.ends_on, "label": _("Dernier jour, inclus"), "tone": "wait"})
    return events


def pdf(request, ref):
    """The exact signed bytes, or, with `?scelle`, the same followed by the platform's seal."""
    convention = seen(request, ref)
    paper = conventions.current_document(convention)
    if paper is None:
        raise Http404
    name, body = f"{convention.ref}.pdf", paper.pdf
    if "scelle" in request.GET:
        sealed = getattr(paper, "sealed", None)
        if sealed is None:
            raise Http404
        name, body = f"{convention.ref}-scelle.pdf", sealed.pdf
    answer = HttpResponse(bytes(body), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def sign(request, ref):
    """Read the document, see its fingerprint, sign it with the second factor."""
    convention = seen(request, ref)
    party = conventions.party_for(convention, request.user)
    if party is None:
        raise Http404
    paper = conventions.current_document(convention)
    form = CodeForm(request.POST or None, initial={"sha256": paper.sha256})
    if form.is_valid():
        signed = conventions.sign(
            convention, by=request.user, code=form.cleaned_data["code"], sha256=form.cleaned_data["sha256"]
        )
        if signed.status == S.ACTIVE:
            messages.success(request, _("Convention signée par toutes les parties : elle est active."))
        else:
            messages.success(request, _("Signature enregistrée ; une autre partie doit encore signer."))
        return redirect("convention-detail", ref=ref)
    body = {"experimenter": convention.organisation, "operator": convention.zone.operator}.get(party)
    body = body or convention.offer.dataset.holder
    context = {
        "convention": convention, "form": form, "paper": paper, "party": PARTIES[party], "body": body,
        "mandate": conventions.mandate_of(request.user, body), "clauses": paper.parameters.get("clauses", []),
        "is_open": convention.status == S.SIGNING, "data": paper.parameters,
    }  # fmt: skip
    return render(request, "consent/convention_sign.html", context, status=422 if form.is_bound else 200)


def people(request, ref):
    """The legal representative names; an officer of the operator confirms."""
    convention = seen(request, ref)
    user = request.user
    may_name = permissions.can(permissions.require_representative, user, convention.organisation)
    may_confirm = permissions.can(permissions.require_operator, user, convention.zone)
    asked = request.POST if request.method == "POST" else {}
    if person := asked.get("confirm") or asked.get("end"):
        named = get_object_or_404(convention.named_persons, pk=person if person.isdigit() else 0)
        if "confirm" in asked:
            conventions.confirm_person(named, by=user)
            messages.success(request, _("%s peut agir sous cette convention dès maintenant.") % named.user)
        else:
            conventions.end_person(named, by=user)
            messages.success(request, _("%s ne peut plus agir sous cette convention.") % named.user)
        return redirect("convention-people", ref=ref)
    form = PersonForm(request.POST or None, convention=convention) if may_name else None
    if form is not None and form.is_valid():
        conventions.name_person(convention, by=user, **form.cleaned_data)
        messages.success(request, _("Personne inscrite ; l'opérateur la confirme."))
        return redirect("convention-people", ref=ref)
    context = {
        "convention": convention, "form": form, "may_confirm": may_confirm, "may_name": may_name,
        "persons": convention.named_persons.select_related("user", "confirmed_by", "named_by").order_by("pk"),
    }  # fmt: skip
    return render(request, "consent/convention_people.html", context, status=422 if form and form.errors else 200)
