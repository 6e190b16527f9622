"""Offers: drafted by the operator, opined on, signed, published by two; public once published."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from broker import clock
from broker.accounts.countersigning import pending
from consent import permissions, terms, treatments
from consent.document import treatment_of
from consent.forms import CodeForm, ColumnForm, DecisionForm, GroupForm, OfferForm, OpinionForm
from consent.models import Offer, Opinion
from consent.transitions import offer as offers
from consent.words import BASES, CONDITIONS, purpose_label
from zones.models import ColumnRole, Dataset


def seen(request, pk) -> Offer:
    """The offer, when this person may know of it; otherwise a 404."""
    wanted = Offer.objects.for_user(request.user).select_related(
        "dataset__zone__operator", "dataset__holder", "dataset__service"
    )
    return get_object_or_404(wanted, pk=pk)


def create(request, slug):
    """Draft an offer on a dataset: one line a column, with its reason and its treatment in words."""
    dataset = get_object_or_404(Dataset.objects.select_related("zone__operator"), slug=slug)
    if not permissions.can(permissions.require_offer_writer, request.user, dataset.zone):
        raise Http404
    columns = list(dataset.columns.select_related("table"))
    for column in columns:
        column.dataset = dataset
    data = request.POST or None
    form = OfferForm(data, dataset=dataset, initial=_first_words(dataset))
    groups = _groups(data, columns)
    lines = [line for group in groups for line in group["lines"]]
    if request.method == "POST" and all([form.is_valid(), *(line.is_valid() for line in lines)]):
        chosen = [line for line in (line.line() for line in lines) if line]
        if chosen:
            made = offers.draft(dataset, by=request.user, columns=chosen, **form.facts())
            messages.success(request, _("Brouillon enregistré. Relisez-le, puis soumettez-le à décision."))
            return redirect("offer-detail", pk=made.pk)
        form.add_error(None, _("Choisissez au moins une colonne à remettre."))
    context = {
        "dataset": dataset, "form": form, "groups": groups, "wrong": sum(bool(line.errors) for line in lines),
        "identifiers": [column for column in columns if column.role in ("", ColumnRole.DIRECT_IDENTIFIER)],
    }  # fmt: skip
    return render(request, "consent/offer_create.html", context, status=422 if form.is_bound else 200)


ROLE_ORDER = (
    "subject_key", "record_key", "quasi_identifier", "birth", "measure", "timestamp", "geo", "staff", "sensitive",
    "free_text",
)  # fmt: skip


def _groups(data, columns) -> list[dict]:
    """The columns that may leave, by table where there are several, then by role. A group may be ticked as a whole and
    share one reason (but for those of reinforced sensitivity, approved one by one); identifiers never leave and have
    no line."""
    tables = list(dict.fromkeys(column.table for column in columns))
    groups = []
    for table in tables:
        for role in ROLE_ORDER:
            mine = [column for column in columns if column.role == role and column.table == table]
            if not mine:
                continue
            alone = role == ColumnRole.SENSITIVE
            name = role if len(tables) == 1 else f"{role}-{table.pk}"
            label = capfirst(ColumnRole(role).label)
            group = GroupForm(data, name=name) if not alone else None
            shared = group.shared() if group else None
            groups.append(
                {"name": name, "label": label if len(tables) == 1 else f"{table.name} · {label}", "form": group,
                 "lines": [ColumnForm(data, column=column, shared=shared, columns=columns) for column in mine]}
            )  # fmt: skip
    return groups


def _first_words(dataset) -> dict:
    """What a first draft may say by itself, for the officer to correct."""
    today = clock.today()
    zone = dataset.zone
    return {
        "title": dataset.title,
        "results_owner": _("l'Expérimentateur"),
        "price": _("gratuit"),
        "delivery_mode": "environment" if dataset.is_personal else "file_download",
        "environment_klass": "secure" if dataset.is_personal else "workstation",
        "models_fate": "kept_with_attestation",
        "starts_on": today,
        "notice_contact": zone.contact_email,
        "notice_rights": _("Accès, rectification, limitation, opposition sans motif : écrivez à %s.") % zone.dpo_email,
    }  # fmt: skip


@login_not_required
def detail(request, pk):
    """What is supplied, at what delay and cost; for the operator's people, opinions and whose turn it is."""
    offer = seen(request, pk)
    zone = offer.dataset.zone
    user = request.user
    inside = user.is_authenticated and _is_inside(user, offer)
    lines = list(offer.columns.select_related("column__dataset"))
    context = {
        "offer": offer, "dataset": offer.dataset, "zone": zone, "inside": inside,
        "purposes": [purpose_label(code) for code in offer.purposes],
        "columns": [
            {"column": line.column, "why": line.justification, "treatment": treatments.words(treatment_of(line)),
             "sensitive": line.approves_sensitive}
            for line in lines
        ],
        "basis": [BASES.get(offer.holder_basis.get("article_6")), CONDITIONS.get(offer.holder_basis.get("article_9"))],
        "notice_ready_on": notice_ready_on(offer), "today": clock.today(),
        "organisation": user.organisation if user.is_authenticated else None,
        "steps": steps(offer, user) if inside else [],
        "may_write": inside and permissions.can(permissions.require_offer_writer, user, zone),
        "holder_has_signed": offer.mandates.filter(party="holder").exists(),
        "acts": [
            {"name": name, "label": ACTS[name]} for name in ACTS
            if (offer.status, name) in offers.NEXT and permissions.can(permissions.require_operator, user, zone)
        ] if inside else [],
    }  # fmt: skip
    return render(request, "consent/offer_detail.html", context)


