"""The life of a convention: created under an offer, signed, active, ended (legal-gate, section 5.2).

Dates are days of Europe/Paris, the last included. The stored state is for people: the gate reads the dates too, so a
late job never lengthens an access.
"""

from datetime import timedelta

from django.db import connection
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts import second_factor
from broker.accounts.countersigning import countersign
from broker.accounts.models import User
from broker.audit.actions import describe, record, recorded
from broker.audit.actor import SYSTEM
from broker.epoch.actions import raise_epoch
from broker.errors import BadInput, NotAllowed, WrongState
from broker.keys.tasks import create_key
from consent import document, permissions, signatures, tasks
from consent.models import (
    Application,
    Convention,
    ConventionAct,
    ConventionDocument,
    DeletionAttestation,
    NamedPerson,
    RegistryEntry,
    Signature,
)
from consent.transitions.offer import has_distinct_holder, mandate_of

S = Convention.Status

NEXT = {  # the whole life of a convention
    (S.SIGNING, "sign_last"): S.ACTIVE,
    (S.SIGNING, "lapse"): S.WITHDRAWN,
    (S.ACTIVE, "suspend"): S.SUSPENDED,
    (S.SUSPENDED, "resume"): S.ACTIVE,
    (S.ACTIVE, "expire"): S.EXPIRED,
    (S.SUSPENDED, "expire"): S.EXPIRED,
    (S.ACTIVE, "terminate"): S.TERMINATED,
    (S.SUSPENDED, "terminate"): S.TERMINATED,
    (S.EXPIRED, "attest"): S.CLOSED,
    (S.TERMINATED, "attest"): S.CLOSED,
}
SIGNING_TIME = timedelta(days=30)
ENDED = frozenset({S.EXPIRED, S.TERMINATED, S.CLOSED, S.WITHDRAWN})
NOTICE = timedelta(days=30)  # clause 19: either party may leave on thirty days' notice
WARNED = timedelta(days=10)  # clause 19: a breach ends it when the formal notice had no effect for ten days
ATTESTED_WITHIN = timedelta(days=15)  # clause 20
KEY_KEPT = timedelta(days=30)  # after closing, then the pseudonym key is destroyed (section 11)
IMMEDIATE = ("breach", "accreditation")  # grounds that end a convention at once
PARTY_NAMES = dict(Signature.Party.choices)


def next_state(status: str, act: str) -> str:
    """Where `act` leads from `status`. Raises WrongState, naming both."""
    try:
        return NEXT[S(status), act]
    except KeyError:
        raise WrongState(
            _("Une convention à l'état « %(state)s » n'admet pas cet acte. Sa page dit ce qui peut être fait.")
            % {"state": S(status).label}
        ) from None


def locked(convention: Convention) -> Convention:
    return (
        Convention.objects.select_for_update(of=("self",))
        .select_related("zone__operator", "organisation", "offer__dataset__holder", "environment", "application")
        .get(pk=convention.pk)
    )


def countersign_ref(convention: Convention) -> str:
    return f"convention:{convention.pk}@{convention.version}"


def _about(row: Convention, **detail) -> None:
    describe(
        obj=row, zone=row.zone.reference, org=row.organisation, conv=row.reference, purp=row.purpose_kind, detail=detail
    )


def _move(row: Convention, act: str, *, by=None, reason: str = "", **facts) -> Convention:
    row.status = next_state(row.status, act)
    row.version += 1
    for name, value in facts.items():
        setattr(row, name, value)
    row.save()
    _keep(row, act, by=by, reason=reason)
    raise_epoch(("convention", str(row.pk)))
    return row


def _keep(row: Convention, act: str, *, by, reason: str, effect_on=None) -> None:
    """What the convention's page shows of this act. A rule of the house has no name."""
    ConventionAct.objects.create(
        convention=row, act=act, status=row.status, by=by if isinstance(by, User) else None, reason=reason,
        effect_on=effect_on,
    )  # fmt: skip


