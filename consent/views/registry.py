"""The registry: the founder's request, the clerk's review, the public list as a page and as JSON."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.db.models import Count, F
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import conditional_page

from broker.accounts.countersigning import pending
from broker.accounts.models import Role
from broker.errors import NotAllowed, WrongState
from consent import permissions, register
from consent.forms import DecisionForm, EvidenceForm, ObservationsForm, RegistryFilter, ScopeForm
from consent.models import RegistryEntry
from consent.transitions import registry

PAGE = 25
S = RegistryEntry.Status
DECISIONS = {
    "accredit": registry.accredit,
    "refuse": registry.refuse,
    "suspend": registry.suspend,
    "confirm": registry.confirm_suspension,
    "invite": registry.invite_observations,
    "reinstate": registry.reinstate,
    "withdraw": registry.withdraw,
}
QUEUES = {  # what a clerk's list holds, by the word in its address
    "": (S.SUBMITTED, S.UNDER_REVIEW),
    "incompletes": (S.INCOMPLETE,),
    "suspendus": (S.SUSPENDED,),
    "agrees": (S.ACCREDITED,),
    "closes": (S.REFUSED, S.ABANDONED, S.WITHDRAWN, S.EXPIRED),
}


TABS = {
    "": gettext_lazy("À instruire"),
    "incompletes": gettext_lazy("Incomplètes"),
    "suspendus": gettext_lazy("Suspendus"),
    "agrees": gettext_lazy("Agréés"),
    "closes": gettext_lazy("Closes"),
}
LABELS = {
    "accredit": gettext_lazy("Agréer"),
    "refuse": gettext_lazy("Refuser"),
    "suspend": gettext_lazy("Suspendre"),
    "confirm": gettext_lazy("Confirmer la suspension"),
    "invite": gettext_lazy("Inviter à présenter des observations"),
    "reinstate": gettext_lazy("Rétablir"),
    "withdraw": gettext_lazy("Retirer l'agrément"),
}


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
        "step": entry and registry.step_of(entry),
        "ended": None if entry else RegistryEntry.objects.filter(organisation=organisation).first(),
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


def queue(request):
    """A clerk's files: the first due first, with their age and the state of their checks."""
    if not request.user.holds(Role.REGISTRY_OFFICER):
        raise Http404
    wanted = request.GET.get("file", "")
    states = QUEUES.get(wanted, QUEUES[""])
    page = Paginator(_files(request.user, states), PAGE).get_page(request.GET.get("page"))
    counts = dict(
        RegistryEntry.objects.order_by().values_list("status").annotate(n=Count("pk")).values_list("status", "n")
    )
    context = {
        "page": page, "lines": register.files(page, request.user), "wanted": wanted,
        "tabs": [
            {"name": name, "label": TABS[name], "n": sum(counts.get(state, 0) for state in several)}
            for name, several in QUEUES.items()
        ],
    }  # fmt: skip
    return render(request, "consent/registry_queue.html", context)


def _files(user, states):
    return (
        RegistryEntry.objects.filter(status__in=states)
        .exclude(organisation__in=user.organisation_ids)
        .select_related("organisation")
        .order_by(F("due_on").asc(nulls_last=True), "submitted_at", "pk")
    )


def _neighbours(entry, user) -> dict:
    """The files before and after this one, in the order of the list it belongs to."""
    states = next((several for several in QUEUES.values() if entry.status in several), ())
    numbers = list(_files(user, states).values_list("pk", flat=True)[:500])
    place = numbers.index(entry.pk) if entry.pk in numbers else None
    if place is None:
        return {"next": numbers[0] if numbers else None, "left": len(numbers)}
    return {
        "previous": numbers[place - 1] if place else None,
        "next": numbers[place + 1] if place + 1 < len(numbers) else None,
        "place": place + 1, "left": len(numbers),
    }  # fmt: skip


