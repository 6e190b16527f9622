"""Conventions: the list, one convention with whose turn it is, its document, its signature, its persons."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from broker.accounts import second_factor
from consent import life, permissions, readiness
from consent.forms import CodeForm, PersonForm
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
    wanted = (
        Convention.objects.for_user(request.user)
        .select_related("organisation", "zone", "offer__dataset")
        .only("ref", "status", "starts_on", "ends_on", "organisation__name", "zone__name", "offer__dataset__title")
    )
    page = Paginator(wanted, PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "consent/convention_list.html",
        {"page": page, "lines": [{"row": row, "tone": TONES.get(row.status, "quiet")} for row in page]},
    )


@require_safe
def detail(request, ref):
    """What it is, what happened, whose turn it is and since when, what comes next."""
    convention, user = seen(request, ref), request.user
    paper = convention.documents.order_by("-number").select_related("sealed").defer("pdf", "sealed__pdf").first()
    signed = list(convention.signatures.select_related("signer", "standing_mandate"))
    missing = conventions.missing_signatures(convention) if convention.status == S.SIGNING else []
    may = permissions.rights_on(convention, user) | {"sign": conventions.party_for(convention, user) in missing}
    suspension = None
    if convention.status == S.SUSPENDED:
        suspension = convention.acts.filter(act="suspend").select_related("by").order_by("-at", "-pk").first()
    persons = list(convention.named_persons.select_related("user", "confirmed_by").order_by("pk"))
    context = {
        "convention": convention, "paper": paper, "tone": TONES.get(convention.status, "quiet"),
        "turn": life.turn(convention, missing=missing, may=may), "bar": life.bar(convention),
        "parties": life.parties(convention, signed, missing), "events": life.events(convention, signed),
        "acts": life.offered(convention, may), "purpose": purpose_label(convention.purpose_code),
        "persons": persons, "may_name": may["name"], "suspension": suspension, "signatures": signed,
        "lacks": _lacks(convention, user),
    }  # fmt: skip
    return render(request, "consent/convention_detail.html", context)


def _lacks(convention, user) -> list[str]:
    """What this very person still needs before the data open to them, when they are named."""
    if not convention.named_persons.filter(user=user, until_day=None).exists():
        return []
    return readiness.lacking(convention, user)


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
        second_factor.remember(request)
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