@recorded("convention.create")
def create(application: Application, *, by) -> Convention:
    """The convention of an approved application: its document, and the signatures given by standing mandate."""
    offer = application.offer
    convention = Convention.objects.create(
        ref=_next_ref(), application=application, offer=offer, zone=offer.dataset.zone,
        organisation=application.organisation, environment=application.environment,
        purpose_kind=application.purpose_kind, purpose_code=application.purpose_code,
        required_level="strengthened" if offer.dataset.is_personal else "simple",
        starts_on=application.starts_on, ends_on=application.ends_on,
    )  # fmt: skip
    data = document.of(convention, application, approved_on=clock.today())
    rendered = document.render(data)
    ConventionDocument.objects.create(
        convention=convention, pdf=rendered.pdf, sha256=rendered.sha256, parameters=rendered.parameters,
        template_version=rendered.template_version,
    )  # fmt: skip
    _about(convention, document_sha256=rendered.sha256, offer=offer.pk, offer_version=offer.version)
    for standing in offer.mandates.select_related("signer").order_by("party"):
        _signed_by_mandate(convention, standing, rendered.sha256)
    return convention


def _next_ref() -> str:
    """CV-YYYY-NNNN, counted by year; an advisory lock keeps two approvals from taking the same number."""
    year = clock.today().year
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('consent.convention.ref'))")
    taken = Convention.objects.filter(ref__startswith=f"CV-{year}-").values_list("ref", flat=True)
    return f"CV-{year}-{max((int(ref.rsplit('-', 1)[1]) for ref in taken), default=0) + 1:04d}"


def _signed_by_mandate(convention: Convention, standing, sha256: str) -> None:
    """Apply a party's signature given beforehand: it names the hash, the offer's version and the mandate."""
    Signature.objects.create(
        convention=convention, party=standing.party, document_sha256=sha256, signer=standing.signer,
        mandate=standing.mandate, level=standing.level, standing_mandate=standing,
        mandate_until=standing.evidence.get("mandate_until"),
        evidence={
            "standing_mandate": standing.pk, "terms_sha256": standing.terms_sha256, "offer": convention.offer_id,
            "offer_version": convention.offer.version, "mandate_signed_at": standing.signed_at.isoformat(),
        },
    )  # fmt: skip
    record(
        "convention.sign", by=SYSTEM, obj=convention, zone=convention.zone.reference, org=convention.organisation,
        conv=convention.reference, on_behalf=standing.signer.audit_actor().org,
        detail={"party": standing.party, "sha256": sha256, "standing_mandate": standing.pk},
    )  # fmt: skip


def current_document(convention: Convention) -> ConventionDocument:
    return convention.documents.order_by("-number").first()


def party_for(convention: Convention, user) -> str | None:
    """The party that `user` may sign for, as its legal representative; None when there is none."""
    bodies = {"experimenter": convention.organisation, "operator": convention.zone.operator}
    if has_distinct_holder(convention.offer):
        bodies["holder"] = convention.offer.dataset.holder
    for party, body in bodies.items():
        if permissions.can(permissions.require_representative, user, body):
            return party
    return None


def missing_signatures(convention: Convention) -> list[str]:
    """The parties that have not validly signed the current document, in order."""
    paper = convention.documents.order_by("-number").values("sha256").first()
    signed = [
        signatures.Signed(
            s.party, s.document_sha256, s.level, s.signed_at.astimezone(clock.PARIS).date(), s.mandate, s.mandate_until
        )
        for s in convention.signatures.all()
    ]
    return signatures.missing_parties(
        signed, document_sha256=paper["sha256"] if paper else "", required_level=convention.required_level,
        holder_is_distinct=has_distinct_holder(convention.offer),
    )  # fmt: skip


def last_day_to_sign(convention: Convention):
    return convention.created_at.astimezone(clock.PARIS).date() + SIGNING_TIME


def sign(convention: Convention, *, by, code: str, sha256: str) -> Convention:
    """A party's legal representative signs the bytes they were shown (`sha256`), second factor at the act.

    The code is checked outside the transaction, so that a refusal afterwards never gives a spent code back.
    """
    if party_for(convention, by) is None:
        raise NotAllowed(_("Seul le représentant légal d'une partie signe cette convention."))
    evidence = second_factor.confirm(by, code)
    return _sign(convention, by=by, evidence=evidence, sha256=sha256)


