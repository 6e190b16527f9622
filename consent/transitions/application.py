"""The life of an application. The same-day path: an offer taken up unchanged is approved by the system, under the
decision the operator took once (legal-gate, sections 5.0 and 5.1)."""

from django.utils.translation import gettext as _

from broker import clock
from broker.audit.actions import describe, recorded
from broker.audit.actor import SYSTEM
from broker.errors import BadInput, Refused, WrongState
from consent import facts, gate, permissions, rules, terms
from consent.deadlines import last_day_of
from consent.models import Application, Offer, PurposeKind
from consent.transitions import licence as licences
from consent.words import BASES, CONDITIONS

S = Application.Status

NEXT = {  # the same-day path; the fast and full lanes are a later matter
    (S.DRAFT, "submit"): S.SUBMITTED,
    (S.SUBMITTED, "approve_under_offer"): S.APPROVED,
    (S.DRAFT, "withdraw"): S.WITHDRAWN,
    (S.SUBMITTED, "withdraw"): S.WITHDRAWN,
}
LONGEST_MONTHS = 12


def next_state(status: str, act: str) -> str:
    """Where `act` leads from `status`. Raises WrongState, naming both."""
    try:
        return NEXT[S(status), act]
    except KeyError:
        raise WrongState(
            _("Une demande à l'état « %(state)s » n'admet pas cet acte. Déposez une nouvelle demande.")
            % {"state": S(status).label}
        ) from None


def simulate(offer: Offer, *, by, organisation, **asked) -> gate.Decision:
    """The gate, dry: every reason that would refuse now. Nothing is logged as an access."""
    return _simulated(offer, by=by, organisation=organisation, **asked)


@recorded("application.simulate")
def _simulated(offer, *, by, organisation, **asked):
    decision = judge(offer, by=by, organisation=organisation, **asked)
    describe(
        obj=offer, zone=offer.dataset.zone.reference, org=organisation,
        purp=asked.get("purpose_kind", PurposeKind.EXPERIMENTATION),
        detail={"would_refuse": [reason.rule for reason in decision.refusals]},
    )  # fmt: skip
    return decision


def refuse_commercial(offer: Offer, *, by, organisation, solution: str, **asked):
    """G06 refuses a commercial purpose whoever asks; the request for a licence is opened, prefilled, in its own file.

    Returns the decision and the draft: nothing of the experiment is touched."""
    environment = organisation.environments.order_by("-created_at").first()
    decision = _simulated(
        offer, by=by, organisation=organisation, environment=environment, purpose_kind=PurposeKind.COMMERCIAL,
        purpose_code=offer.purposes[0], **asked,
    )  # fmt: skip
    return decision, licences.draft(
        offer.dataset, by=by, organisation=organisation, **({"product": solution} if solution else {})
    )


def judge(offer: Offer, *, by, organisation, **asked) -> gate.Decision:
    now = clock.now()
    case = facts.prospective(offer, by=by, organisation=organisation, now=now, **asked)
    return gate.evaluate(case, rules.current(now))


def longest_end(offer: Offer, starts_on):
    """The last day a convention that starts on `starts_on` may have: 12 months, the service's end, the offer's."""
    ends = [last_day_of(starts_on, LONGEST_MONTHS), offer.ends_on]
    if offer.dataset.service is not None:
        ends.append(offer.dataset.service.participation_until)
    return min(ends)


