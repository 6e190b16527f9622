"""What every request goes through: limits, its number and address for the log, the time held once, security headers,
errors turned into pages."""

import ipaddress
import time
import uuid

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from rest_framework.views import exception_handler

from broker import clock
from broker.audit import context
from broker.errors import TerrainError

# Nothing of what a browser could lend a page is used here.
PERMISSIONS_POLICY = ", ".join(
    f"{name}=()"
    for name in (
        "accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media", "fullscreen",
        "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment", "screen-wake-lock", "usb",
        "xr-spatial-tracking",
    )
)  # fmt: skip
FORM_OVERHEAD = 64 * 1024  # bytes of the other fields and the separators of a form that carries a file


def client_address(request: HttpRequest) -> str:
    """The address the bytes go to. `X-Forwarded-For` counts only when a trusted proxy sent it, its last hop first."""
    address = request.META.get("REMOTE_ADDR") or ""
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and _trusted(address):
        address = hops.pop()
    return address


def _trusted(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES)


class Headers:
    """What every answer says beside Django's and the CSP's headers, static files included. What somebody reads while
    signed in stays in no cache: a later person at the same machine does not find it with the back button."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        answer = self.get_response(request)
        answer.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        answer.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        answer.headers.setdefault("X-Permitted-Cross-Domain-Policies", "none")
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer


def takes(most: int | None):
    """Mark a view whose requests may bring `most` bytes of files; every other route takes a form, and no more.

    None: the view itself judges the length, in its own words, before it reads.
    """

    def mark(view):
        view.body_limit = None if most is None else most + FORM_OVERHEAD
        return view

    return mark


class BodyLimit:
    """Says no before a byte of the body is read. A body without a length is read as empty by the servers we use."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        limit = getattr(view, "body_limit", settings.FORM_MAX_BYTES)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if limit is None or (length.isdecimal() and int(length) <= limit):
            return None
        # What is left of the body on this connection would be read as the next request.
        answer = render(request, "413.html", {"limit_mib": limit // 1024**2}, status=413)
        answer["Connection"] = "close"
        return answer


class VisitorLimit:
    """So many POST requests a minute from one address that is signed in nowhere, on all public forms together."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if request.method != "POST" or request.user.is_authenticated:
            return None
        minute, limit = int(time.time() // 60), settings.VISITOR_POSTS_A_MINUTE
        counted = f"visitor.posts?address={request.client_address}&minute={minute}"
        if cache.add(counted, 1, timeout=120) or cache.incr(counted) <= limit:
            return None
        if request.path.startswith("/api/"):
            error = {"type": "about:blank", "title": "TooManyRequests", "status": 429, "detail": _("Trop de demandes.")}
            return JsonResponse(error, status=429, content_type="application/problem+json")
        return render(request, "429.html", status=429)


class RequestContext:
    """Gives the audit log the request's number and network, and holds the clock's offset for the request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.number = uuid.uuid4().hex
        request.client_address = client_address(request)
        with context.of_request(number=request.number, address=request.client_address), clock.held():
            return self.get_response(request)


class ErrorPages:
    """Turns the project's errors into one page (or one problem document, RFC 9457) that says every reason."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, error):
        if not isinstance(error, TerrainError):
            return None
        if request.path.startswith("/api/"):
            return JsonResponse(as_problem(error), status=error.status, content_type="application/problem+json")
        return render(request, "error.html", {"error": error, "back": _back(request)}, status=error.status)


def _back(request) -> str:
    """The page of this site from which the request came; never another site's."""
    came_from = request.META.get("HTTP_REFERER", "")
    allowed = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure())
    return came_from if allowed else ""


def as_problem(error: TerrainError) -> dict:
    """The problem document of an error. Source: RFC 9457."""
    return {
        "type": f"about:blank#{type(error).__name__}",
        "title": type(error).__name__,
        "status": error.status,
        "detail": str(error),
        "reasons": [{"code": r.code, "message": r.message, "source": r.source, "link": r.link} for r in error.reasons],
    }


def problem(error, handler_context):
    """Django REST framework's handler: the project's errors first, then its own."""
    if isinstance(error, TerrainError):
        return JsonResponse(as_problem(error), status=error.status, content_type="application/problem+json")
    return exception_handler(error, handler_context)


def page_context(request):
    """What every page shows: the demo's banner and where downloads are served."""
    offset = clock.offset()
    return {
        "demo": settings.DEMO,
        "clock_offset_days": offset.days if offset else 0,
        "clock_now": clock.now() if settings.DEMO else None,
        "delivery_url": settings.DELIVERY_URL,
    }
