"""The auditor's pages: ask, read, take away."""

import tempfile

from django.http import FileResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from broker import clock
from broker.audit import bundle, state
from broker.desk.journal import actions, permissions, questions
from broker.desk.journal.forms import BundleForm, QuestionForm, TakenForm
from broker.errors import BadInput

SPOOLED = 8 << 20  # bytes of a bundle kept in memory before it goes to a file


@require_safe
def search(request):
    permissions.scope(request.user)
    chosen = questions.BY_KEY.get(request.GET.get("question", ""))
    if chosen and not set(chosen.needs) <= request.GET.keys():
        # a saved question that was just chosen: what it needs is asked, nothing is wrong yet
        form = QuestionForm(initial=request.GET.dict(), reader=request.user)
    else:
        form = QuestionForm(request.GET, reader=request.user)
    lines, following, drawn, before = [], None, None, _before(request)
    if form.is_valid():
        query = questions.build(form.cleaned_data)
        page = actions.read(query, question=form.told(), before=before, by=request.user)
        lines, following = questions.tell(page.entries, reader=request.user), page.next
        if before is None:  # the first page shows the whole of the answer, the next ones go on reading
            drawn = actions.over_time(query if form.told() else questions.accesses(query), by=request.user)
    return render(
        request,
        "desk/audit_search.html",
        {
            "form": form,
            "lines": lines,
            "next": following,
            "is_first": before is None,
            "picture": drawn,
            "questions": questions.QUESTIONS,
            "asked": chosen,
            "bundle_form": TakenForm(request.GET.dict()),
            "hidden": [(name, value) for name, value in request.GET.items() if name in form.fields and value],
            "reads_everything": permissions.reads_everything(request.user),
            "published": state.checkpoint(),
            "is_all": form.is_valid() and not form.told(),
            "told": len(form.told().keys() - {"question"}) if form.is_valid() else 0,
        },
        status=422 if form.errors else 200,
    )


def _before(request) -> int | None:
    raw = request.GET.get("avant", "")
    if not raw:
        return None
    if not (raw.isascii() and raw.isdecimal() and len(raw) <= 18):
        raise BadInput(_("Cette page du journal n'existe pas : repartez de la question."))
    return int(raw)


@require_POST
def take_away(request):
    """The bundle: allowed and recorded first, then written to a temporary file, then served."""
    form = BundleForm(request.POST, reader=request.user)
    if not form.is_valid():
        wrong = "; ".join(f"{form[name].label} : {' '.join(errors)}" for name, errors in form.errors.items())
        raise BadInput(_("Ce dossier ne peut pas être fait : %(wrong)s") % {"wrong": wrong})
    asked = form.cleaned_data
    query = None if asked["whole"] else questions.build(asked)
    query = actions.allow_export(query, question=form.told(), details=asked["details"], by=request.user)
    out = tempfile.SpooledTemporaryFile(SPOOLED)  # noqa: SIM115  the response closes it
    made = bundle.write(out, query, question=form.told(), since=asked["depuis"], details=asked["details"])
    out.seek(0)
    name = f"journal-{made.size}-{clock.today():%Y%m%d}.zip"
    return FileResponse(out, as_attachment=True, filename=name, content_type="application/zip")
