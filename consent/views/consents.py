"""Consents of one dataset, for the operator's people: how many, one at the desk, a whole file, and taking back."""

from django.contrib import messages
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from broker.errors import BadInput, WrongState
from consent import consents, intake, permissions
from consent.consent_forms import ConsentForm, ConsentWithdrawalForm
from consent.models import Consent, ConsentImport, Offer
from consent.words import PURPOSES, purpose_label
from zones.models import Dataset

PAGE = 25
SESSION_KEY = "consent_receipts"  # receipts this session was given: the page tells about those, and about no other
REMEMBERED = 25
FORM_OVERHEAD = 16 * 1024  # bytes of a request that are not its file
S = ConsentImport.Status
TONES = {S.RECEIVED: "wait", S.DONE: "ok", S.REFUSED: "no", S.UNDONE: "quiet"}
STEPS = {"received": _l("Reçu et scellé. La lecture va commencer."), "lines": _l("Lecture des lignes")}


def taken_in(request, slug: str) -> Dataset:
    """The dataset, for whoever may take consents in; a 404 for whoever may not know of it."""
    seen = Dataset.objects.for_user(request.user).select_related("zone__operator", "holder")
    dataset = get_object_or_404(seen, slug=slug)
    permissions.require_intake(request.user, dataset.zone)
    return dataset


def resting_on_consent(request, slug: str) -> Dataset:
    dataset = taken_in(request, slug)
    if not dataset.consent_required:
        raise WrongState(_("Le jeu « %s » ne repose pas sur le consentement : il n'en reçoit pas.") % dataset)
    return dataset


def purposes_of(dataset: Dataset) -> list[str]:
    """The purposes that offers on this dataset accept, in the order of the closed list; all of them before an offer."""
    offered = set().union(*Offer.objects.filter(dataset=dataset).values_list("purposes", flat=True))
    return [code for code in PURPOSES if code in offered] or list(PURPOSES)


@require_GET
def list_(request, slug):
    """How many consent, to what; the files received; what was recorded last. Nobody can be told from it."""
    dataset = taken_in(request, slug)
    counted = consents.counts(dataset)
    rows = Consent.objects.filter(dataset=dataset).select_related("recorded_by", "imported").order_by("-pk")
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    for row in page:
        row.labels = [purpose_label(code) for code in row.purposes]
    imports = list(dataset.consent_imports.select_related("received_by")[:PAGE])
    for one in imports:
        one.tone = TONES[one.status]
    context = {
        "dataset": dataset,
        "counted": counted,
        "by_purpose": [
            {"label": purpose_label(code), "count": count, "share": 100 * count / counted.persons}
            for code, count in counted.by_purpose
        ],
        "page": page,
        "imports": imports,
    }
    return render(request, "consent/consents_of_dataset.html", context)


def _remember(request, receipt: str) -> None:
    request.session[SESSION_KEY] = [*request.session.get(SESSION_KEY, []), receipt][-REMEMBERED:]


def _receipt(request, dataset: Dataset) -> dict | None:
    """What became of the receipt asked for: only one that this session was given."""
    number = request.GET.get("recepisse", "")
    if number not in request.session.get(SESSION_KEY, []):
        return None
    return {"number": number, "state": consents.state_of(dataset, number)}


@never_cache
@sensitive_post_parameters("local_id")
@require_http_methods(["GET", "POST"])
def create(request, slug):
    dataset = resting_on_consent(request, slug)
    form = ConsentForm(request.POST or None, purposes=purposes_of(dataset))
    if request.method == "POST" and form.is_valid():
        try:
            taken = consents.receive(dataset, by=request.user, **form.cleaned_data)
        except BadInput as problem:
            form.refuse(str(problem))
        else:
            _remember(request, taken.receipt)
            messages.success(request, _("Consentement reçu. Remettez le numéro de récépissé à la personne."))
            return redirect(f"{reverse('consent-create', args=[slug])}?recepisse={taken.receipt}")
    context = {"dataset": dataset, "form": form, "receipt": _receipt(request, dataset)}
    return render(request, "consent/consent_create.html", context, status=422 if request.method == "POST" else 200)


