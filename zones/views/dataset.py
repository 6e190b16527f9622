"""Pages of datasets and their versions, the upload that seals as it reads, the roles of columns, the publication."""

from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from broker.errors import BadInput, WrongState
from broker.middleware import takes
from zones import actions, catalogue, coding, drawing, permissions, quality, sealing, tables
from zones.catalogue import Asked
from zones.forms import (
    DELIMITER_NAMES,
    ENCODING_NAMES,
    CatalogueForm,
    DatasetForm,
    DatasetWordsForm,
    LinkForm,
    ReasonForm,
    RereadForm,
    UploadForm,
    said,
)
from zones.models import ColumnRole, Dataset, DatasetVersion, SensitiveClass, VersionFile
from zones.reading import LIMITS, Reading, accepted, chosen_among, mends_in_words, proposals_in_words
from zones.views.zone import PAGE, access_in_words, own_zone_or_404

TONES = {"draft": "wait", "published": "ok", "withdrawn": "quiet"}
VERSION_TONES = {"draft": "quiet", "received": "wait", "profiling": "wait", "profiled": "ok", "refused": "no"}
STEPS = {
    "received": _l("Reçu et scellé. L'examen va commencer."),
    "open": _l("Ouverture et lecture stricte du fichier"),
    "load": _l("Lecture de toutes les lignes"),
    "columns": _l("Examen des colonnes"),
    "links": _l("Mesure des clés entre les tables"),
    "classes": _l("Combien de personnes partagent les mêmes valeurs"),
    "done": _l("Examen terminé"),
}
TYPES = {
    "integer": _l("nombre entier"),
    "number": _l("nombre"),
    "date": _l("date"),
    "timestamp": _l("date et heure"),
    "text": _l("texte"),
    "empty": _l("vide"),
}
HIDDEN_VALUES = frozenset({"direct_identifier", "subject_key", "record_key", "birth", "free_text", "staff"})


def dataset_or_404(request, slug: str) -> Dataset:
    visible = Dataset.objects.for_user(request.user)
    return get_object_or_404(visible.select_related("zone__operator", "service", "holder"), slug=slug)


def own_dataset_or_404(request, slug: str, act: str) -> Dataset:
    dataset = dataset_or_404(request, slug)
    permissions.require(request.user, act, dataset.zone)
    return dataset


@login_not_required
@require_GET
def catalogue_page(request):
    form = CatalogueForm(request.GET)
    asked = form.asked()
    facets = catalogue.facets(asked)
    pages = catalogue.CountedPaginator(catalogue.Shown(catalogue.search(asked), "zone"), PAGE, total=facets.total)
    page = pages.get_page(request.GET.get("page"))
    for dataset in page:
        dataset.access_words, dataset.access_tone = access_in_words(dataset)
    context = {
        "form": form, "page": page, "asked": asked, "filters": _filters(form, asked, facets),
        "chips": _chips(form, asked),
    }  # fmt: skip
    return render(request, "zones/catalogue.html", context)


def _address(form: CatalogueForm, asked: Asked, **change: str) -> str:
    """The catalogue's query with one filter changed: the first page of what it finds."""
    said = {name: change.get(name, getattr(asked, name)) for name in form.fields}
    return "?" + urlencode({name: value for name, value in said.items() if value})


def _filters(form: CatalogueForm, asked: Asked, facets: catalogue.Facets) -> list[dict[str, Any]]:
    """The values of each filter that would leave something, with how many, and the address that asks for them."""
    rows = []
    for name, counts in facets.counts.items():
        chosen = getattr(asked, name)
        values = [
            {
                "label": label, "count": counts[value], "is_chosen": value == chosen,
                "address": _address(form, asked, **{name: "" if value == chosen else value}),
            }
            for value, label in cast(forms.ChoiceField, form.fields[name]).choices
            if counts[value] or value == chosen
        ]  # fmt: skip
        rows.append({"label": form.fields[name].label, "values": values})
    order = list(form.fields)
    labels = {form.fields[name].label: order.index(name) for name in facets.counts}
    return sorted((row for row in rows if row["values"]), key=lambda row: labels[row["label"]])


