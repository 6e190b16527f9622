"""The auditor's pages: ask, read, take away."""

import base64
import tempfile
from itertools import islice

from django.http import FileResponse, Http404
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from broker import clock
from broker.audit import bundle, exports, state
from broker.audit import search as search_log
from broker.desk.journal import actions, conclusions, keeping, month, permissions, questions, telling, visits
from broker.desk.journal.forms import BundleForm, MonthForm, NameForm, QuestionForm, TakenForm
from broker.desk.models import SavedSearch
from broker.errors import BadInput

MOST_LEAVES = 2**53 - 1  # the largest number that the log's own JSON holds (RFC 8785)
MOST_COUNTS = 1_000_000  # lines of a month's table; a spreadsheet reads 1,048,576
KEPT = 10  # searches of one's own beside the page; the others are one link away
SPOOLED = 8 << 20  # bytes of a bundle kept in memory before it goes to a file


@require_safe
def search(request):
    if not permissions.may_read(request.user):
        actions.read(search_log.Query(), question=request.GET.dict(), by=request.user)  # refused, and written down
    chosen = questions.BY_KEY.get(request.GET.get("question", ""))
    if chosen and not set(chosen.needs) <= request.GET.keys():
        # a saved question that was just chosen: what it needs is asked, nothing is wrong yet
        form = QuestionForm(initial=request.GET.dict(), reader=request.user)
    else:
        form = QuestionForm(request.GET, reader=request.user)
    lines, following, drawn, said, before = [], None, None, [], _before(request)
    sight = visits.look(request.user) if before is None else None
    asked = form.cleaned_data if form.is_valid() else {}
    if form.is_valid():
        query, told = questions.build(asked), form.told()
        page = actions.read(query, question=told, before=before, by=request.user)
        lines, following = telling.tell(page.entries, reader=request.user), page.next
        if before is None:  # the first page shows the whole of the answer, the next ones go on reading
            said = conclusions.conclude(asked["question"], asked, query, lines, reader=request.user)
            if not query.also:
                drawn = actions.over_time(query if told else questions.accesses(query), by=request.user)
    return render(
        request,
        "desk/audit_search.html",
        {
            "form": form,
            "lines": lines,
            "next": following,
            "is_first": before is None,
            "picture": drawn,
            "said": said,
            "sight": sight,
            "questions": questions.QUESTIONS,
            "asked": chosen,
            "bundle_form": TakenForm(request.GET.dict()),
            "hidden": [(name, value) for name, value in request.GET.items() if name in form.fields and value],
            "reads_everything": permissions.reads_everything(request.user),
            "published": sight.last if sight else state.checkpoint(),
            "is_all": form.is_valid() and not form.told(),
            "kept": SavedSearch.objects.for_user(request.user)[:KEPT],
            "name_form": NameForm(auto_id="keep_%s"),
            "told": len(form.told().keys() - {"question"}) if form.is_valid() else 0,
        },
        status=422 if form.errors else 200,
    )


@require_safe
def entry(request, index):
    """One inscription: in words, its bytes, its place, who may read it; and its verification, in the browser."""
    if index > MOST_LEAVES:
        raise Http404
    found = actions.open_entry(index, by=request.user)
    if found is None:
        raise Http404
    line = telling.tell([found], reader=request.user)[0]
    event, published = found.event or {}, state.checkpoint()
    return render(
        request,
        "desk/audit_entry.html",
        {
            "line": line,
            "entry": found,
            "event": event,
            "leaf": base64.b64encode(found.payload.encode()).decode(),
            "readers": permissions.readers_of(event, line["zone"].name, line["org"].name) if event.get("v") else [],
            "detail": search_log.detail_of(found),
            "first": state.first_holding(index),
            "published": published,
            "before": index - 1 if index else None,
            "after": index + 1 if published and index + 1 < published.size else None,
            "reads_everything": permissions.reads_everything(request.user),
            "keeps": keeping.keeps(request.user, found),
        },
    )


def _before(request) -> int | None:
    raw = request.GET.get("avant", "")
    if not raw:
        return None
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= 16 and int(raw) <= MOST_LEAVES):
        raise BadInput(_("Cette page du journal n'existe pas : repartez de la question."))
    return int(raw)


