"""The delivery server: releases leave through this WSGI application alone, in processes of its own.

    gunicorn --worker-class gthread broker.releases.delivery:application

Slow readers never hold a thread of the site. Each request asks the gate anew; while bytes go out, the epoch and the
day are compared every 8 MiB and at least every 10 s, and a cut stream sends nothing more (legal-gate, section 6.1).
What the kernel still holds for a slow reader has not left: it is bounded, and thrown away when the stream is cut.
"""

import contextlib
import errno
import os
import re
import socket
import struct
import time
from collections.abc import Iterator
from uuid import UUID

from django.core.handlers.wsgi import WSGIHandler

from broker.starting import loading

URLS = "broker.releases.delivery_urls"


class Delivery(WSGIHandler):
    """The site's own settings and middleware, with its two routes."""

    def get_response(self, request):
        request.urlconf = URLS
        return super().get_response(request)


def _application() -> Delivery:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "broker.settings")
    with loading():
        django.setup(set_prefix=False)
        return Delivery()


application = _application()

# Below, what needs the applications to be loaded.
from django.conf import settings  # noqa: E402
from django.contrib.auth.decorators import login_not_required  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.utils.translation import gettext as _  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from django.views.decorators.http import require_GET, require_POST  # noqa: E402

from broker import clock  # noqa: E402
from broker.accounts import machines, second_factor  # noqa: E402
from broker.accounts.models import MachineOrder  # noqa: E402
from broker.audit.actor import of as actor_of  # noqa: E402
from broker.errors import NotAllowed, Refused, TerrainError, WrongState  # noqa: E402
from broker.middleware import as_problem  # noqa: E402
from broker.releases import deliveries, facts, store  # noqa: E402
from broker.releases.models import Release  # noqa: E402
from consent import record  # noqa: E402
from consent.models import GateDecision  # noqa: E402

PIECE = 64 * 1024  # bytes between two looks at the clock
CHECK_BYTES = 8 * 1024 * 1024
CHECK_SECONDS = 5
SEND_SECONDS = 5  # for one piece: with CHECK_SECONDS, a reader who stands still never puts a look off beyond 10 s
SEND_BUFFER = 256 * 1024  # bytes that the kernel holds for one reader; left to itself it holds several megabytes
RANGE = re.compile(r"bytes=(\d{1,15})-$")  # what resumes; any other range is ignored, as RFC 9110 permits
TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}


class PastTheEnd(TerrainError):
    """A range that begins after the last byte; the answer says how many there are."""

    status = 416

    def __init__(self, size: int):
        super().__init__(
            _("Le fichier a %(size)s octets : demandez une suite « bytes=N- » plus courte.") % {"size": size}
        )
        self.size = size


class Cut(ConnectionResetError):
    """Access ended while bytes were going out: the connection is closed, the server logs no fault of its own."""

    def __init__(self):
        super().__init__(errno.ECONNRESET, "access ended")


def release_of(reference: str) -> Release:
    kind, _colon, number = reference.partition(":")
    row = kind == "release" and Release.objects.select_related("convention", "dataset_version", "key").filter(pk=number)
    release = row.first() if row else None
    if release is None:
        raise NotAllowed(_("Cet ordre ne désigne aucune remise."))
    return release


def permit_for(release: Release, *, by, address: str, second_factor_at=None, order=None, first_byte: int = 0):
    """The recorded decision of this very request. Raises Refused, already recorded, with every reason."""
    convention = release.convention
    told = facts.facts_of(release)
    return record.decide(
        "release_download", by=by, convention=convention, version=release.dataset_version, columns=told.columns,
        purpose_kind=convention.purpose_kind, purpose_code=convention.purpose_code, second_factor_at=second_factor_at,
        address=address, delivery_mode=release.delivery_mode, order=order, release=told, first_byte=first_byte,
        overdue_orders=facts.overdue_orders(convention),
    )  # fmt: skip