@recorded("convention.sign")
def _sign(convention: Convention, *, by, evidence: dict, sha256: str) -> Convention:
    row = locked(convention)
    _about(row)
    party = party_for(row, by)
    if party is None:
        raise NotAllowed(_("Seul le représentant légal d'une partie signe cette convention."))
    next_state(row.status, "sign_last")
    if clock.today() > last_day_to_sign(row):
        raise WrongState(
            _("Le délai de signature de trente jours est passé : reprenez l'offre par une nouvelle demande.")
        )
    paper = current_document(row)
    if sha256 != paper.sha256:
        raise WrongState(_("Le document a changé depuis que vous l'avez ouvert : relisez-le, puis signez."))
    if row.signatures.filter(party=party, document_sha256=sha256).exists():
        raise WrongState(_("Votre partie a déjà signé ce document."))
    body = {"experimenter": row.organisation, "operator": row.zone.operator}.get(party) or row.offer.dataset.holder
    membership = mandate_of(by, body)
    Signature.objects.create(
        convention=row, party=party, document_sha256=sha256, signer=by, mandate=membership.mandate,
        mandate_until=membership.mandate_until, level="strengthened", evidence=evidence,
    )  # fmt: skip
    _about(row, party=party, sha256=sha256, level="strengthened")
    if not missing_signatures(row):
        _activate(row, by=by)
    return row


@recorded("convention.activate")
def _activate(row: Convention, *, by) -> None:
    """The last signature: access opens on the first day, the notice is online, the key is made, the seal follows."""
    now = clock.now()
    _move(row, "sign_last", by=by, activated_at=now, notice_published_at=now)
    _about(row)
    record(
        "notice.publish", by=SYSTEM, obj=row, zone=row.zone.reference, org=row.organisation, conv=row.reference
    )  # fmt: skip
    create_key.defer(purpose="pseudonym", ref=f"convention:{row.pk}")
    tasks.seal_convention.defer(convention_id=row.pk)


@recorded("convention.suspend")
def suspend(convention: Convention, *, by, reason: str) -> Convention:
    """Stop access at once; the last day does not move."""
    row = locked(convention)
    _about(row, reason=reason)
    permissions.require_suspender(by, row.zone)
    return _suspended(row, reason, by=by)


@recorded("convention.suspend")
def suspend_by_system(convention: Convention, *, by, reason: str) -> Convention:
    """The same, as a consequence: an accreditation lost, a zone closed. Called by the verb that causes it."""
    row = locked(convention)
    _about(row, reason=reason)
    return _suspended(row, reason, by=by)


def _suspended(row: Convention, reason: str, *, by) -> Convention:
    if not reason.strip():
        raise BadInput(_("Une suspension dit son motif : écrivez-le en une phrase."))
    return _move(row, "suspend", by=by, reason=reason)


@recorded("convention.review")
def resume(convention: Convention, *, by, reason: str = "") -> Convention:
    """Give access back, by two officers of the operator, while the last day has not passed."""
    row = locked(convention)
    _about(row, decision="resume", reason=reason)
    permissions.require_operator(by, row.zone)
    next_state(row.status, "resume")
    if clock.today() > row.last_day:
        raise WrongState(_("Le dernier jour est passé : une suspension ne prolonge pas la convention."))
    if not is_accredited(row):
        raise WrongState(_("L'agrément de l'expérimentateur n'est pas rétabli : l'agence du registre décide d'abord."))
    if countersign("convention.resume", countersign_ref(row), by=by, reason=reason).is_complete:
        _resumed(row, by=by, reason=reason)
    return row


@recorded("convention.resume")
def _resumed(row: Convention, *, by, reason: str) -> None:
    _move(row, "resume", by=by, reason=reason)
    _about(row)


def is_accredited(convention: Convention) -> bool:
    entries = RegistryEntry.objects.filter(organisation=convention.organisation)
    return entries.filter(
        status=RegistryEntry.Status.ACCREDITED, accreditations__period__contains=clock.today()
    ).exists()


@recorded("convention.review")
def terminate(convention: Convention, *, by, reason: str, ground: str = "wish", warned_on=None) -> Convention:
    """End it before its last day (clause 19). `ground` is one of

    "wish": either party leaves on thirty days' notice, the experimenter's representative alone or two officers;
    "breach": two officers, once the formal notice of `warned_on` had no effect for ten days: at once;
    "accreditation": two officers, when the experimenter has lost its accreditation: at once.
    """
    row = locked(convention)
    _about(row, decision="terminate", reason=reason, ground=ground)
    next_state(row.status, "terminate")
    if not reason.strip():
        raise BadInput(_("Une résiliation dit son motif : écrivez-le en une phrase."))
    if ground == "wish" and permissions.can(permissions.require_representative, by, row.organisation):
        return _notice_given(row, by=by, reason=reason)
    permissions.require_operator(by, row.zone)
    _check_ground(row, ground, warned_on)
    act = "convention.terminate" if ground in IMMEDIATE else "convention.notice"
    if countersign(act, countersign_ref(row), by=by, reason=reason).is_complete:
        if ground in IMMEDIATE:
            _terminated(row, by=by, reason=reason)
        else:
            _notice_given(row, by=by, reason=reason)
    return row


