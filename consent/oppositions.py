"""Objections of data subjects: taken at the desk, sealed at once, turned into a keyed token by the zone's worker.

The web process sees the local identifier for the time of one request, seals it to the zone's public key and keeps
nothing else. Only the worker, which holds the key store, opens it, computes the token and deletes the sealed request.
An objection is in force from the moment it was received; 02:00 in Paris of the next day is the legal limit, which a
test holds. Source: legal-gate, section 8; RGPD art. 21.
"""

from datetime import datetime, time, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from broker import clock
from broker.audit.actions import describe, recorded
from broker.epoch.actions import raise_epoch
from broker.errors import BadInput
from broker.keys.store import WORKER
from consent import intake, permissions
from consent.models import Opposition, SealedRequest
from zones.models import Dataset, Zone


def limit(received_at: datetime) -> datetime:
    """The latest moment at which an objection received then must be in force: 02:00 in Paris of the next day."""
    day = received_at.astimezone(clock.PARIS).date() + timedelta(days=1)
    return datetime.combine(day, time(2), clock.PARIS)


def effective_at(received_at: datetime) -> datetime:
    """At once: the register is of this very database, nothing has to be carried anywhere overnight."""
    return min(received_at, limit(received_at))


@sensitive_variables("local_id")
def receive(zone: Zone, *, by, local_id: str, dataset: Dataset | None = None) -> SealedRequest:
    """Seal the objection of the person known here as `local_id` and hand it to the worker; its receipt is at once.

    Without `dataset` it covers everything the zone supplies. Raises BadInput, NotAllowed, WrongState.
    """
    return _receive(zone, by=by, sealed=intake.sealed_id(zone, local_id), dataset=dataset)


@recorded("opposition.receive")
def _receive(zone: Zone, *, by, sealed: bytes, dataset: Dataset | None) -> SealedRequest:
    receipt = intake.new_receipt()
    scope = Opposition.Scope.DATASET if dataset else Opposition.Scope.EVERYTHING
    describe(
        obj=("opposition", receipt), zone=zone.reference, org=zone.operator,
        detail={"scope": scope.value, "dataset": dataset.slug if dataset else ""},
    )  # fmt: skip
    permissions.require_intake(by, zone)
    if dataset is not None and dataset.zone_id != zone.pk:
        raise BadInput(_("Choisissez un jeu de données de cette zone."))
    return intake.hand_over(
        zone, by=by, kind=SealedRequest.Kind.OPPOSITION, receipt=receipt, sealed=sealed,
        facts={"scope": scope.value, "dataset": dataset.pk if dataset else None},
    )  # fmt: skip


@recorded("opposition.record")
def record(request_id: int, *, token: bytes, by=WORKER) -> bool:
    """Write the opposition of a sealed request under the subject's token and delete the request. False when the same
    person had already objected to the same thing: what was in force stays in force."""
    request = SealedRequest.objects.select_for_update(of=("self",)).select_related("zone__operator").get(pk=request_id)
    zone = request.zone
    facts = {
        "zone": zone,
        "token": token,
        "scope": request.facts["scope"],
        "dataset_id": request.facts["dataset"],
    }
    known = Opposition.objects.filter(withdrawn_at=None, **facts).exists()
    if not known:
        Opposition.objects.create(
            **facts,
            receipt=request.receipt,
            recorded_by_id=request.recorded_by_id,
            recorded_at=request.created_at,
            effective_at=effective_at(request.created_at),
        )
        raise_epoch(("zone", str(zone.pk)))
    describe(
        obj=("opposition", request.receipt), zone=zone.reference, org=zone.operator, detail={"already": known}
    )  # fmt: skip
    request.delete()
    return not known


def tokens_in_force(zone: Zone, dataset: Dataset, at: datetime) -> list[bytes]:
    """The tokens of the subjects whose rows of `dataset` may not leave at `at`."""
    rows = Opposition.objects.filter(zone=zone, effective_at__lte=at).filter(
        Q(withdrawn_at=None) | Q(withdrawn_at__gt=at), Q(scope=Opposition.Scope.EVERYTHING) | Q(dataset=dataset)
    )
    return [bytes(token) for token in rows.values_list("token", flat=True).distinct()]


def sealed_requests(zone):
    """Requests of a zone that its worker has yet to open, the oldest first: the register is whole up to it (G26)."""
    return SealedRequest.objects.filter(zone=zone).order_by("created_at")


@transaction.atomic
def state_of(zone: Zone, receipt: str) -> tuple[str, datetime | None]:
    """("waiting", since), ("in_force", since) or ("unknown", None), read at one moment."""
    opposition = Opposition.objects.filter(zone=zone, receipt=receipt).first()
    if opposition is not None:
        return "in_force", opposition.effective_at
    request = SealedRequest.objects.filter(zone=zone, receipt=receipt).first()
    if request is not None:
        return "waiting", request.created_at
    return "unknown", None