@recorded("application.draft")
def draft(offer: Offer, *, by, organisation, environment, **wanted) -> Application:
    """A draft application that takes up `offer`. Raises BadInput naming the field to mend."""
    describe(obj=offer, zone=offer.dataset.zone.reference, org=organisation)
    permissions.require_member(by, organisation)
    if offer.status != Offer.Status.PUBLISHED:
        raise WrongState(_("Cette offre n'est plus ouverte ; voyez les autres offres du jeu."))
    if environment.organisation_id != organisation.pk:
        raise BadInput(_("Choisissez un environnement déclaré par votre organisation."))
    if wanted["purpose_kind"] != PurposeKind.EXPERIMENTATION:
        raise BadInput(_("Servir des clients relève d'une licence commerciale, demandée à part."))
    if wanted["purpose_code"] not in offer.purposes:
        raise BadInput(_("L'offre n'accepte pas cette finalité ; choisissez-en une dans la liste."))
    if wanted["starts_on"] < clock.today():
        raise BadInput(_("Le premier jour est aujourd'hui ou plus tard."))
    latest = longest_end(offer, wanted["starts_on"])
    if wanted["ends_on"] > latest:
        raise BadInput(
            _("Le dernier jour ne peut pas dépasser le %(day)s : douze mois, fin de l'offre ou du service.")
            % {"day": latest.strftime("%d/%m/%Y")}
        )
    if offer.dataset.is_personal:
        if wanted.get("basis_article_6") not in BASES:
            raise BadInput(_("Choisissez la base légale de votre traitement (RGPD art. 6)."))
        if wanted.get("basis_article_9") not in CONDITIONS:
            raise BadInput(_("Choisissez la condition de l'article 9 qui vous permet de traiter ces données."))
    application = Application.objects.create(
        offer=offer, organisation=organisation, environment=environment, created_by=by, **wanted
    )
    describe(obj=application, purp=PurposeKind.EXPERIMENTATION, basis=application.basis_article_6)
    return application


@recorded("application.submit")
def submit(application: Application, *, by, second_factor_at=None):
    """Submit it (legal representative). An offer taken up unchanged is approved at once; returns the convention.

    Raises Refused with every reason when the simulation refuses for what only the applicant can mend.
    """
    row = (
        Application.objects.select_for_update(of=("self",))
        .select_related("offer__dataset__zone__operator", "organisation", "environment")
        .get(pk=application.pk)
    )
    describe(obj=row, zone=row.offer.dataset.zone.reference, org=row.organisation, purp=row.purpose_kind)
    permissions.require_representative(by, row.organisation)
    row.status, row.submitted_at = next_state(row.status, "submit"), clock.now()
    row.save(update_fields=["status", "submitted_at"])
    return approve_under_offer(row, by=SYSTEM, representative=by, second_factor_at=second_factor_at)


@recorded("application.approve")
def approve_under_offer(row: Application, *, by, representative, second_factor_at):
    """The system approves under the offer's decision: same terms as those signed, environment attested, simulation
    clean but for what signature, naming and time settle later."""
    from consent.transitions import convention as conventions

    offer = row.offer
    describe(obj=row, zone=offer.dataset.zone.reference, org=row.organisation, purp=row.purpose_kind)
    status = next_state(row.status, "approve_under_offer")
    if offer.status != Offer.Status.PUBLISHED:
        raise WrongState(_("Cette offre n'est plus ouverte ; voyez les autres offres du jeu."))
    standing = offer.mandates.filter(party="operator").first()
    if standing is None or standing.terms_sha256 != terms.sha256(offer):
        raise WrongState(
            _("L'offre n'est plus celle que l'opérateur a signée : elle ne peut pas être reprise telle quelle.")
        )
    decision = judge(
        offer, by=representative, organisation=row.organisation, environment=row.environment,
        purpose_kind=row.purpose_kind, purpose_code=row.purpose_code, starts_on=row.starts_on, ends_on=row.ends_on,
        linkage=row.linkage, second_factor_at=second_factor_at,
    )  # fmt: skip
    blocking = tuple(reason for reason in decision.refusals if reason.rule not in gate.SETTLED_LATER)
    if blocking:
        raise Refused(_("La demande ne peut pas être approuvée en l'état."), reasons=blocking)
    row.status, row.approved_at = status, clock.now()
    row.save(update_fields=["status", "approved_at"])
    describe(detail={"offer": offer.pk, "version": offer.version, "under": "offer"})
    return conventions.create(row, by=by)


@recorded("application.withdraw")
def withdraw(application: Application, *, by) -> Application:
    """Give up the application before it is approved."""
    row = Application.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=application.pk)
    describe(obj=row, org=row.organisation)
    permissions.require_representative(by, row.organisation)
    row.status = next_state(row.status, "withdraw")
    row.save(update_fields=["status"])
    return row


@recorded("application.draft")
def take_up(offer: Offer, *, by, organisation, environment, second_factor_at=None, **wanted):
    """Draft and submit in one act: a founder in a hurry leaves no draft behind when the answer is no."""
    application = draft(offer, by=by, organisation=organisation, environment=environment, **wanted)
    describe(obj=application, zone=offer.dataset.zone.reference, org=organisation)
    return submit(application, by=by, second_factor_at=second_factor_at)
