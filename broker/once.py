"""A form sent twice by a double click does its work once: the second click follows the first where it led.

Each page shows its forms with a CSRF token masked anew, so the same token with the same fields is the same form, sent
again. Nothing is remembered of a form that came back with errors, nor of a file: only where a success led, a moment.
"""

import hashlib
import time

from django.core.cache import cache
from django.http import HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from broker.errors import WrongState

MASKED = 64  # characters of a CSRF token as a page shows it; the cookie's own, half as long, is the same every time
UNDER_WAY = 60  # seconds that a first click may take
REMEMBERED = 15  # seconds after it: later, the same form sent again is wanted
WAIT = 10  # seconds for the second click to see where the first led
LOOK = 0.1


class SubmittedOnce:
    """Placed after what reads the body, the person and the CSRF token; the delivery server's downloads are apart."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.sent_as = ""
        try:
            answer = self.get_response(request)
        except BaseException:
            self._forget(request)
            raise
        if request.sent_as:
            if answer.status_code == 302:
                cache.set(request.sent_as, answer["Location"], timeout=REMEMBERED)
            else:
                self._forget(request)
        return answer

    def process_view(self, request, view, args, kwargs):
        key = _key(request)
        if not key:
            return None
        limit = time.monotonic() + WAIT
        while not cache.add(key, "", timeout=UNDER_WAY):
            if led_to := cache.get(key, ""):
                return HttpResponseRedirect(led_to)
            if time.monotonic() > limit:
                error = WrongState(_("Votre premier envoi est encore en cours : rechargez la page dans un instant."))
                return render(request, "error.html", {"error": error, "back": ""}, status=error.status)
            time.sleep(LOOK)
        request.sent_as = key
        return None

    @staticmethod
    def _forget(request) -> None:
        if request.sent_as:
            cache.delete(request.sent_as)


def _key(request) -> str:
    """What names this very form of this very page, or "" when it is not one that a double click repeats."""
    if request.method != "POST" or not request.user.is_authenticated or hasattr(request, "urlconf"):
        return ""
    if not request.content_type.startswith("application/x-www-form-urlencoded"):
        return ""
    if len(request.POST.get("csrfmiddlewaretoken", "")) != MASKED:
        return ""
    sent = f"{request.user.pk}\n{request.path}\n{request.POST.urlencode()}"
    return "once." + hashlib.sha256(sent.encode()).hexdigest()
