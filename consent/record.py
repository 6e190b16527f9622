"""Asking the gate for good: facts, evaluation, then one transaction that keeps the decision before any effect (G42).

    permit = decide("release_create", by=…, convention=…, …)     # raises Refused with every reason

`decide` opens its own outermost transaction and commits it: a denial that was rolled back with the caller's work would
be a denial nobody can find. Call it before any other transaction is opened, never inside one.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, is_dataclass, replace
from datetime import date, datetime, time, timedelta
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID, uuid4

import rfc8785
from django.db import DatabaseError, transaction
from django.utils.translation import get_language

from broker import clock
from broker.accounts.machines import use_order
from broker.audit import state
from broker.audit.actions import record
from broker.audit.actor import of as actor_of
from broker.epoch.actions import epoch_of
from broker.errors import NotAllowed, Refused, WrongState
from broker.errors import Reason as ToldReason
from consent import facts, gate, rules
from consent.models import Convention, GateDecision, QuotaUse

logger = logging.getLogger(__name__)
LAG_MAX_SECONDS = 60  # G42: a log that runs later than this says no to personal data
_MINT = object()


@dataclass(frozen=True, slots=True)
class Permit:
    """A recorded permission to do one thing. Built by `decide` alone; `releases.store` opens nothing without one.

    `until` is the first moment at which a rule that a stream re-checks would refuse by the mere passing of time.
    """

    decision_id: UUID
    action: str
    object_ref: str
    convention_id: int
    columns: tuple[str, ...]
    obligations: tuple[gate.Obligation, ...]
    ruleset_version: str
    epoch: int
    scopes: tuple[tuple[str, str], ...]
    ends_on: date
    until: datetime
    actor_ref: str
    mint: InitVar[object]

    def __post_init__(self, mint: object) -> None:
        if mint is not _MINT:
            raise RuntimeError("a Permit is built by consent.record.decide alone, after the decision is recorded")

    def __reduce__(self):
        raise RuntimeError("a Permit lives in one process and one request; ask the gate again")

    def obligation(self, name: str) -> gate.Obligation | None:
        return next((o for o in self.obligations if o.name == name), None)


def decide(action: str, *, by, convention: Convention, now: datetime | None = None, **request: Any) -> Permit:
    """Permit or refuse `action`; both are recorded first. `request` is that of `facts.case`.

    Raises Refused with every reason, in order. When the epoch moves while the case is judged, it is judged once more;
    when it moves again, the answer is no.
    """
    for _attempt in (1, 2):
        at = now or clock.now()
        case = facts.case(action, by=by, convention=convention, now=at, with_quota=False, **request)
        ruleset = rules.current(at)
        try:
            with transaction.atomic(durable=True):
                outcome = _settle(case, ruleset, by=by, convention=convention, **request)
        except _Moved:
            continue
        except DatabaseError as error:
            logger.exception("the decision could not be recorded: refused (G42)")
            raise Refused(reasons=(_told(_from_rule(ruleset, case)),)) from error
        return _answer(outcome)
    with transaction.atomic(durable=True):  # the epoch would not hold still: refuse, and keep that too
        moved = _judged_by_record(
            ruleset, case, "les coupe-circuits changent pendant l'examen", "kill switches are moving"
        )
        outcome = _settle(case, ruleset, by=by, convention=convention, refusal=moved, **request)
    return _answer(outcome)  # after the commit: a refusal raised inside would take its own record with it


def still_permitted(permit: Permit, now: datetime | None = None) -> bool:
    """Whether a stream may send its next chunk: no epoch moved, and no day or hour that it rests on has passed."""
    return (now or clock.now()) < permit.until and epoch_of(permit.scopes) == permit.epoch


def give_back(permit: Permit) -> None:
    """Return the unit of quota: only when no byte was sent. A second call changes nothing."""
    QuotaUse.objects.filter(decision=permit.decision_id, given_back_at=None).update(given_back_at=clock.now())


# ------------------------------------------------------------------------------------------------ inside


class _Moved(Exception):
    """The epoch, the order or the quota is no longer what the case says."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    case: gate.Case
    decision: gate.Decision
    row: GateDecision
    convention_id: int