@login_not_required
@require_POST
def download(request, pk: UUID):
    """A named person takes a plain file. Refusals are told on the release's page of the site."""
    page = f"{settings.SITE_URL.rstrip('/')}/remises/{pk}/"
    if not request.user.is_authenticated:
        return HttpResponseRedirect(page)
    release = (
        Release.objects.for_user(request.user).select_related("convention", "dataset_version", "key").filter(pk=pk)
    ).first()
    if release is None or release.status != Release.Status.READY or release.delivery_mode != "file_download":
        return HttpResponseRedirect(page)
    begun = release.deliveries.filter(order=None, decision__actor_ref=actor_of(request.user).ref)
    try:
        first_byte = _first_byte(request, release)
        if not deliveries.may_resume(begun, first_byte):
            first_byte = 0
        permit = permit_for(
            release, by=request.user, address=request.client_address, second_factor_at=second_factor.at(request),
            first_byte=first_byte,
        )  # fmt: skip
    except PastTheEnd as error:
        return _problem(error)
    except Refused:
        denied = GateDecision.objects.filter(
            object_ref=facts.reference(release), actor_ref=actor_of(request.user).ref, effect="deny"
        ).first()
        return HttpResponseRedirect(f"{page}?refus={denied.pk}" if denied else page)
    return _answer(request, release, permit, by=request.user, first_byte=first_byte)


@csrf_exempt  # no cookie is read here: the secret stands in a header that no page can set
@login_not_required
@require_GET
def pull(request, pk: UUID):
    """An environment's machine executes a person's order; with a range it goes on where the same order stopped."""
    try:
        return _pull(request, pk)
    except TerrainError as error:
        return _problem(error)


def _problem(error: TerrainError):
    answer = JsonResponse(as_problem(error), status=error.status, content_type="application/problem+json")
    if isinstance(error, PastTheEnd):
        answer["Content-Range"] = f"bytes */{error.size}"
    return answer


@csrf_exempt  # as for `pull`
@login_not_required
@require_GET
def state(request, pk: UUID):
    """How far a release of its own environment is, for a machine that waits."""
    credential = machines.credential_of(request.headers.get("Authorization", ""))
    if credential is None:
        return _unknown_machine()
    release = Release.objects.select_related("convention").filter(pk=pk).first()
    if release is None or release.convention.environment_id != credential.environment_id:
        return _problem(NotAllowed(_("Aucune remise de ce numéro pour cet environnement.")))
    answer = JsonResponse(facts.state_of(release))
    answer["Cache-Control"] = "no-store"
    return answer


@csrf_exempt  # as for `pull`
@login_not_required
@require_GET
def pull_unordered(request, pk: UUID):
    """A machine that names a release but brings nobody's order: the gate says so (G01), and the log keeps it."""
    try:
        credential = machines.credential_of(request.headers.get("Authorization", ""))
        if credential is None:
            return _unknown_machine()
        release = Release.objects.select_related("convention", "dataset_version", "key").filter(pk=pk).first()
        if release is None or release.convention.environment_id != credential.environment_id:
            raise NotAllowed(_("Aucune remise de ce numéro pour cet environnement."))
        permit = permit_for(release, by=credential, address=request.client_address)
        return _answer(request, release, permit, by=credential, first_byte=0)
    except TerrainError as error:
        return JsonResponse(as_problem(error), status=error.status, content_type="application/problem+json")


def _unknown_machine():
    unknown = NotAllowed(_("Identifiant de machine inconnu ou révoqué : créez-en un sur la page de l'environnement."))
    answer = JsonResponse(as_problem(unknown), status=401, content_type="application/problem+json")
    answer["WWW-Authenticate"] = machines.SCHEME
    return answer


def _pull(request, pk):
    credential = machines.credential_of(request.headers.get("Authorization", ""))
    if credential is None:
        return _unknown_machine()
    order = MachineOrder.objects.select_related("person", "environment").filter(pk=pk).first()
    if order is None or order.environment_id != credential.environment_id:
        raise NotAllowed(_("Aucun ordre de ce numéro pour cet environnement."))
    release = release_of(order.object_ref)
    first_byte = _first_byte(request, release)
    if order.used_at is not None and not deliveries.may_resume(order.deliveries.all(), first_byte):
        first_byte = 0  # the gate then says that the order was spent
    if release.status == Release.Status.WITHDRAWN and facts.is_stale(release):
        # Rebuilt without somebody it holds: the gate says why (G26), and the log that it was asked again.
        permit_for(release, by=credential, address=request.client_address, order=order)
    if release.status != Release.Status.READY:
        raise WrongState(_("La remise n'est pas prête, ou une version plus récente la remplace : voyez sa page."))
    deliveries.require_same_recipient(release, by=credential)
    permit = permit_for(release, by=credential, address=request.client_address, order=order, first_byte=first_byte)
    return _answer(request, release, permit, by=credential, first_byte=first_byte, order=order)


