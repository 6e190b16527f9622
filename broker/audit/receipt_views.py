"""The keys of receipts, and whether a receipt's promise is kept: anybody may ask, no entry is shown."""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from broker.audit import receipts, state

TEXT = "text/plain; charset=utf-8"


@login_not_required
@require_safe
def keys(request):
    """Every key that signed receipts, one a line, as the log's own entries say."""
    lines = [f"{key}\n" for key in receipts.known_keys()]
    if not lines:
        raise Http404
    return HttpResponse("".join(lines), content_type=TEXT)


@never_cache
@login_not_required
@require_safe
def place(request, encoded):
    """The place of the leaf that a receipt (base64, as its header gives it) promised: its proof is at /log/preuve/.

    404: it has no published place. Within a minute that is no news; later, the receipt is the evidence of a loss.
    """
    for key in receipts.known_keys():
        try:
            [note] = receipts.from_header(encoded.replace("-", "+").replace("_", "/"))
            found = receipts.place_of(receipts.read(note, key))
        except ValueError:  # not base64, not text, or not of this key (InvalidNote)
            continue
        published = state.checkpoint()
        if found is not None and published is not None and found < published.size:
            return HttpResponse(f"{found}\n", content_type=TEXT)
        raise Http404
    raise Http404
