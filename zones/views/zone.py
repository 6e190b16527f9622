"""Pages of zones: the public ones, and those of the people who run them."""

from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from broker import clock
from broker.accounts.models import User
from broker.errors import BadInput, NotAllowed
from zones import actions, catalogue, drawing, facts, geography, permissions, rules
from zones.forms import EVIDENCE, JOINED, NESTED, ReasonForm, SensorForm, ServiceForm, SiteForm, ZoneForm
from zones.models import Dataset, Zone
from zones.models.zone import STAFF_ROLES

PAGE = 25
CARDS = 12  # datasets on the page of their zone, at a time
NESTED_NAMES = set(NESTED.values())
ACCESS_TONES = {"today": "ok", "notice": "wait", "open": "ok", "none": "quiet"}
TONES = {"draft": "wait", "open": "ok", "suspended": "no", "closed": "quiet"}
ROLE_WORDS = {
    "operate": (_l("Agit pour l'opérateur"), _l("Prépare et ouvre la zone, publie des jeux et des offres.")),
    "steward": (_l("Répond des données"), _l("Confirme les rôles des colonnes ; chef de service ou responsable.")),
    "advise": (_l("Donne l'avis du DPO"), _l("Délégué à la protection des données.")),
    "audit": (_l("Lit le journal"), _l("Lit les événements de la zone.")),
}
KIND_WORDS = {
    Zone.Kind.HOSPITAL: _l("Des services accueillent des essais pendant trois mois au moins."),
    Zone.Kind.CARE_NETWORK: _l("Une ville et trois sortes de soignants au moins, réunis par écrit."),
    Zone.Kind.ECO_DISTRICT: _l("Un quartier qui produit et consomme, mesuré."),
    Zone.Kind.AV_CITY: _l("Une ville de 50 000 habitants au moins, équipée et cartographiée."),
    Zone.Kind.AV_MOTORWAY: _l("Une section continue de plus de 100 km."),
    Zone.Kind.AV_MOUNTAIN: _l("Des lacets, de fortes pentes ou l'hiver."),
    Zone.Kind.INDUSTRIAL_SITE: _l("Une usine instrumentée : maintenance ou émissions."),
}


def access_in_words(dataset) -> tuple[str, str]:
    """When a dataset of the catalogue may be had, and the tone of its badge."""
    access = catalogue.access_of(dataset)
    return catalogue.ACCESS[access], ACCESS_TONES[access]


def zone_or_404(request, slug: str) -> Zone:
    return get_object_or_404(Zone.objects.for_user(request.user).select_related("operator"), slug=slug)


def own_zone_or_404(request, slug: str, act: str) -> Zone:
    """The zone, for somebody who may do `act` in it. Raises NotAllowed."""
    zone = zone_or_404(request, slug)
    permissions.require(request.user, act, zone)
    return zone


MOST_ON_MAP = 500


@login_not_required
@require_GET
def zone_list(request):
    kind = request.GET.get("nature", "")
    kind = kind if kind in Zone.Kind.values else ""
    known = Zone.objects.for_user(request.user).order_by()
    kinds = {row["kind"]: row["n"] for row in known.values("kind").annotate(n=Count("pk"))}
    chosen = known.filter(kind=kind) if kind else known
    zones = (
        chosen.select_related("operator")
        .annotate(published=Count("datasets", filter=Q(datasets__status=Dataset.Status.PUBLISHED)))
        .order_by("name", "pk")
    )
    page = Paginator(zones, PAGE).get_page(request.GET.get("page"))
    for zone in page:
        zone.tone = TONES[zone.status]
        zone.places = [found.name for code in zone.communes[:3] if (found := geography.find(code))]
    placed = chosen.public().order_by("name").values_list("name", "communes")[:MOST_ON_MAP]
    context = {
        "page": page,
        "kind": kind,
        "kinds": [(value, label, kinds[value]) for value, label in Zone.Kind.choices if value in kinds],
        "total": sum(kinds.values()),
        "map": drawing.france_map((name, tuple(codes)) for name, codes in placed),
        "may_create": permissions.may_create_zone(request.user),
    }
    return render(request, "zones/zone_list.html", context)


