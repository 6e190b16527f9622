"""The life of a line of the registry of authorised experimenters (legal-gate, section 4)."""

from datetime import date, timedelta

from django.db.backends.postgresql.psycopg_any import DateRange
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.countersigning import countersign, pending
from broker.accounts.models import Membership, Organisation, Role
from broker.audit.actions import describe, record, recorded
from broker.audit.actor import SYSTEM
from broker.epoch.actions import lift_switch, raise_epoch, set_switch, switches_on
from broker.errors import BadInput, WrongState
from consent import checks, permissions
from consent.deadlines import add_working_days, last_day_of
from consent.domains import SLOW
from consent.models import Accreditation, AdversarialStep, DirectoryCompany, RegistryEntry

S = RegistryEntry.Status

NEXT = {  # the whole life of an entry
    (S.DRAFT, "submit"): S.SUBMITTED,
    (S.SUBMITTED, "check_failed"): S.INCOMPLETE,
    (S.SUBMITTED, "checks_passed"): S.UNDER_REVIEW,
    (S.INCOMPLETE, "complete"): S.SUBMITTED,
    (S.INCOMPLETE, "lapse"): S.ABANDONED,
    (S.UNDER_REVIEW, "accredit"): S.ACCREDITED,
    (S.UNDER_REVIEW, "refuse"): S.REFUSED,
    (S.ACCREDITED, "extend_scope"): S.ACCREDITED,
    (S.ACCREDITED, "suspend"): S.SUSPENDED,
    (S.SUSPENDED, "reinstate"): S.ACCREDITED,
    (S.ACCREDITED, "withdraw"): S.WITHDRAWN,
    (S.SUSPENDED, "withdraw"): S.WITHDRAWN,
    (S.ACCREDITED, "expire"): S.EXPIRED,
    (S.ACCREDITED, "renew"): S.ACCREDITED,
    (S.ACCREDITED, "correct"): S.ACCREDITED,
    (S.SUSPENDED, "correct"): S.SUSPENDED,
    (S.ACCREDITED, "merge"): S.ACCREDITED,
    (S.SUSPENDED, "merge"): S.SUSPENDED,
    (S.REFUSED, "uphold_appeal"): S.UNDER_REVIEW,
    (S.WITHDRAWN, "uphold_appeal"): S.UNDER_REVIEW,
    (S.REFUSED, "order_reinstatement"): S.ACCREDITED,
    (S.WITHDRAWN, "order_reinstatement"): S.ACCREDITED,
}
LIVE = (S.DRAFT, S.SUBMITTED, S.INCOMPLETE, S.UNDER_REVIEW, S.ACCREDITED, S.SUSPENDED)
PUBLIC = (S.ACCREDITED, S.SUSPENDED, S.WITHDRAWN, S.EXPIRED)
VALIDITY_MONTHS = 24
SILENCE = timedelta(days=60)
CONFIRMED_WITHIN = 2  # working days for a second clerk to confirm a suspension
TO_ANSWER = timedelta(days=15)  # for the observations that precede a withdrawal
TO_DECIDE = 10  # working days for operators, once an accreditation was withdrawn


def next_state(status: str, act: str) -> str:
    """Where `act` leads from `status`. Raises WrongState, naming both."""
    try:
        return NEXT[S(status), act]
    except KeyError:
        raise WrongState(
            _("Une ligne du registre à l'état « %(state)s » n'admet pas cet acte. Ouvrez le dossier.")
            % {"state": S(status).label}
        ) from None


def locked(entry: RegistryEntry) -> RegistryEntry:
    return RegistryEntry.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=entry.pk)


def countersign_ref(entry: RegistryEntry) -> str:
    """What a decision on this entry names: its version too, so that an old decision never serves a new act."""
    return f"registry:{entry.pk}@{entry.version}"


def _move(row: RegistryEntry, act: str, **facts) -> RegistryEntry:
    row.status = next_state(row.status, act)
    row.version += 1
    for name, value in facts.items():
        setattr(row, name, value)
    row.save()
    return row