def _is_inside(user, offer) -> bool:
    """Whether this person is of the operator or of the holder, for whom the offer's making is shown."""
    zone = offer.dataset.zone
    return (
        permissions.can(permissions.require_suspender, user, zone)
        or user.belongs_to(zone.operator)
        or user.belongs_to(offer.dataset.holder)
    )


def notice_ready_on(offer):
    """The day from which the standing notice has been online long enough, or None when there is no notice to run."""
    if not offer.dataset.is_personal or offer.notice_published_at is None:
        return None
    return (offer.notice_published_at.astimezone(clock.PARIS) + timedelta(days=offers.notice_days())).date()


def steps(offer: Offer, user) -> list[dict]:
    """The way from draft to publication, each step with who acts and the link for whoever may."""
    zone = offer.dataset.zone
    opinions = {opinion.kind: opinion for opinion in offer.opinions.select_related("given_by")}
    mandates = {mandate.party: mandate for mandate in offer.mandates.select_related("signer")}
    first = pending("offer.publish", offers.countersign_ref(offer))
    status, may = offer.status, permissions.can
    reviewing = status == Offer.Status.UNDER_REVIEW
    made = [
        _step(_("Soumettre à décision"), "", status != "draft", status == "draft",
              may(permissions.require_offer_writer, user, zone), "offer-submit", offer, _("Relire et soumettre")),
        *(
            _step(
                str(Opinion.Kind(kind).label).capitalize(),
                f"{opinions[kind].given_by} : {opinions[kind].text}" if kind in opinions else whose,
                kind in opinions, reviewing and kind not in opinions, may(require, user, zone),
                "offer-opinion", offer, _("Donner l'avis"),
            )
            for kind, require, whose in (
                ("head_of_service", permissions.require_steward, _("au responsable de service d'agir")),
                ("dpo", permissions.require_dpo, _("au DPO d'agir")),
            )
        ),
        _step(_("Signature des termes par l'opérateur"),
              f"{mandates['operator'].signer}, {mandates['operator'].mandate}" if "operator" in mandates
              else _("au représentant légal d'agir"),
              "operator" in mandates, reviewing, may(permissions.require_representative, user, zone.operator),
              "offer-mandate", offer, _("Signer les termes")),
    ]  # fmt: skip
    if offers.has_distinct_holder(offer):
        made.append(
            _step(_("Signature des termes par le détenteur"), str(offer.dataset.holder), "holder" in mandates,
                  reviewing or status == "published",
                  may(permissions.require_representative, user, offer.dataset.holder), "offer-mandate", offer,
                  _("Signer les termes"))
        )  # fmt: skip
    ready = reviewing and not offers.missing_before_publication(offer)
    whose = (
        _("premier accord de %s ; à un second agent d'agir") % first.first_by if first else _("à deux agents d'agir")
    )
    made.append(
        _step(_("Publication, à deux"), "" if status == "published" else whose, offer.published_at is not None, ready,
              may(permissions.require_operator, user, zone), "offer-publish", offer, _("Décider"))
    )  # fmt: skip
    return made


