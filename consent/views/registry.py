"""The registry: the founder's request, the clerk's review, the public list as a page and as JSON."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import conditional_page

from broker.accounts.countersigning import pending
from broker.accounts.models import Role
from consent import permissions, register
from consent.forms import DecisionForm, EvidenceForm, ScopeForm
from consent.models import RegistryEntry
from consent.transitions import registry

PAGE = 25
DECISIONS = {
    "accredit": registry.accredit,
    "refuse": registry.refuse,
    "suspend": registry.suspend,
    "reinstate": registry.reinstate,
    "withdraw": registry.withdraw,
}
S = RegistryEntry.Status


def request_(request):
    """The founder's two steps: the scope, then the evidence that this scope asks for."""
    organisation = request.user.organisation
    if organisation is None:
        messages.info(request, _("Créez d'abord votre organisation : c'est elle qui demande son agrément."))
        return redirect("organisation-create")
    entry = RegistryEntry.objects.filter(organisation=organisation, status__in=registry.LIVE).first()
    is_open = entry is None or entry.status in (S.DRAFT, S.INCOMPLETE)
    domains = entry.domains if entry else ()
    scope = ScopeForm(initial={"domains": domains, "zone_kinds": entry.zone_kinds if entry else ()})
    evidence = EvidenceForm(domains=domains, initial=entry.evidence if entry else None) if entry and is_open else None
    if request.method == "POST" and is_open:
        if "domains" in request.POST or evidence is None:
            scope = ScopeForm(request.POST)
            if scope.is_valid():
                registry.draft(organisation, by=request.user, **scope.cleaned_data)
                return redirect(reverse("registry-request") + "#pieces")
        else:
            evidence = EvidenceForm(request.POST, domains=domains)
            if evidence.is_valid():
                return _sent(request, entry, evidence.evidence())
    wrong = scope.errors or (evidence is not None and evidence.errors)
    context = {
        "entry": entry, "organisation": organisation, "is_open": is_open, "scope": scope, "evidence": evidence,
        "missing": [check["says"] for check in entry.checks if not check["ok"]] if entry and entry.checks else [],
        "may_submit": permissions.can(permissions.require_representative, request.user, organisation),
    }  # fmt: skip
    return render(request, "consent/registry_request.html", context, status=422 if wrong else 200)


def _sent(request, entry, evidence):
    if entry.status == S.INCOMPLETE:
        entry = registry.complete(entry, by=request.user, evidence=evidence)
    elif permissions.can(permissions.require_representative, request.user, entry.organisation):
        entry = registry.submit(entry, by=request.user, evidence=evidence)
    else:
        registry.draft(
            entry.organisation, by=request.user, domains=entry.domains, zone_kinds=entry.zone_kinds, evidence=evidence
        )
        messages.success(request, _("Brouillon enregistré ; le représentant légal peut maintenant le déposer."))
        return redirect("registry-request")
    if entry.status == S.INCOMPLETE:
        messages.warning(request, _("Il manque des pièces : la liste complète est ci-dessous."))
    else:
        messages.success(request, _("Demande déposée, contrôles passés. L'agence décide sous peu."))
    return redirect("registry-request")


def review(request, pk):
    """A clerk's view of one file: each check with what it says, and the decision of two persons."""
    if not request.user.holds(Role.REGISTRY_OFFICER):
        raise Http404
    entry = get_object_or_404(RegistryEntry.objects.select_related("organisation", "requested_by"), pk=pk)
    acts = [act for (status, act) in registry.NEXT if status == entry.status and act in DECISIONS]
    first = {act: pending(f"registry.{act}", registry.countersign_ref(entry)) for act in acts}
    asked = request.POST.get("act") if request.method == "POST" else None
    forms = {
        act: DecisionForm(
            request.POST if act == asked else None, auto_id=f"{act}-%s", reason_required=act != "accredit"
        )
        for act in acts
    }
    if asked in forms and forms[asked].is_valid():
        decided = DECISIONS[asked](entry, by=request.user, reason=forms[asked].cleaned_data["reason"])
        if decided.status == entry.status:
            messages.success(request, _("Premier avis enregistré : un second agent, différent, doit le confirmer."))
        else:
            messages.success(request, _("Décision prise : %s.") % decided.get_status_display())
        return redirect("registry-review", pk=entry.pk)
    if request.method == "POST" and asked not in forms:
        registry.next_state(entry.status, asked or "")
    context = {
        "entry": entry, "scope": register.scope_in_words(entry),
        "acts": [{"name": act, "form": forms[act], "first": first[act]} for act in acts],
        "can_decide": permissions.can(
            permissions.require_registry_officer, request.user, concerned=entry.organisation
        ),
        "evidence": register.evidence_in_words(entry), "history": entry.accreditations.order_by("-period"),
    }  # fmt: skip
    wrong = any(form.is_bound and form.errors for form in forms.values())
    return render(request, "consent/registry_review.html", context, status=422 if wrong else 200)


@login_not_required
def list_(request):
    """The public list. Three queries, whatever its length."""
    query = request.GET.get("q", "").strip()[:100]
    page = Paginator(register.public(query), PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "query": query, "lines": [register.line(entry) for entry in page]}
    return render(request, "consent/registry_list.html", context)


@login_not_required
@conditional_page
def json_(request):
    """The same list as JSON (docs/reference/registre.schema.json); to be cached for five minutes."""
    page = Paginator(register.public(request.GET.get("q", "").strip()[:100]), 200).get_page(request.GET.get("page"))
    answer = JsonResponse(
        {
            "schema": "terrain/registre/1",
            "agency": register.agency_name(),
            "count": page.paginator.count,
            "page": page.number,
            "pages": page.paginator.num_pages,
            "entries": [register.as_json(entry, request) for entry in page],
        },
        json_dumps_params={"ensure_ascii": False, "indent": 1},
    )
    answer["Access-Control-Allow-Origin"] = "*"
    patch_cache_control(answer, public=True, max_age=300)
    return answer
