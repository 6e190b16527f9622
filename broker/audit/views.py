"""Public proofs: anyone may read how long the log is, who signed it, and that an entry is in it; never an entry."""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from broker.audit import merkle, state, tiles
from broker.audit.checkpoint import proof_file, to_base64

TEXT = "text/plain; charset=utf-8"


@login_not_required
@require_safe
def home(request):
    """In plain words: nothing is missing, nothing was altered since; how that is known, and how to check it."""
    standing = state.standing()
    root = to_base64(standing.checkpoint.root) if standing else ""
    return render(request, "audit/log_home.html", {"standing": standing, "root": root, "lag": state.lag()})


@login_not_required
@require_safe
def checkpoint(request):
    last = _published()
    return HttpResponse(last.note, content_type=TEXT, headers={"Cache-Control": "no-cache"})


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
    return HttpResponse(proof_file(index, path, last.note), content_type=TEXT)


def _published() -> state.Published:
    last = state.checkpoint()
    if last is None:
        raise Http404
    return last
