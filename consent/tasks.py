"""Jobs of this room: objections on their way to the zone's worker, the seal of signed conventions, and writing down
what time has already ended.

A job's arguments never hold a local identifier. Validity is computed when it is read: the hourly job only makes the
stored states say what is true, and a late one never lengthens an access.
"""

from datetime import timedelta
from pathlib import Path

import pyrage
from django.conf import settings
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from broker import clock
from broker.audit.actions import describe, recorded
from broker.audit.actor import SYSTEM
from broker.keys import subject
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from consent import consents, oppositions
from consent.models import Convention, RegistryEntry, SealedDocument, SealedRequest

EACH_TIME = 200  # rows a run, so that a run stays short; the next hour goes on


@app.task(
    name="consent.tasks.record_sealed_request",
    queue="subjects",
    retry=RetryStrategy(max_attempts=8, exponential_wait=2),  # a key store being mounted: about four minutes in all
)
def record_sealed_request(request_id: int) -> None:
    """Open one sealed request, keep the subjects' tokens, forget the rest. Run again, it does nothing."""
    request = SealedRequest.objects.filter(pk=request_id).first()
    if request is None:
        return
    if request.kind == SealedRequest.Kind.IMPORT:
        _record_import(request)
    else:
        RECORDERS[request.kind](request.pk, token=_token(request))


RECORDERS = {
    SealedRequest.Kind.OPPOSITION: oppositions.record,
    SealedRequest.Kind.CONSENT: consents.record,
    SealedRequest.Kind.WITHDRAWAL: consents.record_withdrawal,
}


@sensitive_variables()
def _token(request: SealedRequest) -> bytes:
    """HMAC-SHA-256 of the local identifier under the zone's key. The identifier lives in this frame alone."""
    return subject.token(_token_key(request), _opened(request).decode())


@sensitive_variables()
def _opened(request: SealedRequest) -> bytes:
    secret = KeyStore().open(DataKey.Purpose.SOURCE, f"zone:{request.zone_id}", covered_by=_covered_by(request))
    return pyrage.decrypt(bytes(request.sealed), [pyrage.x25519.Identity.from_str(secret.decode())])


def _token_key(request: SealedRequest) -> bytes:
    return KeyStore().open(DataKey.Purpose.TOKEN, f"zone:{request.zone_id}", covered_by=_covered_by(request))


def _covered_by(request: SealedRequest) -> str:
    """The act of the log under which the keys are opened for this request."""
    K = SealedRequest.Kind  # noqa: N806  short name of the kinds
    return {K.OPPOSITION: "opposition.record", K.WITHDRAWAL: "consent.withdraw"}.get(request.kind, "consent.record")


