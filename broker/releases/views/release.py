"""Pages of releases: ask, follow, read what was done, hand over."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from broker import clock
from broker.accounts import second_factor
from broker.audit.actor import of as actor_of
from broker.errors import NotAllowed, Reason, Refused
from broker.releases import actions, enclosing, engines, facts, manifest, permissions, rebuilds, withdrawals, words
from broker.releases.forms import ReleaseForm
from broker.releases.models import Release
from broker.releases.tables import columns_of
from consent import treatments
from consent.models import Convention, GateDecision

REASONS_OF_LOSS = {
    "no_subject": gettext_lazy("sans identifiant de personne"),
    "opposed": gettext_lazy("opposition des personnes"),
    "no_consent": gettext_lazy("sans consentement à cet usage"),
    "minor": gettext_lazy("mineurs ou âge inconnu"),
    "protected_persons": gettext_lazy("droits et protection des personnes"),
    "small_class": gettext_lazy("groupes trop petits"),
    "not_sampled": gettext_lazy("hors de l'échantillon"),
    "unreferred": gettext_lazy("lignes auxquelles aucune ligne remise ne renvoie"),
    "trimmed": gettext_lazy("bouts de trajets, arrêts, et points de trop dans la minute"),
}
# What these cost is told to the operator alone (legal-gate, scenarios 8 and 12).
TOLD_TO_OPERATOR = ("exclude_minors", "exclude_opposed_subjects", "keep_consented_subjects_only")

SHOWN_WARNINGS = 6
SHOWN_EVENTS = 12


def _releases(request):
    return Release.objects.for_user(request.user).select_related(
        "convention__organisation", "convention__zone", "convention__environment", "convention__offer",
        "dataset_version__dataset", "decision", "requested_by", "key", "replaces__convention",
    )  # fmt: skip


def create(request, ref):
    convention = get_object_or_404(
        Convention.objects.for_user(request.user).select_related("offer__dataset", "zone", "environment"), ref=ref
    )
    if not permissions.may_request(request.user, convention):
        raise NotAllowed(_("Seules les personnes nommées par la convention demandent une remise."))
    form = ReleaseForm(request.POST or None, convention=convention, ticked=request.GET.getlist("colonne"))
    if request.method == "POST" and form.is_valid():
        try:
            release = actions.request_release(
                convention, by=request.user, second_factor_at=second_factor.at(request),
                address=request.client_address, columns=form.cleaned_data["columns"],
                per_mille=form.per_mille,
            )  # fmt: skip
        except Refused as refused:
            return form_page(request, convention, form, status=refused.status, reasons=refused.reasons)
        messages.success(request, _("Demande permise et enregistrée : la préparation commence."))
        return redirect("release-detail", pk=release.pk)
    return form_page(request, convention, form, status=422 if form.is_bound else 200)


def form_page(request, convention, form, *, status: int, reasons=()):
    context = {
        "convention": convention, "form": form, "version": actions.newest_version(convention), "reasons": reasons,
        "is_named": permissions.is_named(request.user, convention),
    }  # fmt: skip
    return render(request, "releases/release_create.html", context, status=status)


@require_GET
def detail(request, pk):
    release = get_object_or_404(_releases(request), pk=pk)
    return render(request, "releases/release_detail.html", _told(request, release))


@require_GET
def progress(request, pk):
    """The part of the page that changes while the release is built; it asks for the whole page once it is over."""
    release = get_object_or_404(Release.objects.for_user(request.user), pk=pk)
    answer = render(request, "releases/_progress.html", {"release": release, **_advance(release)})
    if _is_over(release):
        answer["HX-Refresh"] = "true"
    return answer


@require_GET
def state(request, pk):
    """The same for a machine, as JSON."""
    return JsonResponse(facts.state_of(get_object_or_404(Release.objects.for_user(request.user), pk=pk)))


def _with_manifest(request, pk) -> Release:
    release = get_object_or_404(Release.objects.for_user(request.user), pk=pk)
    if not release.manifest:
        raise NotAllowed(_("Le manifeste est écrit quand la remise est prête."))
    return release


def _attached(content: bytes, name: str, kind: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_GET
def manifest_json(request, pk):
    """The very bytes that were signed."""
    release = _with_manifest(request, pk)
    name = f"manifeste-{str(release.pk)[:8]}.json"
    return _attached(manifest.canonical(release.manifest), name, "application/json")


@require_GET
def manifest_sig(request, pk):
    """The signature of `manifest_json`, 64 bytes of Ed25519."""
    release = _with_manifest(request, pk)
    if not release.signature:
        raise NotAllowed(_("Cette remise date d'avant les manifestes signés : demandez-en une nouvelle."))
    return _attached(bytes(release.signature), f"manifeste-{str(release.pk)[:8]}.sig", "application/octet-stream")


@require_GET
def enclosed(request, pk, name):
    """A file that goes with the release: licence, data package, Croissant."""
    release = _with_manifest(request, pk)
    if name not in release.enclosed:
        raise NotAllowed(_("Cette remise date d'avant les fichiers joints : demandez-en une nouvelle."))
    return _attached(release.enclosed[name].encode(), name, enclosing.TYPES[name])


@require_POST
def order(request, pk):
    release = get_object_or_404(_releases(request), pk=pk)
    given = actions.give_order(release, by=request.user, second_factor_at=second_factor.at(request))
    messages.success(
        request,
        _("Ordre %(number)s donné à « %(name)s » : il sert une fois, dans les 24 heures.")
        % {"number": given.pk, "name": release.convention.environment.name},
    )
    return redirect(reverse("release-detail", args=[release.pk]) + f"?ordre={given.pk}")


@require_POST
def rebuild(request, pk):
    """Have a release that is no longer up to date built again, now rather than by the periodic job."""
    release = get_object_or_404(_releases(request), pk=pk)
    rebuilt = rebuilds.start(release, by=request.user)
    withdrawals.ask(release.convention.zone)
    messages.success(request, _("Une nouvelle version se prépare ; elle remplacera celle-ci."))
    return redirect("release-detail", pk=rebuilt.pk)


def _is_over(release: Release) -> bool:
    return release.status not in (Release.Status.QUEUED, Release.Status.BUILDING)


def _advance(release: Release) -> dict:
    """How far the build is, in words; how many wait before it while it waits."""
    before = 0
    if release.status == Release.Status.QUEUED:
        before = Release.objects.filter(
            status__in=(Release.Status.QUEUED, Release.Status.BUILDING), requested_at__lt=release.requested_at
        ).count()
    return {"over": _is_over(release), "step": words.step(release.progress.get("step", "")), "before": before}


def _told(request, release: Release) -> dict:
    """What the page says of a release, to this reader."""
    named = permissions.is_named(request.user, release.convention)
    whole = permissions.sees_reasons_of_loss(request.user, release)
    ready = release.status == Release.Status.READY
    received = list(release.receipts.order_by("pk"))
    versions = _versions(request, release)
    return {
        "release": release,
        **_advance(release),
        **versions,
        "columns": [(path, treatments.words(c["treatment"])) for path, c in columns_of(release.recipe).items()],
        "mends": [said for _table, mends in manifest.mends_of(release.recipe) for said in mends],
        "bars": bars(_rows(release), whole=whole) if release.rows_in else [],
        "groups": (groups := _groups(release)),
        "warned": [(g["column"], v) for g in groups for v in g["values"] if v["warn"]][:SHOWN_WARNINGS],
        "tables": _tables(release, whole),
        "leaving": words.leaving(release.recipe),
        "sees_all": whole,
        "receipts": [
            (
                one,
                words.receipt(one.obligation, one.figures, release.recipe),
                whole or one.obligation not in TOLD_TO_OPERATOR,
            )
            for one in received
        ],
        "reasons": _refusal(request, release),
        "may_ask": named,
        "may_order": named and ready and release.delivery_mode == "environment",
        "may_download": named and ready and release.delivery_mode == "file_download",
        "orders": _orders(release) if named else [],
        "download_url": actions.delivery_address(f"/telecharger/{release.pk}/"),
        "pull_base": actions.delivery_address("/ordres/"),
        "engine": engines.in_words(release.recipe["engine"]),
    }


def _versions(request, release: Release) -> dict:
    """Whether somebody inside has said no since, what replaces it or what it replaces, and what happened, in order."""
    ready, withdrawn = release.status == Release.Status.READY, release.status == Release.Status.WITHDRAWN
    is_stale = ready and release.recipe["personal"] and facts.is_stale(release)
    newer = release.rebuilds.exclude(status=Release.Status.FAILED).order_by("-requested_at").first()
    failed = None if newer or not is_stale else release.rebuilds.order_by("-requested_at").first()
    events = [{"at": release.requested_at, "label": _("Demandée"), "who": release.requested_by.full_name}]
    if former := release.replaces:
        was_kept = former.kept_until is None or former.kept_until >= release.requested_at.astimezone(clock.PARIS).date()
        label = (
            _("Refaite, pour respecter les droits des personnes")
            if was_kept
            else _("Refaite, son fichier ayant expiré")
        )
        events[0] = {"at": release.requested_at, "label": label}
    if release.built_at:
        events.append({"at": release.built_at, "label": _("Prête"), "tone": "ok"})
    for one in release.deliveries.order_by("-started_at")[:SHOWN_EVENTS]:
        label = {"complete": _("Prise en entier"), "cut": _("Téléchargement coupé après %s octets")}.get(
            one.outcome, _("Téléchargement interrompu")
        )
        if one.outcome == "cut":
            label %= number_format(one.bytes_sent, force_grouping=True)
        events.append({"at": one.started_at, "label": label, "tone": "ok" if one.outcome == "complete" else "no"})
    if withdrawn and newer and newer.built_at:
        events.append({"at": newer.built_at, "label": _("Remplacée, son fichier est supprimé"), "tone": "no"})
    may = rebuilds.may_start(request.user, release)
    expired = release.status == Release.Status.EXPIRED
    return {
        "is_expired": expired,
        "why_not_rebuilt": rebuilds.why_not(release) if expired and newer is None else "",
        "is_stale": is_stale,
        "newer": newer,
        "rebuild_failed": failed,
        "may_rebuild": (is_stale or expired) and newer is None and may,
        "events": sorted(events, key=lambda event: event["at"]),
        "withdrawals": list(release.withdrawal_orders.order_by("-issued_at")[:SHOWN_EVENTS]),
    }


def _rows(release: Release) -> dict:
    return {"rows_in": release.rows_in, "rows_out": release.rows_out, "dropped": release.dropped}


def bars(found, *, whole: bool, to=None) -> list[dict]:
    """Rows kept and lost, as shares of the source. The reasons that say who objected are for the operator alone.

    `found`: rows_in, rows_out and dropped; `to`, when given, says each number of rows as its reader may know it."""
    dropped = found["dropped"]
    if not whole:
        dropped = _lost_as_told(dropped)
    rows: list[dict[str, Any]] = [{"label": _("remises"), "count": found["rows_out"], "tone": "ok"}]
    rows += [{"label": REASONS_OF_LOSS[name], "count": count, "tone": "no"} for name, count in dropped.items() if count]
    for row in rows:
        row["count"] = to(row["count"], whole=whole) if to else row["count"]
        row["share"] = 100 * row["count"] / found["rows_in"] if found["rows_in"] else 0
    return rows


def _lost_as_told(dropped: dict) -> dict:
    told = manifest.lost_to_tell(dropped)
    return {"small_class" if name == "small_classes" else name: count for name, count in told.items()}


def _tables(release: Release, whole: bool) -> list[dict]:
    """Each table of a release of several: rows read, released, and why the others stayed, as this reader may know."""
    found = []
    for one in release.progress.get("tables", []):
        dropped = one["dropped"]
        if not whole:
            dropped = _lost_as_told(dropped)
        lost = [(REASONS_OF_LOSS[name], count) for name, count in dropped.items() if count]
        found.append({**one, "lost": lost})
    return found


def _groups(release: Release) -> list[dict]:
    """Who loses rows to small classes, by value of each quasi-identifier: shares only, and a warning at three times
    the mean. A group smaller than k is merged into the others before it is shown."""
    losses = release.progress.get("losses") or {}
    lost = release.dropped.get("small_class", 0)
    base = (release.rows_out or 0) + lost
    if not base:
        return []
    mean = 100 * lost / base
    groups = []
    for column, values in losses.items():
        shown = [(value, before, gone) for value, before, gone in values if before - gone > 0]
        groups.append(
            {
                "column": column,
                "values": [
                    {
                        "label": value if value is not None else _("non renseigné"),
                        "share": 100 * gone / before,
                        "kept": 100 - 100 * gone / before,
                        "warn": bool(gone) and 100 * gone / before >= 3 * mean,
                    }
                    for value, before, gone in shown
                ],
                "vanished": len(values) - len(shown),
            }
        )
    return groups


def _refusal(request, release: Release) -> list[Reason]:
    """Why the download just asked was refused (the delivery server sends the person back here)."""
    asked = request.GET.get("refus", "")
    if not asked:
        return []
    denied = GateDecision.objects.filter(
        object_ref=facts.reference(release), actor_ref=actor_of(request.user).ref, effect="deny"
    )
    found = next((one for one in denied[:20] if str(one.pk) == asked), None)
    english = (get_language() or "fr").startswith("en")
    return [
        Reason(one["rule"], one["message_en" if english else "message_fr"], " ; ".join(one["sources"]), one["link"])
        for one in (found.reasons if found else [])
        if one["effect"] in ("deny", "indeterminate")
    ]


def _orders(release: Release):
    from broker.accounts.models import MachineOrder

    return MachineOrder.objects.filter(object_ref=facts.reference(release)).select_related("person", "used_by")[:10]