@recorded("registry.request")
def draft(organisation: Organisation, *, by, domains, zone_kinds, evidence=None) -> RegistryEntry:
    """Open or change the request of `organisation`; a live entry past the draft refuses."""
    permissions.require_member(by, organisation)
    if not domains or not zone_kinds:
        raise BadInput(_("Choisissez au moins un domaine de données et une nature de zone."))
    entry = RegistryEntry.objects.select_for_update().filter(organisation=organisation, status__in=LIVE).first()
    if entry is not None and entry.status not in (S.DRAFT, S.INCOMPLETE):
        raise WrongState(_("Votre organisation a déjà une ligne au registre ; ouvrez-la pour voir où elle en est."))
    if entry is None:
        entry = RegistryEntry(organisation=organisation, requested_by=by)
    entry.domains, entry.zone_kinds = sorted(domains), sorted(zone_kinds)
    if evidence is not None:
        entry.evidence = {**entry.evidence, **evidence}
    entry.save()
    describe(obj=entry, org=organisation, detail={"domains": entry.domains, "zone_kinds": entry.zone_kinds})
    return entry


@recorded("registry.submit")
def submit(entry: RegistryEntry, *, by, evidence=None) -> RegistryEntry:
    """Submit the request (legal representative); the automatic checks run at once."""
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation)
    permissions.require_representative(by, entry.organisation)
    _move(
        entry, "submit",
        submitted_at=clock.now(), evidence={**entry.evidence, **(evidence or {})},
    )  # fmt: skip
    return _run_checks(entry)


@recorded("registry.complete")
def complete(entry: RegistryEntry, *, by, evidence) -> RegistryEntry:
    """Bring what was missing; the checks run again."""
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation)
    permissions.require_member(by, entry.organisation)
    _move(entry, "complete", evidence={**entry.evidence, **evidence})
    return _run_checks(entry)


def _run_checks(entry: RegistryEntry) -> RegistryEntry:
    file = file_of(entry)
    done = checks.run(file)
    missing = checks.missing(done)
    entry.checks = [check.as_dict() for check in done]
    if missing:
        _move(entry, "check_failed", due_on=None)
    else:
        days = 5 if set(entry.domains) & SLOW else 2
        _move(entry, "checks_passed", due_on=add_working_days(clock.today(), days))
    record(
        "registry.check", by=SYSTEM, obj=entry, org=entry.organisation, out="deny" if missing else "allow",
        reason=tuple(check.key for check in done if not check.ok), detail={"missing": missing},
    )  # fmt: skip
    return entry


def file_of(entry: RegistryEntry) -> checks.File:
    """What the checks read of `entry`, today."""
    organisation = entry.organisation
    line = DirectoryCompany.objects.filter(siren=organisation.siren).first()
    names = Membership.objects.current().filter(organisation=organisation, role=Role.LEGAL_REPRESENTATIVE)
    return checks.File(
        siren=organisation.siren or "",
        name=organisation.name,
        names=tuple(names.values_list("user__full_name", flat=True)),
        domains=frozenset(entry.domains),
        evidence=entry.evidence,
        company=line and checks.Company(line.name, line.is_active, line.representative),
        has_duplicate=RegistryEntry.objects.filter(organisation__siren=organisation.siren, status__in=LIVE)
        .exclude(pk=entry.pk)
        .exists(),
        today=clock.today(),
    )


@recorded("registry.review")
def accredit(entry: RegistryEntry, *, by, reason="") -> RegistryEntry:
    """A clerk's decision to accredit; the second, different clerk's makes it take effect."""
    entry = locked(entry)
    next_state(entry.status, "accredit")
    decision = _agreed("registry.accredit", entry, by=by, reason=reason)
    if decision.is_complete:
        _accredited(entry, by=by)
        _give_access_back(entry, by=by, decision=decision)
    return entry


@recorded("registry.accredit")
def _accredited(entry: RegistryEntry, *, by):
    today = clock.today()
    until = min(filter(None, [last_day_of(today, VALIDITY_MONTHS), checks.earliest_end(file_of(entry))]))
    if until < today:
        raise WrongState(_("Une pièce exigée n'est plus valable ; demandez-la à nouveau avant d'agréer."))
    _move(entry, "accredit", decided_at=clock.now())
    _open_period(entry, today, until)
    describe(obj=entry, org=entry.organisation, detail={"from": today, "until": until})


def _open_period(entry: RegistryEntry, first: date, last: date) -> None:
    Accreditation.objects.create(
        entry=entry, organisation=entry.organisation, domains=entry.domains, zone_kinds=entry.zone_kinds,
        period=DateRange(first, last + timedelta(days=1)),
    )  # fmt: skip


@recorded("registry.review")
def refuse(entry: RegistryEntry, *, by, reason) -> RegistryEntry:
    """A clerk's decision to refuse, with its reasons; the second, different clerk's makes it take effect."""
    entry = locked(entry)
    next_state(entry.status, "refuse")
    if not reason.strip():
        raise BadInput(_("Un refus dit ses motifs (CRPA art. L.211-2)."))
    if _agreed("registry.refuse", entry, by=by, reason=reason).is_complete:
        _refused(entry, by=by, reason=reason)
    return entry


