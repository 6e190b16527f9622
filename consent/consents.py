"""Consents of data subjects: taken at the desk or imported, sealed at once, turned into keyed tokens by the worker.

Data that rest on consent hold nobody who did not say yes (rule G27). A consent names a dataset, purposes, a category
of recipients and its proof. Withdrawing it acts as an objection: in force at once, running downloads cut.
The web process never keeps a local identifier; of a file it keeps nothing but the sealed bytes, until the worker has
read them. Source: legal-gate, section 8, Intake; RGPD art. 7.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from broker import clock
from broker.accounts.models import Organisation
from broker.audit.actions import describe, recorded
from broker.epoch.actions import raise_epoch
from broker.errors import BadInput, WrongState
from broker.keys import subject
from broker.keys.store import WORKER
from consent import intake, permissions
from consent.models import Consent, ConsentImport, ConsentWithdrawal, Recipients, SealedRequest
from consent.words import PURPOSES
from zones.models import Dataset, Zone

MOST_BYTES = 1024 * 1024  # of a file of consents: about twenty thousand lines
MOST_LINES = 20_000
MOST_REFUSED = 500  # lines told on the page; the others are counted
REQUIRED = ("local_id", "given_on", "proof", "purposes")
OPTIONAL = ("recipients", "proof_sha256")
PURPOSE_MARK = "|"  # between the purposes of one line

S = ConsentImport.Status
NEXT = {  # the whole life of an import
    (S.RECEIVED, "finish"): S.DONE,
    (S.RECEIVED, "refuse"): S.REFUSED,
    (S.DONE, "undo"): S.UNDONE,
}

# Why a line is refused. Never the line itself: it holds an identifier.
REFUSALS = {
    "columns": gettext_lazy("pas le même nombre de colonnes que l'en-tête"),
    "local_id": gettext_lazy("numéro absent ou trop long"),
    "date": gettext_lazy("date illisible : écrivez-la AAAA-MM-JJ"),
    "future": gettext_lazy("date à venir"),
    "proof": gettext_lazy("référence de la preuve absente ou trop longue"),
    "proof_names": gettext_lazy("la référence de la preuve contient le numéro de la personne"),
    "proof_sha256": gettext_lazy("empreinte de la preuve : 64 signes hexadécimaux attendus"),
    "purposes": gettext_lazy("finalité absente ou inconnue"),
    "recipients": gettext_lazy("destinataires inconnus"),
    "withdrawn": gettext_lazy("consentement retiré depuis par la personne"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """What one person agreed to, without who they are."""

    given_on: date
    proof: str
    purposes: tuple[str, ...]
    recipients: str = Recipients.ANY
    proof_sha256: str = ""


class Line(Exception):
    """One line that is refused: the code of why."""


def category_of(organisation: Organisation) -> str:
    """What consents call this experimenter."""
    return Recipients.PUBLIC.value if organisation.is_public_body else "company"


def covering(category: str) -> list[str]:
    """The recipients a consent may name that include `category`."""
    return [Recipients.ANY.value, *([category] if category in Recipients.values else [])]


def in_force(dataset: Dataset, *, purpose: str, category: str, at: datetime):
    """The consents under which rows of `dataset` may leave at `at` for this purpose and category of recipient."""
    return Consent.objects.filter(
        Q(withdrawn_at=None) | Q(withdrawn_at__gt=at),
        dataset=dataset, recorded_at__lte=at, given_on__lte=at.astimezone(clock.PARIS).date(),
        purposes__contains=[purpose], recipients__in=covering(category),
    )  # fmt: skip


def tokens_in_force(dataset: Dataset, *, purpose: str, category: str, at: datetime) -> list[bytes]:
    found = in_force(dataset, purpose=purpose, category=category, at=at)
    return [bytes(token) for token in found.values_list("token", flat=True).distinct()]


@dataclass(frozen=True, slots=True)
class Counts:
    """For the operator alone: persons who consent today, who took it back, and by purpose."""

    persons: int
    withdrawn: int
    by_purpose: tuple[tuple[str, int], ...]


def counts(dataset: Dataset) -> Counts:
    live = Q(withdrawn_at=None)
    rows = Consent.objects.filter(dataset=dataset)
    whole = rows.aggregate(persons=Count("token", filter=live, distinct=True), ever=Count("token", distinct=True))
    each = {
        code: Count("token", filter=live & Q(purposes__contains=[code]), distinct=True) for code in sorted(PURPOSES)
    }
    found = rows.aggregate(**each)
    by_purpose = tuple(sorted(((c, n) for c, n in found.items() if n), key=lambda pair: (-pair[1], pair[0])))
    return Counts(whole["persons"], whole["ever"] - whole["persons"], by_purpose)


# One person, at the desk


def _checked(said: Said) -> Said:
    """`said`, or BadInput: the same conditions as for a line of a file."""
    try:
        _check(said)
    except Line as line:
        raise BadInput(str(REFUSALS[str(line)]).capitalize() + ".") from None
    return said


def _check(said: Said) -> None:
    if said.given_on > clock.today():
        raise Line("future")
    if not said.proof or len(said.proof) > 200:
        raise Line("proof")
    if said.proof_sha256 and not (len(said.proof_sha256) == 64 and set(said.proof_sha256) <= set("0123456789abcdef")):
        raise Line("proof_sha256")
    if not said.purposes or not set(said.purposes) <= PURPOSES.keys():
        raise Line("purposes")
    if said.recipients not in Recipients.values:
        raise Line("recipients")


@sensitive_variables("local_id")
def receive(dataset: Dataset, *, by, local_id: str, channel: str, **said) -> SealedRequest:
    """Seal the consent of the person known here as `local_id` and hand it to the worker; its receipt is at once.

    `said`: given_on, proof, purposes and, when wanted, recipients and proof_sha256. Raises BadInput, NotAllowed.
    """
    agreed = _checked(Said(**{**said, "purposes": tuple(sorted(said["purposes"]))}))
    if local_id.strip() and local_id.strip() in agreed.proof:
        raise BadInput(str(REFUSALS["proof_names"]).capitalize() + ".")
    return _receive(dataset, by=by, sealed=intake.sealed_id(dataset.zone, local_id), channel=channel, agreed=agreed)


def _about(dataset: Dataset, receipt: str, **detail) -> None:
    zone = dataset.zone
    describe(
        obj=("consent", receipt), zone=zone.reference, org=zone.operator, detail={"dataset": dataset.slug, **detail}
    )


def _rests_on_consent(dataset: Dataset) -> None:
    if not dataset.consent_required:
        raise WrongState(_("Le jeu « %s » ne repose pas sur le consentement : il n'en reçoit pas.") % dataset)


@recorded("consent.receive")
def _receive(dataset: Dataset, *, by, sealed: bytes, channel: str, agreed: Said) -> SealedRequest:
    receipt = intake.new_receipt()
    _about(dataset, receipt, purposes=list(agreed.purposes), recipients=agreed.recipients, channel=channel)
    permissions.require_intake(by, dataset.zone)
    _rests_on_consent(dataset)
    return intake.hand_over(
        dataset.zone, by=by, kind=SealedRequest.Kind.CONSENT, receipt=receipt, sealed=sealed,
        facts={
            "dataset": dataset.pk, "given_on": agreed.given_on.isoformat(), "proof": agreed.proof,
            "proof_sha256": agreed.proof_sha256, "purposes": list(agreed.purposes), "recipients": agreed.recipients,
            "channel": channel,
        },
    )  # fmt: skip


@recorded("consent.record")
def record(request_id: int, *, token: bytes, by=WORKER) -> str:
    """Write the consent of a sealed request and delete the request: "recorded", "already", or "withdrawn" when the
    person took it back after the day it was given."""
    request, dataset = _opened(request_id)
    facts = request.facts
    agreed = Said(
        date.fromisoformat(facts["given_on"]), facts["proof"], tuple(facts["purposes"]), facts["recipients"],
        facts["proof_sha256"],
    )  # fmt: skip
    if agreed.given_on <= _withdrawn(dataset, [token]).get(token, date.min):
        told = "withdrawn"
    else:
        told = "recorded" if _write(dataset, [(token, agreed)], request, channel=facts["channel"]) else "already"
    _about(dataset, request.receipt, outcome=told)
    describe(sub=subject.reference(dataset.zone_id, token))
    request.delete()
    return told


def _opened(request_id: int) -> tuple[SealedRequest, Any]:
    request = SealedRequest.objects.select_for_update(of=("self",)).select_related("zone__operator").get(pk=request_id)
    wanted = request.facts.get("dataset")
    return request, Dataset.objects.select_related("zone__operator").get(pk=wanted) if wanted else None


def _withdrawn(dataset: Dataset, tokens: Iterable[bytes]) -> dict[bytes, date]:
    """The last day on which each of these persons took their consent back: nothing given until then comes back."""
    ends = ConsentWithdrawal.objects.filter(zone=dataset.zone, token__in=set(tokens))
    last: dict[bytes, date] = {}
    for token, at in ends.filter(Q(dataset=None) | Q(dataset=dataset)).values_list("token", "effective_at"):
        day = at.astimezone(clock.PARIS).date()
        last[bytes(token)] = max(day, last.get(bytes(token), day))
    return last


def _write(dataset: Dataset, lines, request: SealedRequest, *, channel: str, imported=None) -> int:
    """Keep what is new among (token, Said); how many were."""
    live = Consent.objects.filter(dataset=dataset, token__in={token for token, _said in lines}, withdrawn_at=None)
    known = {(bytes(token), tuple(p), r) for token, p, r in live.values_list("token", "purposes", "recipients")}
    new = []
    for token, agreed in lines:
        key = (token, agreed.purposes, agreed.recipients)
        if key in known:
            continue
        known.add(key)
        new.append(
            Consent(
                zone=dataset.zone, dataset=dataset, token=token, purposes=list(agreed.purposes),
                recipients=agreed.recipients, given_on=agreed.given_on, channel=channel, proof=agreed.proof,
                proof_sha256=agreed.proof_sha256, receipt=request.receipt, imported=imported,
                recorded_by_id=request.recorded_by_id, recorded_at=clock.now(),
            )
        )  # fmt: skip
    Consent.objects.bulk_create(new, batch_size=2000)
    return len(new)


# Taking it back


@sensitive_variables("local_id")
def withdraw_consent(zone: Zone, *, by, local_id: str, dataset: Dataset | None = None) -> SealedRequest:
    """The person known here as `local_id` takes back their consent to `dataset`, or to everything in the zone.

    No reason is asked; the receipt is at once. Raises BadInput, NotAllowed, WrongState.
    """
    return _take_back(zone, by=by, sealed=intake.sealed_id(zone, local_id), dataset=dataset)


@recorded("consent.receive")
def _take_back(zone: Zone, *, by, sealed: bytes, dataset: Dataset | None) -> SealedRequest:
    receipt = intake.new_receipt()
    describe(
        obj=("consent", receipt), zone=zone.reference, org=zone.operator,
        detail={"dataset": dataset.slug if dataset else "", "withdrawal": True},
    )  # fmt: skip
    permissions.require_intake(by, zone)
    if dataset is not None and dataset.zone_id != zone.pk:
        raise BadInput(_("Choisissez un jeu de données de cette zone."))
    return intake.hand_over(
        zone, by=by, kind=SealedRequest.Kind.WITHDRAWAL, receipt=receipt, sealed=sealed,
        facts={"dataset": dataset.pk if dataset else None},
    )  # fmt: skip


@recorded("consent.withdraw")
def record_withdrawal(request_id: int, *, token: bytes, by=WORKER) -> int:
    """End the person's consents, at the moment the withdrawal was received, and cut what is running."""
    request, dataset = _opened(request_id)
    zone = request.zone
    made = ConsentWithdrawal.objects.create(
        zone=zone, dataset=dataset, token=token, receipt=request.receipt, recorded_by_id=request.recorded_by_id,
        recorded_at=clock.now(), effective_at=request.created_at,
    )  # fmt: skip
    ended = Consent.objects.filter(zone=zone, token=token, withdrawn_at=None)
    if dataset is not None:
        ended = ended.filter(dataset=dataset)
    count = ended.update(withdrawn_at=clock.now(), withdrawal=made)
    raise_epoch(("dataset", str(dataset.pk)) if dataset else ("zone", str(zone.pk)))
    describe(
        obj=("consent", request.receipt), zone=zone.reference, org=zone.operator,
        detail={"dataset": dataset.slug if dataset else ""}, sub=subject.reference(zone.pk, token),
    )  # fmt: skip
    request.delete()
    return count