@require_http_methods(["GET", "POST"])
def zone_create(request):
    """The kind first, then what this kind is asked."""
    operators = [o for o in request.user.organisations if o.kind == o.Kind.OPERATOR]
    if not operators:
        raise NotAllowed(_("Seule une personne d'un organisme opérateur prépare une zone."))
    kind = request.GET.get("nature", "")
    if kind not in Zone.Kind.values:
        kinds = [(k.value, k.label, KIND_WORDS[k]) for k in Zone.Kind]
        return render(request, "zones/zone_kinds.html", {"kinds": kinds})
    form = ZoneForm(request.POST or None, kind=kind, initial={"dpo_email": operators[0].dpo_email})
    if form.is_valid():
        zone = actions.create_zone(by=request.user, kind=kind, operator=operators[0], **form.presented())
        messages.success(request, _("Brouillon enregistré. Voici ce qui reste à faire avant d'ouvrir la zone."))
        return redirect(zone)
    return render(
        request,
        "zones/zone_form.html",
        {"form": form, "kind": Zone.Kind(kind), "words": KIND_WORDS[Zone.Kind(kind)], "operator": operators[0]},
        status=422 if form.is_bound else 200,
    )


@require_http_methods(["GET", "POST"])
def zone_edit(request, slug):
    zone = own_zone_or_404(request, slug, "edit_zone")
    form = ZoneForm(request.POST or None, kind=zone.kind, instance=zone)
    if form.is_valid():
        actions.amend_zone(zone, by=request.user, **form.presented())
        messages.success(request, _("Dossier corrigé."))
        return redirect(zone)
    return render(
        request,
        "zones/zone_form.html",
        {"form": form, "zone": zone, "kind": Zone.Kind(zone.kind), "operator": zone.operator},
        status=422 if form.is_bound else 200,
    )


@require_GET
def commune_search(request):
    """A fragment: the communes that a text finds, with code and population."""
    return render(
        request, "zones/_communes.html", {"found": geography.search(request.GET.get("commune", "")), "asked": True}
    )


@login_not_required
@require_GET
def zone_detail(request, slug):
    zone = zone_or_404(request, slug)
    held = permissions.roles_on(request.user, zone)
    may = {act for act in permissions.ROLES_OF if permissions.may(request.user, act, zone, held=held)}
    sites = list(zone.sites.select_related("service").prefetch_related("sensors")[:100])
    today = clock.today()
    services: list[Any] = list(zone.services.all()[:100])
    for service in services:
        service.hosts_today = service.participation_from <= today <= service.participation_until
        service.is_over = service.participation_until < today
    found = Dataset.objects.filter(zone=zone)
    if not may & {"see_profile"}:
        found = found.filter(status=Dataset.Status.PUBLISHED)
    datasets = Paginator(catalogue.Shown(found), CARDS).get_page(request.GET.get("page"))
    for dataset in datasets:
        dataset.access_words, dataset.access_tone = access_in_words(dataset)
    context = {
        "zone": zone,
        "tone": TONES[zone.status],
        "may": may,
        "services": services,
        "sites": sites,
        "datasets": datasets,
        "makings": _makings(zone),
        "communes": [found for code in zone.communes if (found := geography.find(code))],
        "edition": geography.EDITION,
        "length_km": rules.length_km(zone.evidence),
        "section": drawing.section(float(rules.length_km(zone.evidence)), asked_km=float(rules.THRESHOLDS.motorway_km)),
        "asked_km": rules.THRESHOLDS.motorway_km,
        "road": drawing.road_profile(zone.evidence.get("altitudes") or []),
        "map": drawing.zone_map(zone.communes, sites),
    }
    if "close_zone" in may and zone.status != Zone.Status.CLOSED:
        context["closing"] = actions.pending_closing(zone)
    if "see_profile" in may and zone.status == Zone.Status.OPEN and zone.checked_on:
        context |= {"failing": facts.refusals(zone), "check_on": rules.check_due(zone.checked_on)}
    if "see_profile" in may or "give_roles" in may:
        context |= _preparation(zone, request.user)
    return render(request, "zones/zone_detail.html", context)