def _chips(form: CatalogueForm, asked: Asked) -> list[dict[str, Any]]:
    """What was asked, each with the address that no longer asks it."""
    chips = [{"label": f"« {asked.q} »", "address": _address(form, asked, q="")}] if asked.q else []
    for name, choices in ((n, f.choices) for n, f in form.fields.items() if isinstance(f, forms.ChoiceField)):
        if chosen := getattr(asked, name):
            chips.append({"label": dict(choices)[chosen], "address": _address(form, asked, **{name: ""})})
    return chips


@require_http_methods(["GET", "POST"])
def dataset_create(request, slug):
    zone = own_zone_or_404(request, slug, "create_dataset")
    form = DatasetForm(request.POST or None, zone=zone)
    if form.is_valid():
        dataset = actions.create_dataset(zone, by=request.user, **form.cleaned_data)
        messages.success(request, _("Jeu créé, en brouillon. Envoyez maintenant son fichier."))
        return redirect(dataset)
    return render(
        request,
        "zones/place_form.html",
        {"zone": zone, "form": form, "title": _("Ajouter un jeu de données")},
        status=422 if form.is_bound else 200,
    )


@require_http_methods(["GET", "POST"])
def dataset_link(request, slug):
    """List data that are already open elsewhere: public at once, since there is nothing to examine."""
    zone = own_zone_or_404(request, slug, "create_dataset")
    form = LinkForm(request.POST or None)
    if form.is_valid():
        dataset = actions.link_dataset(zone, by=request.user, **form.cleaned_data)
        messages.success(request, _("Données signalées : elles paraissent au catalogue, avec leur lien."))
        return redirect(dataset)
    context = {
        "zone": zone, "form": form, "title": _("Signaler des données déjà ouvertes"),
        "note": _("Elles restent où elles sont : rien ne s'envoie ici, aucune convention n'est demandée."),
        "submit": _("Signaler au catalogue"),
    }  # fmt: skip
    return render(request, "zones/place_form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def dataset_edit(request, slug):
    """Correct the words of a draft, or the line of data that are open elsewhere."""
    dataset = own_dataset_or_404(request, slug, "create_dataset")
    form_class = LinkForm if dataset.is_open_elsewhere else DatasetWordsForm
    form = form_class(request.POST or None, dataset=dataset)
    if form.is_valid():
        actions.amend_dataset(dataset, by=request.user, **form.cleaned_data)
        messages.success(request, _("Fiche corrigée."))
        return redirect(dataset)
    context = {
        "zone": dataset.zone, "form": form, "title": _("Corriger la fiche"), "submit": _("Enregistrer"),
        "back": dataset.get_absolute_url(),
    }  # fmt: skip
    return render(request, "zones/place_form.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def dataset_withdraw(request, slug):
    dataset = own_dataset_or_404(request, slug, "publish_dataset")
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        actions.withdraw_dataset(dataset, by=request.user, **form.cleaned_data)
        messages.success(request, _("Jeu retiré du catalogue."))
        return redirect(dataset.zone)
    context = {
        "zone": dataset.zone, "form": form, "title": _("Retirer « %(title)s »") % {"title": dataset.title},
        "note": _("Ce lien quitte le catalogue.") if dataset.is_open_elsewhere
        else _("Le jeu quitte le catalogue pour de bon, et tout accès à ses lignes cesse aussitôt."),
        "submit": _("Retirer du catalogue"), "danger": True, "back": dataset.get_absolute_url(),
    }  # fmt: skip
    return render(request, "zones/place_form.html", context, status=422 if form.is_bound else 200)


def _columns(dataset: Dataset, files: Iterable[VersionFile]) -> list[Any]:
    """The columns with what the pages draw of each set beside. Values of identifiers are shown to nobody.

    `files` are those of the version that was examined last, with their tables.
    """
    columns: list[Any] = list(dataset.columns.select_related("confirmed_by", "table", "references__table"))
    rows_of = {file.table_id: file.rows for file in files}
    for column in columns:
        seen, rows = column.profile, rows_of.get(column.table_id)
        _set_key(column)
        column.type_label = TYPES.get(column.type, column.type)
        column.missing = seen.get("missing", 0)
        column.missing_share = drawing.share(column.missing, rows or 0)
        column.distinct = seen.get("distinct", 0)
        column.distinct_share = drawing.share(column.distinct, (rows or 0) - column.missing)
        column.suggested_label = ColumnRole(column.suggested_role).label if column.suggested_role else ""
        # Back to the suggestion by one button, unless it needs a class of sensitivity that was not kept.
        column.may_go_back = bool(column.role and column.suggested_role not in ("", column.role)) and (
            column.suggested_role != ColumnRole.SENSITIVE or bool(column.sensitive_class)
        )
        hidden = dataset.is_personal and (column.role or column.suggested_role) in HIDDEN_VALUES
        column.bars = [] if hidden else drawing.bars(seen.get("histogram"))
        column.shape = {} if hidden else seen.get("shape") or {}
        column.bounds = [_short(seen["histogram"][end]) for end in ("from", "to")] if column.bars else []
        column.period = (seen["from"], seen["to"]) if not hidden and seen.get("from") else None
        # A rounded count may pass the whole: what is shown is about, and says so.
        column.top = (
            [] if hidden else [(v, min(round(drawing.share(n, rows or 0)), 100)) for v, n in seen.get("top") or []]
        )
    return columns


def _set_key(column) -> None:
    """The key that the column holds, (table, column), confirmed or suggested, and how many rows find their parent."""
    link = column.profile.get("link")
    confirmed = column.references and (column.references.table.name, column.references.name)
    column.key = confirmed or (tuple(link["of"]) if link and not column.role else None)
    several = column.path != column.name
    column.key_path = tables.path_of(*column.key, several=several) if column.key else ""
    measured = link if link and tuple(link["of"]) == column.key else None
    column.found = measured and measured["found"]
    column.orphans = measured and measured["held"] - measured["found"]
    column.found_share = measured and tables.share_of(measured["found"], measured["held"])


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value


@login_not_required
@require_GET
def dataset_detail(request, slug):
    visible = catalogue.with_offers(Dataset.objects.for_user(request.user))
    dataset: Any = get_object_or_404(visible.select_related("zone__operator", "service", "holder"), slug=slug)
    dataset.access_words, dataset.access_tone = access_in_words(dataset)
    held = permissions.roles_on(request.user, dataset.zone)
    may = {act for act in permissions.ROLES_OF if permissions.may(request.user, act, dataset.zone, held=held)}
    versions: list[Any] = list(dataset.versions.prefetch_related("files")[:20])
    latest = next((v for v in versions if v.status == DatasetVersion.Status.PROFILED), None)
    files = list(latest.files.select_related("table")) if latest else []
    columns = _columns(dataset, files)
    parts = _parts(columns, files)
    context = {
        "dataset": dataset,
        "tone": TONES[dataset.status],
        "may": may,
        "latest": latest,
        "parts": parts,
        "schema": _schema(parts),
        "columns": columns,
        "examined": [v for v in versions if v.status == DatasetVersion.Status.PROFILED],
    }
    if len(parts) == 1:
        context |= {
            "glance": parts[0].glance, "mends": parts[0].mends,
            "reading": _reading_in_words(Reading.of(files[0].reading)),
        }  # fmt: skip
    if "see_profile" in may:
        for version in versions:
            version.tone = VERSION_TONES[version.status]
        gathering = next((v for v in versions if v.status == DatasetVersion.Status.DRAFT), None)
        context |= {
            "versions": versions, "gathering": gathering, "obstacles": actions.publication_obstacles(dataset),
        }  # fmt: skip
    return render(request, "zones/dataset_detail.html", context)


# The upload


@takes(None)
@csrf_exempt  # checked by `_upload`, once the handler that seals is in place: the check itself reads the body
@require_http_methods(["GET", "POST"])
def version_upload(request, slug):
    """Who may, and whether it can be sealed, is asked before the first byte of the file is read."""
    dataset = own_dataset_or_404(request, slug, "add_version")
    if dataset.status == Dataset.Status.WITHDRAWN:
        raise WrongState(_("Ce jeu est retiré : il ne reçoit plus de version."))
    if dataset.is_open_elsewhere:
        raise WrongState(_("Ces données sont ouvertes ailleurs : elles y restent, rien ne s'envoie ici."))
    recipient = sealing.recipient_of(dataset.zone)
    handler = None
    if request.method == "POST":
        limit = settings.SOURCE_MAX_BYTES
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit + sealing.FORM_OVERHEAD:
            actions.refuse_upload(dataset, by=request.user, file_name="", problem=str(sealing.too_large(limit)))
            raise sealing.too_large(limit)
        handler = sealing.SealingUploadHandler(request, zone=dataset.zone, recipient=recipient, limit=limit)
        request.upload_handlers = [handler]
    try:
        return _upload(request, dataset, handler)
    finally:
        if handler is not None:  # also when the CSRF check says no: it has read the body by then
            handler.discard()


@csrf_protect
def _upload(request, dataset: Dataset, handler: sealing.SealingUploadHandler | None):
    former, readings = former_reading(dataset), former_readings(dataset)
    if handler is None:
        return _upload_page(request, dataset, UploadForm(initial=said(former or Reading()), former=former))
    form = UploadForm(request.POST, former=former)
    form.is_valid()
    if handler.problem is not None:
        form.add_error(None, str(handler.problem))
        actions.refuse_upload(dataset, by=request.user, file_name=handler.name, problem=str(handler.problem))
    elif not handler.kept:
        form.add_error(None, _("Choisissez un fichier."))
    if form.errors:
        return _upload_page(request, dataset, form)
    several = len(handler.kept) > 1 or len(readings) > 1 or request.POST.get("act") == "gather"
    try:
        if several or actions.gathering(dataset):
            files = [
                (
                    one,
                    form.reading_of(
                        one.file_name, readings.get(one.resource or tables.name_of(one.file_name)),
                        resource=one.resource,
                    ),
                )
                for one in handler.kept
            ]  # fmt: skip
            version = actions.gather_files(dataset, by=request.user, files=files)
            told = _("Fichiers reçus et scellés. Faites examiner la version quand toutes ses tables y sont.")
        else:
            version = actions.add_version(dataset, by=request.user, sealed=handler.kept[0], reading=form.reading())
            told = _("Fichier reçu et scellé. Son examen est demandé.")
    except BadInput as problem:  # its refusal is recorded by the verb
        form.add_error(None, str(problem))
        return _upload_page(request, dataset, form)
    handler.kept = []  # kept: the version names them
    messages.success(request, told)
    return redirect(version)


def former_reading(dataset: Dataset) -> Reading | None:
    """How the last files that could be read were read: the reading that mends, when one of several does."""
    readings = list(former_readings(dataset).values())
    return next((one for one in readings if one.is_mending), next(iter(readings), None))


def former_readings(dataset: Dataset) -> dict[str, Reading]:
    """How the files that could be read last were read, by table."""
    last = dataset.versions.filter(status=DatasetVersion.Status.PROFILED).first()
    files = last.files.select_related("table") if last else []
    return {file.table.name: Reading.of(file.reading) for file in files}


@require_http_methods(["POST"])
def version_gathering(request, slug, number):
    """What is done with a version in preparation: say which table a file is, take it back, give the version up, have
    it examined."""
    dataset = own_dataset_or_404(request, slug, "add_version")
    version = get_object_or_404(dataset.versions.all(), number=number)
    act, _sign, file = request.POST.get("act", "").partition(":")
    if act == "remove":
        kept = _file_or_404(version, file)
        actions.take_back_file(kept, by=request.user)
        messages.success(request, _("« %(name)s » est retiré.") % {"name": kept.file_name})
        return redirect(version)
    if act == "fill":
        kept = _file_or_404(version, file)
        try:
            filled = actions.fill_table(kept, by=request.user, name=request.POST.get(f"table-{kept.pk}", ""))
        except BadInput as problem:
            messages.error(request, str(problem))
        else:
            told = _("« %(file)s » est la table « %(table)s ».")
            messages.success(request, told % {"file": kept.file_name, "table": filled.table.name})
        return redirect(version)
    if act == "drop":
        actions.drop_draft(version, by=request.user)
        messages.success(request, _("Version abandonnée ; ses fichiers sont effacés."))
        return redirect(dataset)
    try:
        actions.receive_version(version, by=request.user)
    except BadInput as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, _("Version reçue. Son examen est demandé."))
    return redirect(version)


def _file_or_404(version: DatasetVersion, number: str):
    files = version.files.select_related("version__dataset", "table")
    return get_object_or_404(files, pk=int(number) if number.isascii() and number.isdecimal() else 0)


def _upload_page(request, dataset: Dataset, form: UploadForm):
    context = {
        "dataset": dataset,
        "form": form,
        "limit_gib": settings.SOURCE_MAX_BYTES // 1024**3,
        "limits": LIMITS,
        "line_mib": LIMITS.line_bytes // 1024**2,
        "clear_gib": LIMITS.clear_bytes // 1024**3,
        "latest": dataset.versions.filter(status=DatasetVersion.Status.PROFILED).first(),
        "gathering": actions.gathering(dataset),
    }
    return render(request, "zones/version_upload.html", context, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def version_reread(request, slug, number):
    """The same sealed bytes, read with the mends accepted on the version's page or with any option chosen here."""
    dataset = own_dataset_or_404(request, slug, "add_version")
    version = get_object_or_404(dataset.versions.all(), number=number)
    files: list[Any] = list(version.files.select_related("table"))
    if request.method == "POST" and request.POST.get("act") == "proposed":
        wanted = _mends_chosen(files, request.POST.getlist("mend"))
        if not wanted:
            messages.warning(request, _("Cochez au moins une correction."))
            return redirect(version)
        if any(one.rpartition("|")[2] == "stacked" for one in request.POST.getlist("mend")):
            made = actions.unstack_version(version, by=request.user)
        else:
            made = actions.reread_version(version, by=request.user, reading=wanted)
        messages.success(request, _("Relecture demandée : les mêmes octets, avec les corrections choisies."))
        return redirect(made)
    asked = request.POST.get("table") or request.GET.get("table")
    file = next((one for one in files if str(one.table_id) == asked), files[0])
    reading = Reading.of(file.reading)
    shown = said(accepted(reading, file.proposed))
    form = RereadForm(request.POST or None, initial=shown, stacked=reading.stacked)
    if form.is_valid():
        try:
            made = actions.reread_version(version, by=request.user, reading={file.table.name: form.reading()})
        except BadInput as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(request, _("Relecture demandée : les mêmes octets, lus comme vous l'avez dit."))
            return redirect(made)
    context = {
        "dataset": dataset, "version": version, "form": form, "file": file, "several": len(files) > 1,
        "proposals": proposals_in_words(file.proposed),
    }  # fmt: skip
    return render(request, "zones/version_reread.html", context, status=422 if form.is_bound else 200)


def _mends_chosen(files: list[VersionFile], kept: list[str]) -> dict[str, Reading]:
    """The readings, by table, with the proposals that a person kept: "<table>|<mend>" each, of one file "<mend>"."""
    wanted = {}
    for file in files:
        mine = (
            kept
            if len(files) == 1
            else [mend for table, _sign, mend in (one.partition("|") for one in kept) if table == str(file.table_id)]
        )
        if chosen := chosen_among(file.proposed, mine):
            wanted[file.table.name] = accepted(Reading.of(file.reading), chosen)
    return wanted


def _in_preparation(version: DatasetVersion, files: list) -> dict[str, Any]:
    """What a version in preparation lacks, and which of its files may be that under another name."""
    missing = actions.tables_missing(version)
    for file in files:
        own = tables.name_of(file.file_name)
        file.is_renamed = file.format != "fhir" and file.table.name.lower() != own.lower()
        file.likely = tables.likely(file.table.name, missing)
    claimed = {file.likely for file in files}
    for file in files:
        file.likely = file.likely or next((name for name in missing if name not in claimed), "")
    orders = [order for order in version.orders.select_related("asked_by") if order.file_id is None]
    return {
        "missing": missing, "strangers": actions.strangers(files) if missing else [],
        "orders": orders, "waiting": any(one.waits for one in orders),
    }  # fmt: skip


@require_GET
def version_detail(request, slug, number):
    """A version in preparation; or the progress, asked for again until the worker is done, then what it saw."""
    dataset = own_dataset_or_404(request, slug, "see_profile")
    version = get_object_or_404(dataset.versions.select_related("received_by"), number=number)
    version.dataset = dataset
    waiting = version.status in (DatasetVersion.Status.RECEIVED, DatasetVersion.Status.PROFILING)
    files: list[Any] = list(version.files.select_related("table"))
    for file in files:
        file.reading_words = _reading_in_words(Reading.of(file.reading))
        file.mends = mends_in_words(Reading.of(file.reading))
        file.renamed = _renamed(file.reading.get("mended", {}))
        before = f"{file.table_id}|" if len(files) > 1 else ""
        file.proposals = [(before + key, words) for key, words in proposals_in_words(file.proposed)]
    context = {
        "dataset": dataset,
        "version": version,
        "files": files,
        "several": len(files) > 1,
        "tone": VERSION_TONES[version.status],
        "waiting": waiting,
        "step": STEPS.get(version.progress.get("step", ""), STEPS["received"]),
        "table": version.progress.get("table", ""),
        "percent": version.progress.get("percent"),
        "mends": any(file.mends for file in files),
        "proposals": any(file.proposals for file in files),
        "mended_in": _mended_in(version) if any(file.proposed for file in files) else None,
        "twins": list(dataset.versions.filter(sha256=version.sha256).exclude(pk=version.pk).exclude(sha256="")),
        "good": dataset.versions.filter(status=DatasetVersion.Status.PROFILED).first(),
        "may_add_version": permissions.may(request.user, "add_version", dataset.zone),
        "may_set_roles": permissions.may(request.user, "set_roles", dataset.zone),
    }
    if version.status == DatasetVersion.Status.DRAFT:
        context |= _in_preparation(version, files)
        if request.headers.get("HX-Request"):  # asked again while files of the operator are read
            answer = HttpResponse(status=204)
            if not context["waiting"]:
                answer["HX-Refresh"] = "true"
            return answer
        return render(request, "zones/version_gathering.html", context)
    if request.headers.get("HX-Request"):
        if waiting:
            return render(request, "zones/_version_progress.html", context)
        done = render(request, "zones/_version_progress.html", context)
        done["HX-Refresh"] = "true"
        return done
    if version.status == DatasetVersion.Status.PROFILED:
        columns = _columns(dataset, files)
        context["columns"] = columns
        context["parts"] = _parts(columns, files)
        context["schema"] = _schema(context["parts"])
        context["unconfirmed"] = any(not column.role for column in columns)
    return render(request, "zones/version_detail.html", context)


def _parts(columns: list[Any], files: list[Any]) -> list[Any]:
    """The tables of a version with their columns and what is drawn of each: `files` bear their tables."""
    parts: list[Any] = []
    for file in files:
        part: Any = file.table
        part.file, part.rows = file, file.rows
        part.columns_seen = [column for column in columns if column.table_id == part.pk]
        part.glance = quality.glance(
            part.columns_seen, rows=file.rows, blank_lines=Reading.of(file.reading).blank_lines
        )
        part.mends = mends_in_words(Reading.of(file.reading))
        part.known = quality.recognised(part.columns_seen)
        part.left = sum(not column.role for column in part.columns_seen)
        part.links = [column for column in part.columns_seen if column.key]
        parts.append(part)
    return parts


def _schema(parts: list[Any]) -> drawing.Schema | None:
    """The picture of the tables and their keys; None of a single one."""
    if len(parts) < 2:
        return None
    return drawing.schema(
        [(part.name, part.rows, part.key_name) for part in _with_keys(parts)],
        [
            drawing.Arrow(
                part.name, column.key[0], column.name, (column.role or column.suggested_role) == "subject_key"
            )
            for part in parts
            for column in part.links
        ],
    )


def _with_keys(parts: list[Any]) -> list[Any]:
    """Each table with the name of the column that others point to, "" when none does."""
    pointed = {column.key for part in parts for column in part.links}
    for part in parts:
        part.key_name = next((c.name for c in part.columns_seen if (part.name, c.name) in pointed), "")
    return parts


def _reading_in_words(reading: Reading) -> list[tuple[str, Any]]:
    formats = {"ndjson": _("JSON par lignes"), "fhir": _("FHIR, mis à plat"), "csv": "CSV", "parquet": "Parquet"}
    marks = ", ".join(f"« {mark} »" for mark in reading.missing)
    missing = (_("Valeur absente"), _("vide, ou %(marks)s") % {"marks": marks} if marks else _("vide"))
    words: list[tuple[str, Any]] = [(_("Format"), formats[reading.format])]
    if reading.format == "parquet":
        return [*words, missing]
    words.append((_("Encodage"), ENCODING_NAMES.get(reading.encoding, reading.encoding)))
    if reading.format == "csv":
        words.append((_("Séparateur"), DELIMITER_NAMES.get(reading.delimiter, reading.delimiter)))
        words.append((_("Première ligne"), _("noms des colonnes") if reading.header else _("données")))
    words.append(missing)
    words.append((_("Décimales"), _("virgule") if reading.decimal == "," else _("point")))
    if reading.header_line > 1:
        words.append((_("Ligne de l'en-tête"), str(reading.header_line)))
    if reading.stacked:
        words.append((_("Table dans le fichier"), str(reading.stacked)))
    if reading.blank_lines:
        words.append((_("Lignes vides passées"), str(reading.blank_lines)))
    return words


def _mended_in(version: DatasetVersion) -> DatasetVersion | None:
    """The later reading of the same bytes that took up what was proposed here."""
    return version.dataset.versions.filter(
        sha256=version.sha256, number__gt=version.number, status=DatasetVersion.Status.PROFILED
    ).first()


def _renamed(mended: dict[str, Any]) -> list[str]:
    """The names that the reading gave or changed, as they now are."""
    return [*mended.get("one_line", []), *mended.get("number_nameless", [])]


@require_http_methods(["GET", "POST"])
def column_roles(request, slug):
    """Every column with the role suggested and why. Nothing is confirmed that nobody chose or accepted."""
    dataset = own_dataset_or_404(request, slug, "see_profile")
    latest = dataset.versions.filter(status=DatasetVersion.Status.PROFILED).first()
    files = list(latest.files.select_related("table")) if latest else []
    columns = _columns(dataset, files)
    parts = _parts(columns, files)
    problem = ""
    review = request.method == "GET" and "revue" in request.GET
    if request.method == "POST":
        back = next((c for c in columns if c.path == request.POST.get("back") and c.may_go_back), None)
        chosen = {back.path: _as_suggested(back)} if back else _chosen_roles(request.POST, columns)
        try:
            actions.set_column_roles(dataset, by=request.user, roles=chosen)
        except BadInput as refused:
            problem = str(refused)
        else:
            if back:
                messages.success(request, _("« %(name)s » : le rôle suggéré est rétabli.") % {"name": back.path})
            else:
                messages.success(request, _("Rôles confirmés : %(count)s.") % {"count": len(chosen)})
            return redirect("column-roles", slug)
    keys = [c for c in columns if (c.role or c.suggested_role) in actions.KEY_ROLES]
    cares = dataset.is_personal and not coding.HEALTH.isdisjoint(dataset.domains)
    for column in columns:
        ahead = column.suggested_role if review and column.suggested_because else ""
        column.chosen = request.POST.get(f"role:{column.path}", column.role or ahead)
        column.chosen_class = request.POST.get(f"class:{column.path}", column.sensitive_class)
        held = column.key_path if column.role or review else ""
        column.chosen_key = request.POST.get(f"key:{column.path}", held)
        column.keys = [key.path for key in keys if key.pk != column.pk]
        column.has_unknown_codes = cares and coding.is_unknown(column.name, column.chosen)
    context = {
        "review": review,
        "by_role": _by_role(columns) if review else [],
        "dataset": dataset,
        "columns": columns,
        "parts": parts,
        "schema": _schema(parts),
        "several": len(parts) > 1,
        "has_keys": any(column.keys for column in columns),
        "unknown_codes": [column.path for column in columns if column.has_unknown_codes],
        "roles": ColumnRole.choices,
        "classes": SensitiveClass.choices,
        "problem": problem,
        "left": sum(not c.role for c in columns),
        "acceptable": sum(not c.role and bool(c.suggested_role and c.suggested_because) for c in columns),
        "may_set_roles": permissions.may(request.user, "set_roles", dataset.zone),
    }
    return render(request, "zones/column_roles.html", context, status=422 if problem else 200)


def _as_suggested(column) -> actions.ChosenRole:
    return actions.ChosenRole(
        column.suggested_role, column.sensitive_class, column.description, _suggested_key(column, column.suggested_role)
    )


def _suggested_key(column, role: str) -> str:
    """The path of the key that was measured, for a column whose role takes one."""
    link = column.profile.get("link")
    return tables.path_of(*link["of"], several=column.path != column.name) if link and role in actions.KEY_ROLES else ""


def _by_role(columns) -> list[tuple[str, list[str]]]:
    """The suggestions not yet confirmed, role by role, most frequent first: what accepting them all would do."""
    found: dict[str, list[str]] = {}
    for column in columns:
        if not column.role and column.suggested_label and column.suggested_because:
            found.setdefault(column.suggested_label, []).append(column.path)
    return sorted(found.items(), key=lambda pair: -len(pair[1]))


def _chosen_roles(sent, columns) -> dict[str, actions.ChosenRole]:
    """What the person chose, and, when they accepted the suggestions, those that gave a reason."""
    accept = sent.get("act") == "suggested"
    chosen = {}
    for column in columns:
        role = sent.get(f"role:{column.path}", "")
        klass = sent.get(f"class:{column.path}", "")
        key = sent.get(f"key:{column.path}", "")
        if not role and accept and column.suggested_because:
            role, klass = column.suggested_role, klass or column.sensitive_class
            key = key or _suggested_key(column, role)
        if role:
            words = sent.get(f"words:{column.path}", column.description).strip()[:300]
            chosen[column.path] = actions.ChosenRole(role, klass, words, key)
    return chosen


@require_http_methods(["GET", "POST"])
def dataset_publish(request, slug):
    dataset = own_dataset_or_404(request, slug, "publish_dataset")
    if request.method == "POST":
        actions.publish_dataset(dataset, by=request.user)
        messages.success(request, _("Jeu publié au catalogue. Ses lignes restent scellées."))
        return redirect(dataset)
    context = {"dataset": dataset, "obstacles": actions.publication_obstacles(dataset)}
    return render(request, "zones/dataset_publish.html", context)
