"""Public proofs: anyone may read how long the log is, who signed it, and that an entry is in it; never an entry."""

from pathlib import Path

from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from broker.audit import comparing, merkle, outside, state, tiles, witnesses
from broker.audit.checkpoint import InvalidNote, proof_file, to_base64
from broker.audit.days import Days
from broker.audit.forms import CheckpointForm, SizesForm
from broker.audit.kit import witness

TEXT = "text/plain; charset=utf-8"
PAGE = 25
LONGEST_LINE = 1024  # bytes of a cosignature line; one of Ed25519 with a name of fifty signs has 200


@login_not_required
@require_safe
def home(request):
    """In plain words: nothing is missing, nothing was altered since; how that is known, and how to check it."""
    standing = state.standing()
    context = {
        "standing": standing,
        "root": to_base64(standing.checkpoint.root) if standing else "",
        "lag": state.lag(),
        "witnesses": witnesses.standing(),
        "stamping": outside.standing().get(outside.STAMP),
    }
    return render(request, "audit/log_home.html", context)


@login_not_required
@require_safe
def checkpoint(request):
    last = _published()
    return HttpResponse(last.signed, content_type=TEXT, headers={"Cache-Control": "no-cache"})


@login_not_required
@require_safe
def checkpoints(request):
    """The checkpoint of each day: what anybody may have kept, and compare."""
    page = Paginator(Days(), PAGE).get_page(request.GET.get("page"))
    return render(request, "audit/log_checkpoints.html", {"page": page, "last": state.checkpoint()})


@login_not_required
@require_safe
def checkpoint_of(request, size):
    """The published checkpoint of `size` leaves, with the lines of its witnesses, which may come later."""
    return HttpResponse(_published(size).signed, content_type=TEXT, headers={"Cache-Control": "no-cache"})


@login_not_required
@require_safe
def note_of(request, size):
    """That checkpoint with the log's own signature alone: the bytes that its time stamp is over."""
    return HttpResponse(_published(size).note, content_type=TEXT)


@login_not_required
@require_safe
def token(request, size):
    """The RFC 3161 token over the note of that checkpoint."""
    tsr = _published(size).tsr
    if tsr is None:
        raise Http404
    return HttpResponse(tsr, content_type="application/timestamp-reply")


@csrf_exempt  # no cookie is read here: what is brought is believed for its signature alone
@login_not_required
@require_POST
def hand_back(request, size):
    """A witness that came to read brings its cosignature line of that checkpoint: 202, or 200 when it is there already.

    403 says why it is not taken; nothing is kept of what does not verify."""
    published = _published(size)
    body = request.read(LONGEST_LINE + 1)
    if len(body) > LONGEST_LINE:
        return HttpResponse(f"one line, of at most {LONGEST_LINE} bytes\n", content_type=TEXT, status=413)
    try:
        is_new = witnesses.hand_back(published, body.decode())
    except UnicodeDecodeError:
        return HttpResponse("this is not text\n", content_type=TEXT, status=400)
    except witnesses.NotCosigned as error:
        return HttpResponse(f"{error}\n", content_type=TEXT, status=403)
    return HttpResponse(status=202 if is_new else 200, content_type=TEXT)


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def consistency(request):
    """Two published checkpoints, or the one that a visitor kept and today's: was anything altered or removed?"""
    answer, status = None, 200
    sizes = SizesForm(request.GET if "de" in request.GET else None)
    kept = CheckpointForm(request.POST if request.method == "POST" else None)
    if kept.is_bound and kept.is_valid():
        try:
            answer = comparing.with_today(kept.cleaned_data["releve"])
        except InvalidNote:
            kept.add_error("releve", _("Ce texte n’est pas un relevé signé par ce journal : collez-le en entier, "
                                       "de sa première ligne à sa dernière signature."))  # fmt: skip
    elif sizes.is_bound and not kept.is_bound and sizes.is_valid():
        try:
            answer = comparing.between(sizes.cleaned_data["de"], sizes.cleaned_data["a"])
        except LookupError as error:
            wrong = "de" if error.args[0] == sizes.cleaned_data["de"] else "a"
            sizes.add_error(wrong, _("Aucun relevé n’a été publié à cette taille : prenez-la dans la liste."))
    if (kept.is_bound and kept.errors) or (sizes.is_bound and sizes.errors):
        status = 422
    context = {"answer": answer, "sizes": sizes, "kept": kept, "last": state.checkpoint()}
    return render(request, "audit/log_consistency.html", context, status=status)


@login_not_required
@require_safe
def consistency_proof(request, old, new):
    """The proof in the form that a witness reads: an old size, hashes, the signed checkpoint that extends it."""
    try:
        return HttpResponse(comparing.proof(old, new), content_type=TEXT, headers={"Cache-Control": "no-cache"})
    except LookupError as error:
        raise Http404 from error


@login_not_required
@require_safe
def witness_script(request):
    """The file that a partner runs to cosign."""
    return HttpResponse(Path(witness.__file__).read_bytes(), content_type="text/x-python; charset=utf-8")


@login_not_required
@require_safe
def key(request):
    verifier = state.verifier()
    if verifier is None:
        raise Http404
    return HttpResponse(f"{verifier}\n", content_type=TEXT)


@login_not_required
@require_safe
@cache_control(public=True, max_age=31_536_000, immutable=True)
def tile(request, level, name):
    """A tile of hashes as c2sp.org/tlog-tiles names it, `<n>` or `<n>.p/<width>`, as far as the log was published."""
    whole, _, width = name.partition(".p/")
    n = tiles.number_of(whole)
    if n is None or (width and not (width.isascii() and width.isdecimal() and 0 < int(width) < tiles.WIDTH)):
        raise Http404
    wanted = int(width) if width else tiles.WIDTH
    complete = _published().size >> (tiles.HEIGHT * level)  # hashes of this level in the published tree
    if n * tiles.WIDTH + wanted > complete:
        raise Http404
    try:
        hashes = state.read_tile(level, n)
    except LookupError as error:
        raise Http404 from error
    return HttpResponse(hashes[: wanted * merkle.HASH_BYTES], content_type="application/octet-stream")


@login_not_required
@require_safe
def proof(request, index):
    """The tlog-proof that entry `index` is in the log, to the last published checkpoint."""
    last = _published()
    if index >= last.size:
        raise Http404
    path = merkle.inclusion_path(index, last.size, tiles.node_reader(state.read_tile))
    return HttpResponse(proof_file(index, path, last.signed), content_type=TEXT)


def _published(size: int | None = None) -> state.Published:
    """The last published checkpoint, or that of `size` leaves."""
    found = state.checkpoint(size)
    if found is None:
        raise Http404
    return found