def _step(label, words, done, current, may_act, route, offer, action) -> dict:
    url = reverse(route, args=[offer.pk]) if may_act and current and not done else ""
    return {"label": label, "text": words, "done": done, "current": current, "url": url, "action": action}


def submit(request, pk):
    """Read the draft once more, then ask for opinions and decision."""
    offer = seen(request, pk)
    if not permissions.can(permissions.require_offer_writer, request.user, offer.dataset.zone):
        raise Http404
    if request.method == "POST":
        offers.submit(offer, by=request.user)
        messages.success(request, _("Offre soumise : les avis sont demandés."))
        return redirect("offer-detail", pk=offer.pk)
    context = {
        "offer": offer,
        "missing": offers.missing_terms(offer),
        "columns": offer.columns.select_related("column"),
    }
    return render(request, "consent/offer_submit.html", context)


def opinion(request, pk):
    """The DPO's or the head of service's opinion."""
    offer = seen(request, pk)
    zone = offer.dataset.zone
    given = set(offer.opinions.values_list("kind", flat=True))
    kinds = [
        kind
        for kind, require in (("dpo", permissions.require_dpo), ("head_of_service", permissions.require_steward))
        if permissions.can(require, request.user, zone)
    ]
    if not kinds:
        raise Http404
    waiting = [kind for kind in kinds if kind not in given]
    kind = waiting[0] if waiting else kinds[0]
    form = OpinionForm(request.POST or None, initial={"kind": kind})
    if form.is_valid():
        offers.give_opinion(offer, by=request.user, **form.cleaned_data)
        messages.success(request, _("Avis enregistré."))
        return redirect("offer-detail", pk=offer.pk)
    context = {
        "offer": offer, "form": form, "kind": Opinion.Kind(kind).label, "done": not waiting,
        "columns": [
            {"line": line, "treatment": treatments.words(treatment_of(line))}
            for line in offer.columns.select_related("column__dataset")
        ],
    }  # fmt: skip
    return render(request, "consent/offer_opinion.html", context, status=422 if form.is_bound else 200)


def mandate(request, pk):
    """The legal representative signs the terms, whose fingerprint the page shows."""
    offer = seen(request, pk)
    parties = {"operator": offer.dataset.zone.operator}
    if offers.has_distinct_holder(offer):
        parties["holder"] = offer.dataset.holder
    mine = [p for p, body in parties.items() if permissions.can(permissions.require_representative, request.user, body)]
    if not mine:
        raise Http404
    shown = terms.sha256(offer)
    form = CodeForm(request.POST or None, initial={"sha256": shown})
    if form.is_valid():
        offers.sign_mandate(
            offer, by=request.user, party=mine[0], code=form.cleaned_data["code"],
            terms_sha256=form.cleaned_data["sha256"],
        )  # fmt: skip
        messages.success(request, _("Termes signés. Les conventions qui les reprennent porteront cette signature."))
        return redirect("offer-detail", pk=offer.pk)
    context = {
        "offer": offer, "form": form, "sha256": shown, "party": parties[mine[0]], "terms": terms.of(offer),
        "mandate": offers.mandate_of(request.user, parties[mine[0]]),
        "columns": [
            {"line": line, "treatment": treatments.words(treatment_of(line))}
            for line in offer.columns.select_related("column__dataset")
        ],
    }  # fmt: skip
    return render(request, "consent/offer_mandate.html", context, status=422 if form.is_bound else 200)