def review(request, pk):
    """A clerk's view of one file: each check with what it says, and the decision of two persons."""
    if not request.user.holds(Role.REGISTRY_OFFICER):
        raise Http404
    entry = get_object_or_404(RegistryEntry.objects.select_related("organisation", "requested_by"), pk=pk)
    step = registry.step_of(entry)
    acts = _acts(entry, step)
    first = {act: pending(f"registry.{act}", registry.countersign_ref(entry)) for act in acts}
    if "confirm" in acts:
        first["confirm"] = registry.to_confirm(entry)
    asked = request.POST.get("act") if request.method == "POST" else None
    forms = {
        act: DecisionForm(
            request.POST if act == asked else None, auto_id=f"{act}-%s",
            reason_required=act not in ("accredit", "confirm"),
        )
        for act in acts
    }  # fmt: skip
    around = _neighbours(entry, request.user)
    if asked in forms and forms[asked].is_valid():
        done = DECISIONS[asked](entry, by=request.user, reason=forms[asked].cleaned_data["reason"])
        messages.success(request, f"{entry.organisation} : {_told(asked, entry, done)}")
        following = around.get("next") if "then" in request.POST else None
        return redirect("registry-review", pk=following or entry.pk)
    if request.method == "POST" and asked not in forms:
        registry.next_state(entry.status, asked or "")
        raise WrongState(_("Cet acte n'est pas possible aujourd'hui : la page du dossier dit ce qui l'est."))
    context = {
        "entry": entry, "scope": register.scope_in_words(entry), "step": step,
        "acts": [{"name": act, "form": forms[act], "first": first[act], "label": LABELS[act]} for act in acts],
        "can_decide": permissions.can(
            permissions.require_registry_officer, request.user, concerned=entry.organisation
        ),
        "evidence": register.evidence_in_words(entry), "history": register.periods(entry),
        "around": around, "age": register.age(entry),
        "failed": [check for check in entry.checks if not check["ok"]],
        "past": register.decisions(entry), "confirm_by": registry.confirm_by(entry),
        "conventions": register.live_conventions(entry),
    }  # fmt: skip
    wrong = any(form.is_bound and form.errors for form in forms.values())
    return render(request, "consent/registry_review.html", context, status=422 if wrong else 200)


def _acts(entry, step) -> list[str]:
    """What may be done to this file today, in the order of the page."""
    acts = [act for (status, act) in registry.NEXT if status == entry.status and act in DECISIONS]
    if "withdraw" in acts and (step is None or not step.is_held):
        acts.remove("withdraw")
        if step is None:
            acts.append("invite")
    if registry.to_confirm(entry) is not None:
        acts.insert(0, "confirm")
    return acts


def _told(asked, before, done) -> str:
    if asked == "invite":
        return _("Observations demandées : l'organisation répond jusqu'au %s.") % done.answer_by.strftime("%d/%m/%Y")
    if asked == "confirm":
        return _("Suspension confirmée à deux agents.")
    if asked == "suspend":
        return _("Agrément suspendu, accès coupés. Un second agent confirme sous deux jours ouvrés.")
    if done.status == before.status:
        return _("Premier avis enregistré : un second agent, différent, doit le confirmer.")
    return _("Décision prise : %s.") % done.get_status_display()


def observe(request):
    """The organisation's own page of the adversarial step: what is reproached, and its answer, once."""
    organisation = request.user.organisation
    entry = (
        RegistryEntry.objects.filter(organisation=organisation, adversarial_steps__isnull=False)
        .order_by("-adversarial_steps__opened_at")
        .first()
    )
    step = entry and entry.adversarial_steps.select_related("opened_by", "observed_by").first()
    if entry is None or not step:
        raise Http404
    may_answer = permissions.can(permissions.require_representative, request.user, organisation)
    is_open = step.closed_at is None and step.observed_at is None and entry.status in registry.LIVE
    form = ObservationsForm(request.POST or None) if may_answer and is_open else None
    if form is not None and form.is_valid():
        registry.observe(entry, by=request.user, observations=form.cleaned_data["observations"])
        messages.success(request, _("Vos observations sont au dossier : l'agence les lit avant de décider."))
        return redirect("registry-observe")
    if request.method == "POST" and form is None:
        raise NotAllowed(_("Seul le représentant légal répond, une fois, avant la décision."))
    context = {"entry": entry, "step": step, "form": form}
    wrong = form is not None and form.is_bound
    return render(request, "consent/registry_observe.html", context, status=422 if wrong else 200)


@login_not_required
def list_(request):
    """The public list, filtered by name, domain, kind of zone and state. Five queries, whatever its length."""
    filters = RegistryFilter(request.GET or None)
    chosen = filters.chosen()
    page = Paginator(register.public(**chosen), PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page, "filters": filters, "is_filtered": any(chosen.values()),
        "lines": register.lines(page), "counts": register.counts(),
    }  # fmt: skip
    return render(request, "consent/registry_list.html", context)


@login_not_required
@conditional_page
def json_(request):
    """The same list as JSON (docs/reference/registre.schema.json); to be cached for five minutes."""
    page = Paginator(register.public(**RegistryFilter(request.GET or None).chosen()), 200).get_page(
        request.GET.get("page")
    )
    listed = request.build_absolute_uri(reverse("registry-list"))
    answer = JsonResponse(
        {
            "schema": "terrain/registre/1",
            "agency": register.agency_name(),
            "count": page.paginator.count,
            "page": page.number,
            "pages": page.paginator.num_pages,
            "entries": [register.as_json(entry, listed) for entry in page],
        },
        json_dumps_params={"ensure_ascii": False},
    )
    answer["Access-Control-Allow-Origin"] = "*"
    patch_cache_control(answer, public=True, max_age=300)
    return answer