DRAWN = {"altitudes", "length_km"}  # shown otherwise


def _makings(zone: Zone) -> list[tuple[str, str]]:
    """What makes it a zone of its kind: the evidence of its file, in words."""
    said = {**zone.evidence, **{k: v for nest in NESTED_NAMES for k, v in zone.evidence.get(nest, {}).items()}}
    makings = []
    for name, asked in EVIDENCE[zone.kind].items():
        value = said.get(name)
        if not value or name in DRAWN or name.endswith(JOINED):
            continue
        if joined := said.get(f"{name}{JOINED}"):
            words = _("%(name)s, adhésion écrite du %(day)s") % {
                "name": value, "day": date_format(date.fromisoformat(joined), "j F Y"),
            }  # fmt: skip
        elif isinstance(asked, forms.ChoiceField):
            words = str(dict(asked.choices).get(value, value))
        elif isinstance(asked, forms.BooleanField):
            words = _("oui")
        elif isinstance(asked, forms.DateField):
            words = date_format(date.fromisoformat(value), "j F Y")
        else:
            words = str(value)
        makings.append((str(asked.label), words))
    return makings


def _preparation(zone: Zone, user: User) -> dict:
    """What is still to do before the zone opens, and who must act."""
    if zone.status not in (Zone.Status.DRAFT, Zone.Status.SUSPENDED):
        return {}
    pending = actions.pending_opening(zone)
    able = [person for person, roles in actions.people_of(zone) if "operate" in roles]
    return {
        "preparing": True,
        "reasons": facts.refusals(zone),
        "pending": pending,
        "signed_by_me": pending is not None and pending.first_by_id == user.pk,
        "able": able,
        "others_able": [person for person in able if pending is None or person.pk != pending.first_by_id],
    }


@require_POST
def zone_open(request, slug):
    """The first person proposes, the second opens: one button, whose meaning the page says beforehand."""
    zone = own_zone_or_404(request, slug, "open_zone")
    if actions.pending_opening(zone) is None:
        actions.propose_opening(zone, by=request.user)
        messages.success(request, _("Ouverture proposée. Une autre personne de l'opérateur doit contresigner."))
    else:
        actions.open_zone(zone, by=request.user)
        messages.success(request, _("La zone est ouverte."))
    return redirect(zone)