@never_cache
@sensitive_post_parameters("local_id")
@require_http_methods(["GET", "POST"])
def withdraw(request, slug):
    dataset = resting_on_consent(request, slug)
    form = ConsentWithdrawalForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        taken = consents.withdraw_consent(
            dataset.zone, by=request.user, local_id=said["local_id"],
            dataset=dataset if said["scope"] == "dataset" else None,
        )  # fmt: skip
        _remember(request, taken.receipt)
        messages.success(request, _("Retrait reçu. Remettez le numéro de récépissé à la personne."))
        return redirect(f"{reverse('consent-withdraw', args=[slug])}?recepisse={taken.receipt}")
    context = {"dataset": dataset, "form": form, "receipt": _receipt(request, dataset)}
    return render(request, "consent/consent_withdraw.html", context, status=422 if request.method == "POST" else 200)


# A whole file


@csrf_exempt  # checked by `_import`, once the handler that writes no disk is in place: the check itself reads the body
@require_http_methods(["GET", "POST"])
def import_(request, slug):
    """A file of consents, held in memory for the time of this request, then sealed; its size is asked first."""
    dataset = resting_on_consent(request, slug)
    if request.method == "POST":
        if int(request.META.get("CONTENT_LENGTH") or 0) > consents.MOST_BYTES + FORM_OVERHEAD:
            raise BadInput(
                _("Le fichier dépasse %(limit)s Mio : découpez-le en plusieurs.")
                % {"limit": consents.MOST_BYTES // 1024**2}
            )
        request.upload_handlers = [MemoryFileUploadHandler(request)]
    return _import(request, dataset)


@csrf_protect
@sensitive_variables("content")
def _import(request, dataset: Dataset):
    problem = ""
    if request.method == "POST":
        file = request.FILES.get("file")
        content = file.read() if file else b""
        if not content:
            problem = _("Choisissez un fichier qui n'est pas vide.")
        else:
            made = consents.receive_import(
                dataset, by=request.user, sealed=intake.sealed(dataset.zone, content), file_name=file.name
            )
            messages.success(request, _("Fichier reçu et scellé. Sa lecture est demandée."))
            return redirect("consent-import-detail", slug=dataset.slug, pk=made.pk)
    context = {
        "dataset": dataset, "problem": problem, "limit": consents.MOST_BYTES // 1024**2,
        "most_lines": consents.MOST_LINES, "purposes": [(code, PURPOSES[code]) for code in purposes_of(dataset)],
    }  # fmt: skip
    return render(request, "consent/consent_import.html", context, status=422 if problem else 200)


@require_GET
def import_detail(request, slug, pk):
    """The progress, asked for again every second until the worker is done; then what it kept and refused."""
    dataset = taken_in(request, slug)
    imported = get_object_or_404(dataset.consent_imports.select_related("received_by", "undone_by"), pk=pk)
    waiting = imported.status == S.RECEIVED
    context = {
        "dataset": dataset, "imported": imported, "tone": TONES[imported.status], "waiting": waiting,
        "step": STEPS.get(imported.progress.get("step", ""), STEPS["received"]),
        "percent": imported.progress.get("percent"),
        "refused": [
            {"line": one["line"], "why": consents.REFUSALS[one["why"]]}
            for one in imported.refused[: consents.MOST_REFUSED]
        ],
        "untold": max(0, len(imported.refused) - consents.MOST_REFUSED),
        "live": imported.consents.filter(withdrawn_at=None).count() if imported.status == S.DONE else 0,
    }  # fmt: skip
    if request.headers.get("HX-Request"):
        answer = render(request, "consent/_import_progress.html", context)
        if not waiting:
            answer["HX-Refresh"] = "true"
        return answer
    return render(request, "consent/consent_import_detail.html", context)


@require_POST
def import_undo(request, slug, pk):
    dataset = taken_in(request, slug)
    imported = get_object_or_404(dataset.consent_imports, pk=pk)
    consents.undo_import(imported, by=request.user)
    messages.success(request, _("Import annulé : aucun de ses consentements ne vaut plus."))
    return redirect("consent-import-detail", slug=slug, pk=pk)