def _settle(
    case: gate.Case, ruleset: rules.RuleSet, *, by, convention: Convention, order=None, refusal=None, **_request
) -> _Outcome:
    """Lock the convention, count the quota, judge, compare the epoch, spend the order, write. `refusal` is a reason
    found before, that refuses whatever the judges say."""
    locked = (
        Convention.objects.select_for_update(of=("self",))
        .select_related("offer", "zone", "organisation")
        .get(pk=convention.pk)
    )
    count = facts.quota(
        locked, case.action, by=by, object_ref=case.request.object_ref, first_byte=case.request.first_byte, now=case.now
    )
    case = replace(case, quota=count)
    decision = gate.evaluate(case, ruleset)
    is_personal = case.dataset is None or case.dataset.is_personal
    if is_personal and state.lag() > LAG_MAX_SECONDS:
        decision = _refused(decision, _from_rule(ruleset, case))
    if refusal is not None:
        return _write(case, _refused(decision, refusal), ruleset, by, locked)
    if epoch_of(case.scopes) != case.epoch:
        raise _Moved
    if decision.is_permit and order is not None and case.order and case.order.used_at is None:
        try:
            use_order(order, by)
        except (NotAllowed, WrongState) as error:
            raise _Moved from error
    return _write(case, decision, ruleset, by, locked)


def _write(case: gate.Case, decision: gate.Decision, ruleset: rules.RuleSet, by, convention: Convention) -> _Outcome:
    plain = as_json(case)
    digest = hashlib.sha256(rfc8785.dumps(plain)).hexdigest()
    decision_id = uuid4()
    refusals = tuple(reason.rule for reason in decision.refusals)
    event = record(
        "gate.decide",
        by=by,
        obj=("gatedecision", str(decision_id)),
        out="allow" if decision.is_permit else "deny",
        reason=refusals or tuple(o.rule for o in decision.obligations),
        zone=convention.zone.reference,
        org=convention.organisation,
        conv=convention.reference,
        purp=case.request.purpose_kind if case.request.purpose_kind in ("experimentation", "commercial") else "",
        on_behalf=case.order.person_ref if case.order else "",
        policy=f"sha256:{ruleset.sha256}",
        detail={
            "action": case.action,
            "on": case.request.object_ref,
            "effect": decision.effect,
            "person": case.person.ref if case.person else "",
            "columns": case.request.columns,
            "reasons": [{"rule": r.rule, "effect": r.effect} for r in decision.reasons],
            "ruleset": ruleset.version,
            "epoch": case.epoch,
            "case_sha256": digest,
        },
    )
    row = GateDecision.objects.create(
        id=decision_id,
        action=case.action,
        actor_ref=actor_of(by).ref,
        organisation_id=convention.organisation_id,
        convention_id=convention.pk,
        object_ref=case.request.object_ref,
        columns=list(case.request.columns),
        effect=decision.effect,
        reasons=[reason_as_json(reason) for reason in decision.reasons],
        obligations=[{"name": o.name, "rule": o.rule, "parameters": dict(o.parameters)} for o in decision.obligations],
        ruleset_version=ruleset.version,
        ruleset_sha256=ruleset.sha256,
        policy_epoch=case.epoch,
        case=plain,
        case_sha256=digest,
        event_id=event,
        decided_at=case.now,
    )
    kind = facts.KINDS.get(case.action)
    if decision.is_permit and kind and not (case.quota and case.quota.resumes):
        QuotaUse.objects.create(
            convention_id=convention.pk,
            kind=kind,
            object_ref=case.request.object_ref,
            decision=row,
            reserved_at=case.now,
        )
    return _Outcome(case, decision, row, convention.pk)


def _answer(outcome: _Outcome) -> Permit:
    """After the commit: the permit, or every reason to refuse."""
    case, decision = outcome.case, outcome.decision
    if not decision.is_permit:
        raise Refused(reasons=tuple(_told(reason) for reason in decision.refusals))
    return Permit(
        decision_id=outcome.row.pk,
        action=case.action,
        object_ref=case.request.object_ref,
        convention_id=outcome.convention_id,
        columns=case.request.columns,
        obligations=decision.obligations,
        ruleset_version=decision.ruleset_version,
        epoch=case.epoch,
        scopes=case.scopes,
        ends_on=case.convention.ends_on,
        until=_until(case),
        actor_ref=outcome.row.actor_ref,
        mint=_MINT,
    )


