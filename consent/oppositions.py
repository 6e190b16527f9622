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
from broker.audit.actor import Actor
from broker.epoch.actions import raise_epoch
from broker.errors import BadInput, WrongState
from broker.keys import subject
from broker.keys.store import WORKER
from consent import intake, permissions
from consent.models import ObjectionRequest, Opposition, SealedRequest
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
        obj=("opposition", request.receipt), zone=zone.reference, org=zone.operator, detail={"already": known},
        sub=subject.reference(zone.pk, token),
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


@recorded("opposition.withdraw")
def withdraw(zone: Zone, *, by, receipt: str) -> Opposition:
    """Undo: the person changes their mind and gives their receipt. From now on their rows may leave again.

    Raises NotAllowed, BadInput when no objection in force bears this number here."""
    number = receipt.strip().upper()
    describe(obj=("opposition", number), zone=zone.reference, org=zone.operator)
    permissions.require_intake(by, zone)
    row = Opposition.objects.select_for_update(of=("self",)).filter(zone=zone, receipt=number, withdrawn_at=None)
    opposition = row.first()
    if opposition is None:
        raise BadInput(_("Aucune opposition en vigueur ne porte ce numéro ici : relisez le récépissé de la personne."))
    describe(sub=subject.reference(zone.pk, bytes(opposition.token)))
    opposition.withdrawn_at = clock.now()
    opposition.save(update_fields=["withdrawn_at"])
    raise_epoch(("zone", str(zone.pk)))
    return opposition


# ------------------------------------------------------------------------------------------------ without an account

ANYBODY = Actor("service:public", kind="service", auth="none")
R = ObjectionRequest.Status
IDENTITY_WITHIN = timedelta(hours=72)  # from the identity established to the effect, at most; here it is at once


@sensitive_variables("local_id")
def request(zone: Zone, *, local_id: str, dataset: Dataset | None, speaks: str, contact: str) -> ObjectionRequest:
    """A "no" said on the public page: sealed, with its receipt at once; the operator then establishes who spoke."""
    sealed = intake.sealed_id(zone, local_id)
    return _request(zone, by=ANYBODY, sealed=sealed, dataset=dataset, speaks=speaks, contact=contact.strip())


@recorded("opposition.request")
def _request(zone: Zone, *, by, sealed: bytes, dataset, speaks: str, contact: str) -> ObjectionRequest:
    receipt = intake.new_receipt()
    describe(
        obj=("opposition", receipt), zone=zone.reference, org=zone.operator,
        detail={"dataset": dataset.slug if dataset else "", "speaks": speaks},
    )  # fmt: skip
    if dataset is not None and dataset.zone_id != zone.pk:
        raise BadInput(_("Choisissez un jeu de données de cette zone."))
    return ObjectionRequest.objects.create(
        zone=zone, receipt=receipt, sealed=sealed, dataset=dataset, speaks=speaks, contact=contact
    )


@recorded("opposition.confirm")
def confirm(asked: ObjectionRequest, *, by) -> SealedRequest:
    """The operator has established who spoke: the objection is in force as soon as the worker has opened it."""
    row = _decide(asked, by=by, status=R.CONFIRMED)
    sealed, row.sealed, row.contact = bytes(row.sealed), b"", ""
    row.save()
    scope = Opposition.Scope.DATASET if row.dataset_id else Opposition.Scope.EVERYTHING
    return intake.hand_over(
        row.zone, by=by, kind=SealedRequest.Kind.OPPOSITION, receipt=row.receipt, sealed=sealed,
        facts={"scope": scope.value, "dataset": row.dataset_id},
    )  # fmt: skip


@recorded("opposition.dismiss")
def dismiss(asked: ObjectionRequest, *, by, reason: str) -> ObjectionRequest:
    """Nobody could establish who spoke, or it was sent twice. What was sealed is erased."""
    row = _decide(asked, by=by, status=R.DISMISSED)
    if not reason.strip():
        raise BadInput(_("Dites pourquoi cette demande est écartée : la personne le lira avec son récépissé."))
    row.reason, row.sealed, row.contact = reason.strip()[:300], b"", ""
    row.save()
    return row


def _decide(asked: ObjectionRequest, *, by, status) -> ObjectionRequest:
    row = ObjectionRequest.objects.select_for_update(of=("self",)).select_related("zone__operator").get(pk=asked.pk)
    describe(obj=("opposition", row.receipt), zone=row.zone.reference, org=row.zone.operator)
    permissions.require_intake(by, row.zone)
    if row.status != R.WAITING:
        raise WrongState(_("Un collègue a déjà décidé de cette demande."))
    row.status, row.decided_by, row.decided_at = status, by, clock.now()
    return row


@transaction.atomic
def state_of(zone: Zone, receipt: str) -> tuple[str, datetime | None]:
    """(state, since), read at one moment: "identity" while the operator establishes who spoke, "waiting" for the
    worker, "in_force", "already" when an earlier one covers the same thing, "withdrawn", "dismissed", "unknown"."""
    opposition = Opposition.objects.filter(zone=zone, receipt=receipt).first()
    if opposition is not None and opposition.withdrawn_at is not None:
        return "withdrawn", opposition.withdrawn_at
    if opposition is not None:
        return "in_force", opposition.effective_at
    request = SealedRequest.objects.filter(zone=zone, receipt=receipt).first()
    if request is not None:
        return "waiting", request.created_at
    asked = ObjectionRequest.objects.filter(zone=zone, receipt=receipt).first()
    if asked is not None:
        known = {R.WAITING: ("identity", asked.received_at), R.DISMISSED: ("dismissed", asked.decided_at)}
        return known.get(R(asked.status), ("already", asked.decided_at))
    return "unknown", None