@recorded("registry.refuse")
def _refused(entry: RegistryEntry, *, by, reason):
    _move(entry, "refuse", decided_at=clock.now(), decision_reasons=reason)
    describe(obj=entry, org=entry.organisation, detail={"reasons": reason})


@recorded("registry.suspend")
def suspend(entry: RegistryEntry, *, by, reason) -> RegistryEntry:
    """Stop every access of the organisation at once; one clerk is enough, because doubt does not wait.

    A second clerk confirms within two working days; until then the suspension holds, and the desk says it is late.
    """
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation, detail={"reason": reason})
    permissions.require_registry_officer(by, concerned=entry.organisation)
    if not reason.strip():
        raise BadInput(_("Une suspension dit ses motifs."))
    _move(entry, "suspend", decided_at=clock.now(), decision_reasons=reason)
    scope = ("organisation", str(entry.organisation_id))
    if not switches_on([scope]):
        set_switch(*scope, by=by, reason=_("Agrément suspendu."))
    raise_epoch(scope)
    countersign("registry.suspend", countersign_ref(entry), by=by, reason=reason, concerned=entry.organisation)
    return entry


def to_confirm(entry: RegistryEntry):
    """The suspension that a second clerk has yet to confirm, if any."""
    return pending("registry.suspend", countersign_ref(entry)) if entry.status == S.SUSPENDED else None


def confirm_by(entry: RegistryEntry) -> date | None:
    """The last day for the second clerk."""
    return entry.decided_at and add_working_days(entry.decided_at.astimezone(clock.PARIS).date(), CONFIRMED_WITHIN)


@recorded("registry.confirm")
def confirm_suspension(entry: RegistryEntry, *, by, reason="") -> RegistryEntry:
    """A second clerk agrees that the doubt was serious."""
    entry = locked(entry)
    if to_confirm(entry) is None:
        raise WrongState(_("Aucune suspension n'attend de confirmation : rechargez la page."))
    _agreed("registry.suspend", entry, by=by, reason=reason)
    return entry


@recorded("registry.review")
def reinstate(entry: RegistryEntry, *, by, reason) -> RegistryEntry:
    """Lift a suspension, by two clerks."""
    entry = locked(entry)
    next_state(entry.status, "reinstate")
    decision = _agreed("registry.reinstate", entry, by=by, reason=reason)
    if decision.is_complete:
        _reinstated(entry, by=by, reason=reason)
        _give_access_back(entry, by=by, decision=decision)
    return entry


@recorded("registry.reinstate")
def _reinstated(entry: RegistryEntry, *, by, reason):
    _move(entry, "reinstate", decided_at=clock.now(), decision_reasons="")
    entry.adversarial_steps.filter(closed_at=None).update(closed_at=clock.now())
    describe(obj=entry, org=entry.organisation, detail={"reason": reason})


def _give_access_back(entry: RegistryEntry, *, by, decision) -> None:
    """The same two clerks lift the switch that a suspension had set on the organisation."""
    scope = ("organisation", str(entry.organisation_id))
    for switch in switches_on([scope]):
        lift_switch(switch, by=by, decision=decision, reason=_("Agrément rétabli."))
    raise_epoch(scope)


def step_of(entry: RegistryEntry) -> AdversarialStep | None:
    """The adversarial step under way."""
    return entry.adversarial_steps.filter(closed_at=None).select_related("opened_by", "observed_by").first()


@recorded("registry.invite")
def invite_observations(entry: RegistryEntry, *, by, reason) -> AdversarialStep:
    """Tell the organisation which condition it no longer meets, and give it fifteen days to answer."""
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation, detail={"grounds": reason})
    permissions.require_registry_officer(by, concerned=entry.organisation)
    next_state(entry.status, "withdraw")
    if not reason.strip():
        raise BadInput(_("Dites quelle condition n'est plus remplie : l'organisation doit pouvoir répondre."))
    if step_of(entry) is not None:
        raise WrongState(_("L'organisation est déjà invitée à présenter ses observations."))
    return AdversarialStep.objects.create(
        entry=entry, grounds=reason, opened_by=by, answer_by=clock.today() + TO_ANSWER
    )


