"""Jobs of the worker that holds the zone's keys. A job's arguments never hold a local identifier."""

import pyrage
from django.views.decorators.debug import sensitive_variables
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from broker.keys import subject
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from consent import oppositions
from consent.models import SealedRequest


@app.task(
    name="consent.tasks.record_sealed_request",
    queue="subjects",
    retry=RetryStrategy(max_attempts=8, exponential_wait=2),  # a key store being mounted: about four minutes in all
)
def record_sealed_request(request_id: int) -> None:
    """Open one sealed request, keep the subject's token, forget the rest. Run again, it does nothing."""
    request = SealedRequest.objects.filter(pk=request_id).first()
    if request is not None:
        oppositions.record(request.pk, token=_token(request))


@sensitive_variables()
def _token(request: SealedRequest) -> bytes:
    """HMAC-SHA-256 of the local identifier under the zone's key. The identifier lives in this frame alone."""
    store, ref = KeyStore(), f"zone:{request.zone_id}"
    secret = store.open(DataKey.Purpose.SOURCE, ref, covered_by="opposition.record").decode()
    identity = pyrage.x25519.Identity.from_str(secret)
    local_id = pyrage.decrypt(bytes(request.sealed), [identity]).decode()
    return subject.token(store.open(DataKey.Purpose.TOKEN, ref, covered_by="opposition.record"), local_id)