def _check_ground(row: Convention, ground: str, warned_on) -> None:
    if ground == "breach" and (warned_on is None or clock.today() < warned_on + WARNED):
        raise BadInput(
            _("Une mise en demeure restée dix jours sans effet précède la résiliation pour manquement : dites sa date.")
        )
    if ground == "accreditation" and is_accredited(row):
        raise WrongState(_("L'expérimentateur est toujours agréé : choisissez un autre fondement."))
    if ground not in ("wish", *IMMEDIATE):
        raise BadInput(_("Choisissez le fondement de la résiliation."))


def _notice_given(row: Convention, *, by, reason: str) -> Convention:
    last = clock.today() + NOTICE
    if row.terminates_on is not None:
        raise WrongState(
            _("Le préavis court déjà : la convention finit le %(day)s.") % {"day": f"{row.terminates_on:%d/%m/%Y}"}
        )
    if last >= row.ends_on:
        raise WrongState(
            _("La convention finit d'elle-même le %(day)s, avant la fin du préavis de trente jours.")
            % {"day": f"{row.ends_on:%d/%m/%Y}"}
        )
    row.terminates_on = last
    row.version += 1
    row.save()
    _keep(row, "give_notice", by=by, reason=reason, effect_on=last)
    _about(row, reason=reason, terminates_on=last)
    raise_epoch(("convention", str(row.pk)))
    return row


@recorded("convention.terminate")
def _terminated(row: Convention, *, by, reason: str) -> None:
    _move(row, "terminate", by=by, reason=reason)
    _about(row, reason=reason)


@recorded("convention.terminate")
def end_notice(convention: Convention, *, by=SYSTEM) -> Convention:
    """Write down that the notice has run; access ended at midnight whatever this says."""
    row = locked(convention)
    _about(row)
    next_state(row.status, "terminate")
    if row.terminates_on is None or clock.today() <= row.terminates_on:
        raise WrongState(_("Aucun préavis n'est arrivé à son terme pour cette convention."))
    return _move(row, "terminate", by=by)


def attestation_due(convention: Convention):
    """The last day to attest that the copies are gone; None while the convention is not over."""
    if convention.status in (S.EXPIRED, S.TERMINATED):
        ended = convention.acts.filter(act__in=("expire", "terminate")).order_by("-at").values_list("at", flat=True)
        day = ended[0].astimezone(clock.PARIS).date() if ended else convention.last_day
        return min(day, convention.last_day) + ATTESTED_WITHIN
    if convention.status in (S.ACTIVE, S.SUSPENDED) and clock.today() > convention.last_day:
        return convention.last_day + ATTESTED_WITHIN  # over, though no job has written it down
    return None


def attest(convention: Convention, *, by, code: str, **said) -> DeletionAttestation:
    """The experimenter's representative attests that every copy is gone, second factor at the act."""
    permissions.require_representative(by, convention.organisation)
    evidence = second_factor.confirm(by, code)
    return _attested(convention, by=by, evidence=evidence, **said)


@recorded("convention.attest")
def _attested(
    convention: Convention, *, by, evidence: dict, copies: str, backups: str, models_fate: str, processors: str
) -> DeletionAttestation:
    row = locked(convention)
    _about(row, models_fate=models_fate)
    permissions.require_representative(by, row.organisation)
    if row.status in (S.ACTIVE, S.SUSPENDED) and clock.today() > row.last_day:  # over, though no job has written it
        row = (end_notice if row.terminates_on else expire)(row, by=SYSTEM)
    next_state(row.status, "attest")
    if row.attestations.filter(answered_at=None).exists():
        raise WrongState(_("Une attestation attend déjà la vérification de l'opérateur."))
    return DeletionAttestation.objects.create(
        convention=row, copies=copies, backups=backups, models_fate=models_fate, processors=processors, signer=by,
        mandate=mandate_of(by, row.organisation).mandate, evidence=evidence,
    )  # fmt: skip