@recorded("registry.observe")
def observe(entry: RegistryEntry, *, by, observations: str) -> AdversarialStep:
    """The organisation's representative answers, once, before the decision."""
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation)
    permissions.require_representative(by, entry.organisation)
    step = step_of(entry)
    if step is None or entry.status == S.WITHDRAWN:
        raise WrongState(_("Aucune observation n'est attendue de votre organisation."))
    if step.observed_at is not None:
        raise WrongState(_("Vos observations sont déjà au dossier."))
    if not observations.strip():
        raise BadInput(_("Écrivez vos observations."))
    step.observations, step.observed_by, step.observed_at = observations, by, clock.now()
    step.save(update_fields=["observations", "observed_by", "observed_at"])
    return step


@recorded("registry.review")
def withdraw(entry: RegistryEntry, *, by, reason) -> RegistryEntry:
    """Withdraw the accreditation, by two clerks, after the adversarial step; the live conventions are suspended."""
    entry = locked(entry)
    next_state(entry.status, "withdraw")
    if not reason.strip():
        raise BadInput(_("Un retrait dit la condition qui n'est plus remplie (CRPA art. L.242-2)."))
    permissions.require_registry_officer(by, concerned=entry.organisation)
    step = step_of(entry)
    if step is None:
        raise WrongState(_("Invitez d'abord l'organisation à présenter ses observations (CRPA art. L.122-1)."))
    if not step.is_held:
        raise WrongState(
            _("L'organisation peut répondre jusqu'au %(day)s : le retrait se décide ensuite.")
            % {"day": f"{step.answer_by:%d/%m/%Y}"}
        )
    if _agreed("registry.withdraw", entry, by=by, reason=reason).is_complete:
        _withdrawn(entry, by=by, reason=reason)
    return entry


@recorded("registry.withdraw")
def _withdrawn(entry: RegistryEntry, *, by, reason):
    today = clock.today()
    _move(entry, "withdraw", decided_at=clock.now(), decision_reasons=reason)
    for accreditation in entry.accreditations.filter(period__contains=today):
        accreditation.period = DateRange(accreditation.period.lower, today + timedelta(days=1))
        accreditation.save(update_fields=["period"])
    stopped = _suspend_conventions(entry, _("Agrément retiré."))
    describe(obj=entry, org=entry.organisation, detail={"reason": reason, "suspended": stopped})


def _agreed(act: str, entry: RegistryEntry, *, by, reason: str):
    """Record this clerk's agreement: complete once two different clerks agree. Nobody decides on their own body."""
    describe(obj=entry, org=entry.organisation, detail={"act": act, "reason": reason})
    permissions.require_registry_officer(by, concerned=entry.organisation)
    return countersign(act, countersign_ref(entry), by=by, reason=reason, concerned=entry.organisation)


@recorded("registry.expire")
def expire(entry: RegistryEntry, *, by=SYSTEM) -> RegistryEntry:
    """Write down that the last period has passed: as a withdrawal, without fault."""
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation)
    next_state(entry.status, "expire")
    if entry.accreditations.filter(period__endswith__gt=clock.today()).exists():
        raise WrongState(_("L'agrément court encore : il n'expire pas aujourd'hui."))
    _move(entry, "expire", decided_at=clock.now())
    _suspend_conventions(entry, _("Agrément expiré."))
    return entry


def last_day_of_silence(entry: RegistryEntry) -> date:
    """Days of the calendar in Paris: the hour at which a request was made changes nothing."""
    return entry.submitted_at.astimezone(clock.PARIS).date() + SILENCE


@recorded("registry.abandon")
def lapse(entry: RegistryEntry, *, by=SYSTEM) -> RegistryEntry:
    """Drop a request left incomplete for sixty days."""
    entry = locked(entry)
    describe(obj=entry, org=entry.organisation)
    next_state(entry.status, "lapse")
    if last_day_of_silence(entry) > clock.today():
        raise WrongState(_("Le délai de soixante jours pour compléter la demande n'est pas passé."))
    return _move(entry, "lapse", decided_at=clock.now())


def _suspend_conventions(entry: RegistryEntry, reason: str) -> int:
    """Every live convention of the organisation stops: its accreditation is a condition of each (clause 3)."""
    from consent.models import Convention
    from consent.transitions import convention as conventions

    raise_epoch(("organisation", str(entry.organisation_id)))
    live = list(Convention.objects.filter(organisation=entry.organisation, status=Convention.Status.ACTIVE))
    for convention in live:
        conventions.suspend_by_system(convention, by=SYSTEM, reason=reason)
    return len(live)
