"""The life of a request for a commercial licence: own tables, own clock, never a shortcut from an experiment."""

from django.db import connection
from django.utils.translation import gettext as _

from broker import clock
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, NotAllowed, WrongState
from consent import permissions
from consent.deadlines import add_working_days
from consent.models import CommercialLicence
from zones.models import Dataset

S = CommercialLicence.Status

NEXT = {  # the whole life of a request; an agreement to discuss is followed outside the platform for now
    (S.DRAFT, "submit"): S.SUBMITTED,
    (S.DRAFT, "withdraw"): S.WITHDRAWN,
    (S.SUBMITTED, "withdraw"): S.WITHDRAWN,
    (S.SUBMITTED, "accept"): S.ACCEPTED,
    (S.SUBMITTED, "decline"): S.DECLINED,
}
ANSWER_WORKING_DAYS = 30  # legal-gate, section 9: longer review, no fast lane
TERMS = ("product", "market", "intended_on", "price_expectation", "contact_name", "contact_email")
NEEDED = ("product", "market", "intended_on", "contact_email")


def next_state(status: str, act: str) -> str:
    """Where `act` leads from `status`. Raises WrongState, naming both."""
    try:
        return NEXT[S(status), act]
    except KeyError:
        raise WrongState(
            _("Une demande de licence à l'état « %(state)s » n'admet pas cet acte. Préparez-en une nouvelle.")
            % {"state": S(status).label}
        ) from None


def locked(licence: CommercialLicence) -> CommercialLicence:
    return (
        CommercialLicence.objects.select_for_update(of=("self",))
        .select_related("dataset__zone__operator", "dataset__holder", "organisation")
        .get(pk=licence.pk)
    )


def _about(row: CommercialLicence, **detail) -> None:
    describe(
        obj=row, zone=row.dataset.zone.reference, org=row.organisation, purp="commercial",
        detail={"dataset": row.dataset.slug, **detail},
    )  # fmt: skip


@recorded("licence.draft")
def draft(dataset: Dataset, *, by, organisation, **terms) -> CommercialLicence:
    """The organisation's open draft on `dataset`, made when there is none, with `terms` written into it."""
    permissions.require_member(by, organisation)
    if organisation.kind != organisation.Kind.EXPERIMENTER:
        raise NotAllowed(
            _("Une licence commerciale se demande au nom d'une start-up, d'un laboratoire ou d'une société.")
        )
    if dataset.status != Dataset.Status.PUBLISHED:
        raise WrongState(_("Ce jeu n'est pas publié : aucune licence ne se demande sur lui."))
    row = (
        CommercialLicence.objects.select_for_update(of=("self",))
        .filter(organisation=organisation, dataset=dataset, status=S.DRAFT)
        .first()
    ) or CommercialLicence(ref=_next_ref(), organisation=organisation, dataset=dataset, created_by=by)
    for name, value in terms.items():
        if name not in TERMS:
            raise ValueError(f"{name} is not a term of a licence")
        setattr(row, name, value)
    row.save()
    _about(row)
    return row


def _next_ref() -> str:
    """LC-YYYY-NNNN, counted by year; an advisory lock keeps two drafts from taking the same number."""
    year = clock.today().year
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('consent.licence.ref'))")
    last = (
        CommercialLicence.objects.filter(ref__startswith=f"LC-{year}-").order_by("-ref").values_list("ref", flat=True)
    )
    return f"LC-{year}-{int(last[0].rsplit('-', 1)[1]) + 1 if last else 1:04d}"


@recorded("licence.request")
def submit(licence: CommercialLicence, *, by) -> CommercialLicence:
    """File it (legal representative): the operator answers within 30 working days. The experiment is not touched."""
    row = locked(licence)
    _about(row)
    permissions.require_representative(by, row.organisation)
    status = next_state(row.status, "submit")
    if lacking := [str(row._meta.get_field(name).verbose_name) for name in NEEDED if not getattr(row, name)]:
        raise BadInput(_("Avant de déposer la demande, complétez : %s.") % ", ".join(lacking))
    row.status, row.submitted_at, row.submitted_by = status, clock.now(), by
    row.due_on = add_working_days(clock.today(), ANSWER_WORKING_DAYS)
    row.save()
    _about(row, due_on=row.due_on.isoformat())
    return row


@recorded("licence.answer")
def answer(licence: CommercialLicence, *, by, act: str, text: str) -> CommercialLicence:
    """The operator agrees to discuss (`accept`) or declines (`decline`), always with its reasons."""
    row = locked(licence)
    _about(row, decision=act)
    permissions.require_operator(by, row.dataset.zone)
    if by.belongs_to(row.organisation):
        raise NotAllowed(_("On ne répond pas à une demande de sa propre organisation ; laissez-la à un collègue."))
    if act not in ("accept", "decline"):
        raise BadInput(_("Choisissez : en discuter, ou décliner."))
    status = next_state(row.status, act)
    if not text.strip():
        raise BadInput(_("Une réponse se motive : écrivez-la en une phrase au moins."))
    row.status, row.answer, row.answered_at, row.answered_by = status, text.strip(), clock.now(), by
    row.save()
    return row


@recorded("licence.withdraw")
def withdraw(licence: CommercialLicence, *, by) -> CommercialLicence:
    """The applicant gives it up before an answer."""
    row = locked(licence)
    _about(row)
    if row.status == S.DRAFT:
        permissions.require_member(by, row.organisation)
    else:
        permissions.require_representative(by, row.organisation)
    row.status = next_state(row.status, "withdraw")
    row.save(update_fields=["status"])
    return row