@recorded("convention.verify")
def answer_attestation(attestation: DeletionAttestation, *, by, is_verified: bool, answer: str) -> Convention:
    """An officer verifies it, which closes the convention, or returns it with what is missing."""
    row = locked(attestation.convention)
    _about(row, is_verified=is_verified, answer=answer)
    permissions.require_operator(by, row.zone)
    given = DeletionAttestation.objects.select_for_update(of=("self",)).get(pk=attestation.pk)
    if given.answered_at is not None:
        raise WrongState(_("Un collègue a déjà répondu à cette attestation : rechargez la page."))
    if by.belongs_to(row.organisation):
        raise NotAllowed(_("On ne vérifie pas l'attestation de sa propre organisation."))
    given.answered_by, given.answered_at = by, clock.now()
    given.is_verified, given.answer = is_verified, answer
    given.save(update_fields=["answered_by", "answered_at", "is_verified", "answer"])
    if is_verified:
        _closed(row, by=by, reason=answer)
    return row


@recorded("convention.close")
def _closed(row: Convention, *, by, reason: str) -> None:
    _move(row, "attest", by=by, reason=reason)
    _about(row)


@recorded("convention.expire")
def expire(convention: Convention, *, by=SYSTEM) -> Convention:
    """Write down that the last day has passed; access ended at midnight whatever this says."""
    row = locked(convention)
    _about(row)
    status = next_state(row.status, "expire")
    if clock.today() <= row.last_day:
        raise WrongState(_("Le dernier jour n'est pas passé : la convention n'est pas arrivée à terme."))
    assert status == S.EXPIRED  # noqa: S101  the table leads nowhere else
    return _move(row, "expire", by=by)


@recorded("convention.lapse")
def lapse(convention: Convention, *, by=SYSTEM) -> Convention:
    """Drop a convention that was not signed in thirty days; the application can be used again."""
    row = locked(convention)
    _about(row)
    next_state(row.status, "lapse")
    if clock.today() <= last_day_to_sign(row):
        raise WrongState(_("Le délai de signature n'est pas passé."))
    return _move(row, "lapse", by=by)


@recorded("person.name")
def name_person(convention: Convention, *, by, user: User, role: str = "analyst") -> NamedPerson:
    """The legal representative names one of their people; an officer of the operator confirms."""
    row = locked(convention)
    _about(row)
    permissions.require_representative(by, row.organisation)
    if row.status not in (S.SIGNING, S.ACTIVE, S.SUSPENDED):
        raise WrongState(_("Cette convention est finie : on n'y inscrit plus personne."))
    if not user.belongs_to(row.organisation):
        raise BadInput(_("Cette personne n'est pas de votre organisation ; ajoutez-la d'abord à ses membres."))
    if row.named_persons.filter(user=user).exists():
        raise BadInput(_("%s figure déjà parmi les personnes de cette convention.") % user)
    named = NamedPerson.objects.create(convention=row, user=user, role=role, named_by=by)
    _about(row, person=user.audit_actor().ref, role=role)
    return named


@recorded("person.confirm")
def confirm_person(named: NamedPerson, *, by) -> NamedPerson:
    """An officer of the operator confirms: in force at once."""
    named = NamedPerson.objects.select_for_update(of=("self",)).select_related("user").get(pk=named.pk)
    row = locked(named.convention)
    _about(row, person=named.user.audit_actor().ref)
    permissions.require_operator(by, row.zone)
    if by.belongs_to(row.organisation):
        raise NotAllowed(_("On ne confirme pas une personne de sa propre organisation."))
    if named.confirmed_at is not None:
        raise WrongState(_("Cette personne est déjà confirmée."))
    named.confirmed_by, named.confirmed_at = by, clock.now()
    named.save(update_fields=["confirmed_by", "confirmed_at"])
    raise_epoch(("convention", str(row.pk)))
    return named


@recorded("person.end")
def end_person(named: NamedPerson, *, by) -> NamedPerson:
    """Take a person off the list, from now on: their running accesses stop."""
    named = NamedPerson.objects.select_for_update(of=("self",)).select_related("user").get(pk=named.pk)
    row = locked(named.convention)
    _about(row, person=named.user.audit_actor().ref)
    if not permissions.can(permissions.require_operator, by, row.zone):
        permissions.require_representative(by, row.organisation)
    if named.until_day is not None:
        raise WrongState(_("Cette personne est déjà retirée."))
    named.until_day = clock.today() - timedelta(days=1)
    named.save(update_fields=["until_day"])
    raise_epoch(("convention", str(row.pk)))
    return named