# A whole file


@recorded("consent.import")
def receive_import(dataset: Dataset, *, by, sealed: bytes, file_name: str) -> ConsentImport:
    """Hand a sealed file of consents to the worker. Its receipt is at once, its lines are judged by the worker."""
    receipt = intake.new_receipt()
    _about(dataset, receipt, file=file_name)
    permissions.require_intake(by, dataset.zone)
    _rests_on_consent(dataset)
    made = ConsentImport.objects.create(
        dataset=dataset, receipt=receipt, file_name=file_name[:200], received_by=by,
        progress={"step": "received", "percent": 0},
    )  # fmt: skip
    intake.hand_over(
        dataset.zone, by=by, kind=SealedRequest.Kind.IMPORT, receipt=receipt, sealed=sealed,
        facts={"dataset": dataset.pk, "import": made.pk},
    )  # fmt: skip
    return made


class Unreadable(Exception):
    """The file as a whole cannot be read: words for people, that quote none of its content."""


def header_of(first: list[str]) -> list[str]:
    """The columns of a file of consents. Raises Unreadable naming what is missing or unknown."""
    names = [name.strip() for name in first]
    if missing := [name for name in REQUIRED if name not in names]:
        raise Unreadable(
            _("La première ligne ne nomme pas toutes les colonnes ; il manque : %s. Ajoutez-les, puis renvoyez.")
            % ", ".join(missing)
        )
    if len(set(names)) != len(names) or set(names) - {*REQUIRED, *OPTIONAL}:
        raise Unreadable(
            _("La première ligne nomme une colonne en trop ou deux fois. Les colonnes possibles : %s.")
            % ", ".join([*REQUIRED, *OPTIONAL])
        )
    return names


