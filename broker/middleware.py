"""What every request goes through: its number and address for the log, the time held once, errors turned into pages."""

import ipaddress
import uuid

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.shortcuts import render
from rest_framework.views import exception_handler

from broker import clock
from broker.audit import context
from broker.errors import TerrainError


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
        return render(request, "error.html", {"error": error}, status=error.status)


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