@require_http_methods(["GET", "POST"])
def zone_suspend(request, slug):
    zone = own_zone_or_404(request, slug, "suspend_zone")
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        actions.suspend_zone(zone, by=request.user, **form.cleaned_data)
        messages.success(request, _("La zone est suspendue : plus aucun accès à ses données."))
        return redirect(zone)
    context = {"zone": zone, "form": form, "title": _("Suspendre la zone"), "act": "suspend"}
    return render(request, "zones/zone_end.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def zone_close(request, slug):
    """The first person proposes, the second closes for good; a draft is dropped by one."""
    zone = own_zone_or_404(request, slug, "close_zone")
    pending = actions.pending_closing(zone)
    mine = pending is not None and pending.first_by_id == request.user.pk
    form = ReasonForm(request.POST or None)
    if form.is_valid() and not mine:
        if pending is None and zone.status != Zone.Status.DRAFT:
            actions.propose_closing(zone, by=request.user, **form.cleaned_data)
            messages.success(request, _("Fermeture proposée. Une autre personne de l'opérateur doit contresigner."))
            return redirect(zone)
        actions.close_zone(zone, by=request.user, **form.cleaned_data)
        messages.success(request, _("La zone est fermée."))
        return redirect("zone-list")
    title = (
        _("Abandonner le brouillon") if zone.status == Zone.Status.DRAFT
        else _("Contresigner la fermeture") if pending else _("Proposer la fermeture")
    )  # fmt: skip
    context = {"zone": zone, "form": form, "title": title, "act": "close", "pending": pending, "mine": mine}
    return render(request, "zones/zone_end.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def zone_people(request, slug):
    """Who has which role, and the two buttons of each: give, take."""
    zone = own_zone_or_404(request, slug, "give_roles")
    people = actions.people_of(zone)
    problem = ""
    if request.method == "POST":
        problem = _change_role(request, zone, {user.email: user for user, _held in people})
        if not problem:
            return redirect("zone-people", slug)
    page = Paginator(people, PAGE).get_page(request.GET.get("page"))
    rows = [(user, [(role, ROLE_WORDS[role][0], role in roles) for role in STAFF_ROLES]) for user, roles in page]
    context = {
        "zone": zone,
        "rows": rows,
        "page": page,
        "people": [user for user, _held in people],
        "roles": [(role, *ROLE_WORDS[role]) for role in STAFF_ROLES],
        "problem": problem,
    }
    return render(request, "zones/zone_people.html", context, status=422 if problem else 200)


def _change_role(request, zone: Zone, colleagues: dict[str, User]) -> str:
    """Give or take one role; what is wrong with the request, or "" when it was done."""
    user, role = colleagues.get(request.POST.get("person", "")), request.POST.get("role", "")
    if user is None:
        return _("Choisissez une personne de la liste.")
    if role not in STAFF_ROLES:
        return _("Choisissez un rôle.")
    verb = actions.take_role if request.POST.get("act") == "take" else actions.give_role
    try:
        verb(zone, by=request.user, user=user, role=role)
    except BadInput as problem:
        return str(problem)
    messages.success(request, _("Rôles de %(person)s mis à jour.") % {"person": user})
    return ""


def _add(request, slug, form_of, verb, title, told, *, note=""):
    """One page for everything that is added to a zone: a form, its verb, back to the zone."""
    zone = own_zone_or_404(request, slug, "add_place")
    form = form_of(zone)
    if form.is_valid():
        try:
            verb(zone, by=request.user, **form.cleaned_data)
        except BadInput as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, told)
            return redirect(zone)
    context = {"zone": zone, "form": form, "title": title, "note": note}
    return render(request, "zones/place_form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def service_create(request, slug):
    return _add(
        request, slug, lambda zone: ServiceForm(request.POST or None), actions.add_service,
        _("Ajouter un service d'accueil"), _("Service ajouté."),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
def service_edit(request, slug, pk):
    """Correct a service or bring its last day forward; one added by mistake is removed."""
    zone = own_zone_or_404(request, slug, "add_place")
    service = get_object_or_404(zone.services, pk=pk)
    if request.POST.get("act") == "remove":
        actions.remove_service(service, by=request.user)
        messages.success(request, _("Service enlevé."))
        return redirect(zone)
    form = ServiceForm(request.POST or None, instance=service)
    if form.is_valid():
        try:
            actions.amend_service(service, by=request.user, **form.cleaned_data)
        except BadInput as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, _("Service corrigé."))
            return redirect(zone)
    context = {
        "zone": zone, "form": form, "title": _("Corriger « %(name)s »") % {"name": service.name},
        "submit": _("Enregistrer"),
        "note": _("Avancer le dernier jour met fin à ce que le service accueille ; ce jour est compris."),
        "removable": not (service.datasets.exists() or service.sites.exists()),
    }  # fmt: skip
    return render(request, "zones/place_form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def site_create(request, slug):
    return _add(
        request, slug, lambda zone: SiteForm(request.POST or None, zone=zone), actions.add_site,
        _("Ajouter un site"), _("Site ajouté."),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
def sensor_create(request, slug):
    return _add(
        request, slug, lambda zone: SensorForm(request.POST or None, zone=zone), actions.add_sensor,
        _("Ajouter un capteur"), _("Capteur ajouté."),
        note=_("Un capteur est posé sur un site : ajoutez d'abord le site."),
    )  # fmt: skip