def _first_byte(request, release: Release) -> int:
    """Where a resumed download begins; 0 for the whole file. Raises PastTheEnd."""
    asked = request.headers.get("Range", "")
    if not asked or request.headers.get("If-Range", f'"{release.sha256}"') != f'"{release.sha256}"':
        return 0
    match = RANGE.fullmatch(asked.strip())
    if match is None:
        return 0
    if not release.size or int(match[1]) >= release.size:
        raise PastTheEnd(release.size or 0)
    return int(match[1])


def _answer(request, release: Release, permit, *, by, first_byte: int, order=None):
    delivery = deliveries.begin(release, by=by, permit=permit, order=order, first_byte=first_byte)
    wire = Wire(request.META.get("gunicorn.socket"))
    sending = Sending(release, permit, delivery, by=by, first_byte=first_byte, wire=wire)
    answer = StreamingHttpResponse(sending, status=206 if first_byte else 200)
    sealed = release.recipe["output"]["sealed"]
    answer["Content-Type"] = "application/octet-stream" if sealed else TYPES[release.recipe["output"]["format"]]
    answer["Content-Length"] = str(release.size - first_byte)
    if first_byte:
        answer["Content-Range"] = f"bytes {first_byte}-{release.size - 1}/{release.size}"
    answer["Content-Disposition"] = f'attachment; filename="{release.file_name}"'
    answer["ETag"] = f'"{release.sha256}"'
    answer["Accept-Ranges"] = "bytes"
    answer["Cache-Control"] = "no-store"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["X-Accel-Buffering"] = "no"
    answer["X-Terrain-Licence"] = "experimentation-only"
    return answer


class Wire:
    """The socket under an answer: bounded in what it holds, and closed without sending it.

    What the log counts as sent was handed to it: never less than what left, at most SEND_BUFFER more. The test client
    has no socket: nothing is held back then.
    """

    def __init__(self, sock: socket.socket | None):
        self.sock = sock
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER // 2)  # Linux doubles what it is asked
            sock.settimeout(SEND_SECONDS)

    def cut(self) -> None:
        """Reset the connection: what the kernel still holds is thrown away, not sent."""
        if self.sock is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()


class Sending:
    """The bytes, in pieces; the connection to the database is given back at once and taken only to look again.

    Raises Cut when access has ended: the piece in hand is not sent. A client that leaves before the first piece
    never starts the iteration: `close`, which the server always calls, ends the delivery then too.
    """

    def __init__(self, release: Release, permit, delivery, *, by, first_byte: int, wire: Wire):
        self.release, self.permit, self.delivery = release, permit, delivery
        self.by, self.first_byte, self.wire = by, first_byte, wire
        self.sent = 0
        self.outcome = "interrupted"
        self.is_ended = False

    def __iter__(self) -> Iterator[bytes]:
        since, looked = 0, time.monotonic()
        try:
            with contextlib.closing(store.open(self.permit)) as file:
                connection.close()
                file.seek(self.first_byte)
                while piece := file.read(PIECE):
                    if since + len(piece) > CHECK_BYTES or time.monotonic() - looked >= CHECK_SECONDS:
                        permitted = record.still_permitted(self.permit)
                        connection.close()
                        if not permitted:
                            self.outcome = "cut"
                            self.wire.cut()
                            raise Cut
                        since, looked = 0, time.monotonic()
                    self.sent += len(piece)
                    since += len(piece)
                    yield piece
            self.outcome = "complete"
        finally:
            self.close()

    def close(self) -> None:
        if self.is_ended:
            return
        self.is_ended = True
        deliveries.end(self.delivery, by=self.by, bytes_sent=self.sent, outcome=self.outcome, at=clock.now())
        if not self.sent:
            record.give_back(self.permit)
        connection.close()


@login_not_required
def health(request):
    return HttpResponse("ok", content_type="text/plain")
