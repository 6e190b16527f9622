"""What a person says to the operator, sealed to the zone's key as it arrives and handed to the zone's worker.

Shared by objections and consents. The web process sees a local identifier for the time of one request; only the
worker, which holds the key store, opens what was sealed, and deletes it.
"""

from typing import Any

import pyrage
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from broker import clock
from broker.audit.leaf import ulid
from broker.errors import BadInput, WrongState
from broker.keys.models import DataKey
from consent.models import SealedRequest
from zones.models import Zone

LONGEST_ID = 120  # signs of a local identifier


def new_receipt() -> str:
    return ulid(clock.now())


@sensitive_variables("local_id")
def sealed_id(zone: Zone, local_id: str) -> bytes:
    """The identifier under the zone's public key. What follows this line never sees it in clear."""
    local_id = local_id.strip()
    if not local_id or len(local_id) > LONGEST_ID:
        raise BadInput(_("Indiquez le numéro par lequel votre établissement connaît cette personne."))
    return sealed(zone, local_id.encode())


@sensitive_variables("content")
def sealed(zone: Zone, content: bytes) -> bytes:
    """`content` under the zone's public key. Raises WrongState while the worker has not made it."""
    key = DataKey.objects.filter(purpose=DataKey.Purpose.SOURCE, ref=f"zone:{zone.pk}", destroyed_at=None).first()
    if key is None:
        raise WrongState(_("La clé de la zone est en cours de création : réessayez dans une minute."))
    return pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(key.public)])


def hand_over(zone: Zone, *, by, kind: str, receipt: str, sealed: bytes, facts: dict[str, Any]) -> SealedRequest:
    """Keep the sealed request and ask the worker to open it, in the caller's transaction."""
    from consent.tasks import record_sealed_request

    request = SealedRequest.objects.create(
        zone=zone, kind=kind, receipt=receipt, sealed=sealed, recorded_by=by, facts=facts
    )
    record_sealed_request.defer(request_id=request.pk)
    return request