def _asked(request) -> BundleForm:
    form = BundleForm(request.POST, reader=request.user)
    if not form.is_valid():
        wrong = "; ".join(f"{form[name].label} : {' '.join(errors)}" for name, errors in form.errors.items())
        raise BadInput(_("Ce dossier ne peut pas être fait : %(wrong)s") % {"wrong": wrong})
    return form


@require_POST
def take_away(request):
    """The bundle: allowed and recorded first, then written to a temporary file, then served."""
    form = _asked(request)
    asked = form.cleaned_data
    query = None if asked["whole"] else questions.build(asked)
    query = actions.allow_export(query, question=form.told(), details=asked["details"], by=request.user)
    out = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115  the response closes it
    made = bundle.write(out, query, question=form.told(), since=asked["depuis"], details=asked["details"])
    out.seek(0)
    name = f"journal-{made.size}-{clock.today():%Y%m%d}.zip"
    return FileResponse(out, as_attachment=True, filename=name, content_type="application/zip")


@require_POST
def export(request, form):
    """The same inscriptions for another system, in one of the forms of `broker.audit.exports`."""
    chosen = exports.FORMS.get(form)
    if chosen is None:
        raise Http404
    asked = _asked(request)
    query = None if asked.cleaned_data["whole"] else questions.build(asked.cleaned_data)
    allowed = actions.allow_export(query, question=asked.told(), form=form, by=request.user)
    query, most = (search_log.Query(), bundle.MOST_WHOLE) if allowed is None else (allowed, bundle.MOST)
    if chosen.health:
        query = questions.narrowed(query, zone=permissions.zones_of_health())
    out = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115  the response closes it
    size = exports.write(out, query, chosen, most=most)
    out.seek(0)
    name = f"journal-{size}-{clock.today():%Y%m%d}.{chosen.name}"
    return FileResponse(out, as_attachment=True, filename=name, content_type=chosen.type)


@require_safe
def month_report(request):
    """A month in figures, each with the search that lists what it counts."""
    if not permissions.may_read(request.user):
        actions.read(search_log.Query(), question=request.GET.dict(), by=request.user)  # refused, and written down
    form = _month(request.GET, request.user)
    report = None
    if form.is_valid():
        page, asked = request.GET.get("page", ""), {"zone": form.told().get("zone", "")}
        report = actions.count_month(
            _of_zone(form), form.cleaned_data["month"], question=form.told(), asked=asked,
            page=int(page) if page.isascii() and page.isdecimal() and len(page) < 6 else 1, by=request.user,
        )  # fmt: skip
    return render(
        request, "desk/audit_month.html", {"form": form, "report": report}, status=422 if form.errors else 200
    )


@require_POST
def month_table(request):
    """The same month as a table: every count, by day, zone, organisation, convention, act, outcome and purpose."""
    form = _month(request.POST, request.user)
    if not form.is_valid():
        raise BadInput(_("Ce mois ne peut pas être emporté : choisissez-le sur la page du rapport."))
    allowed = actions.allow_export(_of_zone(form), question=form.told(), form="month", by=request.user)
    counted = month.rows(allowed or search_log.Query(), form.cleaned_data["month"])
    out = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115  the response closes it
    for number, line in enumerate(islice(counted, MOST_COUNTS + 2)):
        if number > MOST_COUNTS:
            raise BadInput(_("Ce mois tient plus de lignes qu'un tableur n'en lit : choisissez une zone."))
        out.write(line.encode())
    out.seek(0)
    name = f"journal-{form.cleaned_data['month']:%Y-%m}.csv"
    return FileResponse(out, as_attachment=True, filename=name, content_type="text/csv; charset=utf-8")


def _month(asked, reader) -> MonthForm:
    """The form of the month asked, or of this one."""
    return MonthForm({"month": f"{clock.today():%Y-%m}", **asked.dict()}, reader=reader)


def _of_zone(form: MonthForm) -> search_log.Query:
    zone = form.cleaned_data["zone"]
    return search_log.Query(zone=(zone.reference,)) if zone else search_log.Query()