@sensitive_variables()
def read(content: bytes) -> Iterable[tuple[int, str, Said | str]]:
    """(line number, local identifier, what was said or the code of the refusal) of each line. Raises Unreadable."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Unreadable(
            _("Le fichier n'est pas en UTF-8 : un octet impossible à la ligne %s. Réenregistrez-le en UTF-8.") % line
        ) from None
    if "\x00" in text:
        raise Unreadable(_("Le fichier n'est pas du texte. Enregistrez-le en CSV, encodé en UTF-8."))
    first, _newline, _rest = text.partition("\n")
    lines = csv.reader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",", strict=True)
    try:
        names = header_of(next(lines, []))
        for values in lines:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(names):
                yield lines.line_num, "", "columns"
                continue
            yield _read_line(lines.line_num, dict(zip(names, (value.strip() for value in values), strict=True)))
    except csv.Error:
        raise Unreadable(
            _("Le fichier n'est pas un CSV lisible à la ligne %s : un guillemet n'y est pas refermé.") % lines.line_num
        ) from None


@sensitive_variables()
def _read_line(number: int, line: dict[str, str]) -> tuple[int, str, Said | str]:
    local_id = line["local_id"]
    try:
        if not local_id or len(local_id) > intake.LONGEST_ID:
            raise Line("local_id")
        try:
            given_on = date.fromisoformat(line["given_on"])
        except ValueError:
            raise Line("date") from None
        if local_id in line["proof"]:
            raise Line("proof_names")
        purposes = tuple(sorted({code.strip() for code in line["purposes"].split(PURPOSE_MARK) if code.strip()}))
        said = Said(
            given_on, line["proof"], purposes, line.get("recipients") or Recipients.ANY.value,
            line.get("proof_sha256", "").lower(),
        )  # fmt: skip
        _check(said)
    except Line as refused:
        return number, local_id, str(refused)
    return number, local_id, said


def note_progress(imported_id: int, *, step: str, percent: int) -> None:
    """How far the worker is, for the page that waits. Not an event."""
    ConsentImport.objects.filter(pk=imported_id, status=S.RECEIVED).update(progress={"step": step, "percent": percent})


def _moved(imported_id: int, act: str) -> ConsentImport:
    row = (
        ConsentImport.objects.select_for_update(of=("self",))
        .select_related("dataset__zone__operator")
        .get(pk=imported_id)
    )
    if (S(row.status), act) not in NEXT:
        raise WrongState(_("Cet import est « %s » : cela ne se fait plus.") % row.get_status_display())
    row.status = NEXT[S(row.status), act]
    return row


@recorded("consent.record")
def record_import(request_id: int, *, lines, refused: list[dict], by=WORKER) -> ConsentImport:
    """Keep every good line, (number, token, Said), at once; the refused ones are known by number. Deletes the file."""
    request, dataset = _opened(request_id)
    row = _moved(request.facts["import"], "finish")
    back = _withdrawn(dataset, (token for _number, token, _said in lines))
    late = {number for number, token, said in lines if said.given_on <= back.get(token, date.min)}
    refused = [*refused, *({"line": number, "why": "withdrawn"} for number in late)]
    good = [(token, said) for number, token, said in lines if number not in late]
    row.recorded = _write(dataset, good, request, channel=Consent.Channel.IMPORT, imported=row)
    row.already, row.lines = len(good) - row.recorded, len(good) + len(refused)
    row.refused = sorted(refused, key=lambda one: one["line"])
    row.finished_at, row.progress = clock.now(), {"step": "done", "percent": 100}
    row.save()
    _about(dataset, row.receipt, lines=row.lines, recorded=row.recorded, refused=len(refused))
    request.delete()
    return row


@recorded("consent.import")
def refuse_import(request_id: int, *, problem: str, by=WORKER) -> ConsentImport:
    """The file cannot be read: nothing of it is kept."""
    request, dataset = _opened(request_id)
    row = _moved(request.facts["import"], "refuse")
    row.problem, row.finished_at = problem, clock.now()
    row.save()
    _about(dataset, row.receipt, refused=True)
    request.delete()
    return row


@recorded("consent.undo")
def undo_import(imported: ConsentImport, *, by) -> ConsentImport:
    """A file sent by mistake: every consent it brought ends now, and running downloads stop. Others stay."""
    row = _moved(imported.pk, "undo")
    _about(row.dataset, row.receipt)
    permissions.require_intake(by, row.dataset.zone)
    row.undone_by, row.undone_at = by, clock.now()
    row.save()
    Consent.objects.filter(imported=row, withdrawn_at=None).update(withdrawn_at=clock.now())
    raise_epoch(("dataset", str(row.dataset_id)))
    return row


@transaction.atomic
def state_of(dataset: Dataset, receipt: str) -> str:
    """What became of one receipt: "waiting", "in_force", "withdrawn" or "unknown"."""
    if ConsentWithdrawal.objects.filter(zone=dataset.zone, receipt=receipt).exists():
        return "withdrawn"
    if Consent.objects.filter(dataset=dataset, receipt=receipt).exists():
        return "in_force"
    if SealedRequest.objects.filter(zone=dataset.zone, receipt=receipt).exists():
        return "waiting"
    return "unknown"