def publish(request, pk):
    """The decision of two officers; the second one's puts offer and notice online."""
    offer = seen(request, pk)
    if not permissions.can(permissions.require_operator, request.user, offer.dataset.zone):
        raise Http404
    form = DecisionForm(request.POST or None, reason_required=False)
    if form.is_valid():
        decided = offers.decide(offer, by=request.user, **form.cleaned_data)
        if decided.status == Offer.Status.PUBLISHED:
            messages.success(request, _("Offre publiée, notice en ligne."))
        else:
            messages.success(request, _("Premier accord enregistré : un second agent doit décider aussi."))
        return redirect("offer-detail", pk=offer.pk)
    context = {
        "offer": offer, "form": form, "missing": offers.missing_before_publication(offer),
        "first": pending("offer.publish", offers.countersign_ref(offer)),
    }  # fmt: skip
    return render(request, "consent/offer_publish.html", context, status=422 if form.is_bound else 200)


ACTS = {"suspend": gettext_lazy("Suspendre l'offre"), "resume": gettext_lazy("Remettre l'offre en ligne"),
        "end": gettext_lazy("Mettre fin à l'offre")}  # fmt: skip


def act(request, pk, name):
    """Suspend, put back online (by two), or end: what it changes is said first."""
    offer = seen(request, pk)
    if not permissions.can(permissions.require_operator, request.user, offer.dataset.zone):
        raise Http404
    offers.next_state(offer.status, name)
    form = DecisionForm(request.POST or None, reason_required=name == "suspend") if name != "end" else None
    if request.method == "POST" and (form is None or form.is_valid()):
        reason = {} if form is None else {"reason": form.cleaned_data["reason"]}
        verb = {"suspend": offers.suspend, "resume": offers.resume, "end": offers.end}[name]
        decided = verb(offer, by=request.user, **reason)
        if decided.status == offer.status:
            messages.success(request, _("Premier accord enregistré : un second agent doit décider aussi."))
        else:
            messages.success(request, _("Offre désormais « %s ».") % decided.get_status_display())
        return redirect("offer-detail", pk=pk)
    context = {
        "offer": offer, "form": form, "name": name, "title": ACTS[name],
        "first": pending("offer.resume", offers.countersign_ref(offer)) if name == "resume" else None,
        "live": offer.conventions.filter(status__in=("signing", "active", "suspended")).count(),
    }  # fmt: skip
    return render(request, "consent/offer_act.html", context, status=422 if form and form.is_bound else 200)


@require_POST
def version(request, pk):
    """Start a new version with the same terms."""
    made = offers.new_version(seen(request, pk), by=request.user)
    messages.success(request, _("Nouvelle version préparée en brouillon."))
    return redirect("offer-detail", pk=made.pk)


@login_not_required
def notice(request, pk):
    """The standing public notice of the offer: no login, plain words."""
    offer = get_object_or_404(
        Offer.objects.exclude(notice_published_at=None).select_related("dataset__zone__operator", "dataset__holder"),
        pk=pk,
    )
    labels = {
        "who": _("Qui réutilise"), "what": _("Quelles données"), "why": _("Pourquoi"), "basis": _("Sur quelle base"),
        "until": _("Jusqu'à quand"), "where": _("Où"), "rights": _("Vos droits"), "contact": _("À qui écrire"),
    }  # fmt: skip
    pairs = [(label, offer.notice.get(name, "")) for name, label in labels.items() if offer.notice.get(name)]
    columns = [line.column.description or line.column.path for line in offer.columns.select_related("column")]
    context = {"offer": offer, "dataset": offer.dataset, "zone": offer.dataset.zone, "pairs": pairs, "columns": columns}
    return render(request, "consent/offer_notice.html", context)