def _until(case: gate.Case) -> datetime:
    """When time alone ends the permission: Paris midnight after the first last day among what streams re-check
    (G02, G04, G11, G13, G34), or the end of the second factor of a session (G01)."""
    person, standing, dataset = case.person, case.standing, case.dataset
    if person is None or person.named is None or standing is None or dataset is None:
        raise RuntimeError("a permit rests on a person, a standing and a dataset: the gate refuses without them")
    days = [case.convention.ends_on, standing.valid_until]
    if dataset.service:
        days.append(dataset.service.participation_until)
    if person.named.until_day:
        days.append(person.named.until_day)
    if case.environment and case.environment.hds_until and gate.HEALTH.intersection(dataset.domains):
        days.append(case.environment.hds_until)
    midnight = datetime.combine(min(days) + timedelta(days=1), time(), clock.PARIS)
    if case.order is None and case.token is None and person.second_factor_at is not None:
        hours = rules.current(case.now).parameters["mfa_max_age_hours"]
        return min(midnight, person.second_factor_at + timedelta(hours=hours))
    return midnight


def _refused(decision: gate.Decision, reason: gate.Reason) -> gate.Decision:
    """The same decision, refused for a reason that only recording can know."""
    return replace(decision, effect=gate.DENY, reasons=(*decision.reasons, reason), obligations=())


def _from_rule(ruleset: rules.RuleSet, case: gate.Case) -> gate.Reason:
    rule = ruleset["G42"]
    return gate.Reason(
        rule.id, rule.key, gate.TITLES[rule.id], gate.DENY, rule.message_fr, rule.message_en, rule.legal_source,
        rule.legal_to_confirm, rule.certainty, case.links.get("default", ""),
    )  # fmt: skip


def _judged_by_record(ruleset: rules.RuleSet, case: gate.Case, fr: str, en: str) -> gate.Reason:
    told = _from_rule(ruleset, case)
    return replace(
        told,
        effect=gate.INDETERMINATE,
        message_fr=f"Demande non examinée jusqu'au bout : {fr}. Aucun accès n'a eu lieu ; réessayez dans un instant.",
        message_en=f"The request was not judged to the end: {en}. No access took place; retry in a moment.",
    )


def _told(reason: gate.Reason) -> ToldReason:
    language = get_language() or "fr"
    return ToldReason(reason.rule, reason.message_in(language), reason.source_in(language), reason.link)


def told(decision: gate.Decision) -> tuple[ToldReason, ...]:
    """Every reason of a decision, in the person's language, as pages and the API show them."""
    return tuple(_told(reason) for reason in decision.reasons)


def reason_as_json(reason: gate.Reason) -> dict[str, Any]:
    return {
        "rule": reason.rule, "effect": reason.effect, "message_fr": reason.message_fr,
        "message_en": reason.message_en, "sources": list(reason.sources), "to_confirm": list(reason.to_confirm),
        "certainty": reason.certainty, "link": reason.link,
    }  # fmt: skip


def as_json(value: Any) -> Any:
    """A case as JSON types, the same for the same case: times in ISO form, tuples as lists."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(one) for one in value]
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def from_json(plain: Mapping[str, Any]) -> gate.Case:
    """The case that `as_json` told: an auditor judges it again and finds the same decision."""
    return _revived(gate.Case, plain)


def _revived(wanted: Any, plain: Any) -> Any:
    if plain is None or wanted is Any:
        return plain
    if isinstance(wanted, UnionType):
        return _revived(next(one for one in get_args(wanted) if one is not NoneType), plain)
    if isinstance(wanted, type) and is_dataclass(wanted):
        hints = get_type_hints(wanted)
        return wanted(**{name: _revived(hints[name], value) for name, value in plain.items()})
    origin = get_origin(wanted)
    if origin is tuple:
        kinds = get_args(wanted)
        if kinds[-1] is ...:
            return tuple(_revived(kinds[0], one) for one in plain)
        return tuple(_revived(kind, one) for kind, one in zip(kinds, plain, strict=True))
    if wanted in (datetime, date):
        return wanted.fromisoformat(plain)
    return plain