@sensitive_variables()
def _record_import(request: SealedRequest) -> None:
    """Read a file of consents: tokens of the good lines, numbers of the others. The lines live in this frame alone."""
    key, lines, refused = _token_key(request), [], []
    wanted = request.facts["import"]
    try:
        for number, local_id, said in consents.read(_opened(request)):
            if isinstance(said, str):
                refused.append({"line": number, "why": said})
            else:
                lines.append((number, subject.token(key, local_id), said))
            if len(lines) + len(refused) > consents.MOST_LINES:
                raise consents.Unreadable(
                    _("Le fichier dépasse %s lignes : découpez-le en plusieurs.") % consents.MOST_LINES
                )
            if number % 2000 == 0:
                consents.note_progress(wanted, step="lines", percent=min(90, number * 90 // consents.MOST_LINES))
        if not lines and not refused:
            raise consents.Unreadable(_("Le fichier n'a pas de ligne après son en-tête."))
    except consents.Unreadable as unreadable:
        consents.refuse_import(request.pk, problem=str(unreadable))
        return
    consents.record_import(request.pk, lines=lines, refused=refused)


@app.task(name="consent.tasks.seal_convention", queue="keys")
def seal_convention(convention_id: int) -> None:
    """Seal the signed document, once. A platform without a seal key leaves the convention signed and unsealed."""
    from consent import seal

    if not seal.is_configured():
        return
    convention = Convention.objects.select_related("zone", "organisation").get(pk=convention_id)
    document = convention.documents.order_by("-number").first()
    if SealedDocument.objects.filter(document=document).exists():
        return
    evidence = seal.evidence_of(convention, document)
    made = seal.seal(bytes(document.pdf), evidence, signer=seal.load(Path(settings.SEAL_KEY)), tsa_url=settings.TSA_URL)
    _keep(convention, document, made, by=SYSTEM)


@recorded("convention.seal")
def _keep(convention, document, made, *, by) -> None:
    Convention.objects.select_for_update(of=("self",)).get(pk=convention.pk)
    if SealedDocument.objects.filter(document=document).exists():
        return
    SealedDocument.objects.create(
        document=document, pdf=made.pdf, sha256=made.sha256, certificate_sha256=made.certificate_sha256,
        has_time_stamp=made.has_time_stamp,
    )  # fmt: skip
    describe(
        obj=convention, zone=convention.zone.reference, org=convention.organisation, conv=convention.reference,
        detail={"sha256": made.sha256, "signed_sha256": document.sha256, "time_stamp": made.has_time_stamp},
    )  # fmt: skip


@app.periodic(cron="5 * * * *")
@app.task(name="consent.tasks.end_what_has_ended", queue="clock", queueing_lock="consent.end_what_has_ended")
def end_what_has_ended(timestamp: int) -> None:
    """Write down the ends that time brought: conventions, signatures not given, accreditations, silent requests."""
    from consent.transitions import convention, registry

    today, now = clock.today(), clock.now()
    S, E = Convention.Status, RegistryEntry.Status  # noqa: N806  short names of the states
    over = Convention.objects.filter(status__in=(S.ACTIVE, S.SUSPENDED), ends_on__lt=today)
    for row in over[:EACH_TIME]:
        convention.expire(row, by=SYSTEM)
    left = Convention.objects.filter(status__in=(S.ACTIVE, S.SUSPENDED), terminates_on__lt=today)
    for row in left[:EACH_TIME]:
        convention.end_notice(row, by=SYSTEM)
    unsigned = Convention.objects.filter(status=S.SIGNING, created_at__lt=now - convention.SIGNING_TIME)
    for row in unsigned[:EACH_TIME]:
        if convention.last_day_to_sign(row) < today:
            convention.lapse(row, by=SYSTEM)
    ended = RegistryEntry.objects.filter(status=E.ACCREDITED).exclude(accreditations__period__endswith__gt=today)
    for entry in ended[:EACH_TIME]:
        registry.expire(entry, by=SYSTEM)
    # at the longest, a day of the calendar has 25 hours
    silent = RegistryEntry.objects.filter(
        status=E.INCOMPLETE, submitted_at__lt=now - registry.SILENCE + timedelta(hours=25)
    )
    for entry in silent[:EACH_TIME]:
        if registry.last_day_of_silence(entry) <= today:
            registry.lapse(entry, by=SYSTEM)


@app.periodic(cron="20 3 * * *")
@app.task(name="consent.tasks.destroy_keys_due", queue="keys", queueing_lock="consent.destroy_keys_due")
def destroy_keys_due(timestamp: int) -> None:
    """Thirty days after a convention is closed, its pseudonym key goes: its pseudonyms cannot be linked again."""
    from consent.transitions import convention

    closed = Convention.objects.filter(
        status=Convention.Status.CLOSED, acts__act="attest", acts__at__lt=clock.now() - convention.KEY_KEPT
    )
    living = DataKey.objects.filter(purpose=DataKey.Purpose.PSEUDONYM, destroyed_at=None).values_list("ref", flat=True)
    due = {f"convention:{pk}" for pk in closed.values_list("pk", flat=True)} & set(living)
    store = KeyStore()
    for ref in sorted(due)[:EACH_TIME]:
        store.destroy(DataKey.Purpose.PSEUDONYM, ref, reason="convention closed for thirty days")
