"""Decisions of two persons (marked `x2` in legal-gate, section 2): the first opens, a second and different one agrees.

Neither may belong to the organisation that the decision is about. The database refuses the same by itself:
`countersign_two_persons` and the trigger `countersign_guard`.
"""

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import Countersign, Organisation
from broker.audit.actions import describe, recorded
from broker.errors import NotAllowed, WrongState


def pending(act: str, object_ref: str) -> Countersign | None:
    """The decision that waits for its second person, if any."""
    return (
        Countersign.objects.filter(act=act, object_ref=object_ref, second_by=None)
        .select_related("first_by", "concerned")
        .first()
    )


def countersign(
    act: str, object_ref: str, *, by, reason: str = "", concerned: Organisation | None = None
) -> Countersign:
    """Open the decision, or complete the one a first person opened (`is_complete` tells which).

    Raises NotAllowed when the second person is the first, or belongs to `concerned`; WrongState when somebody else
    acted in the same moment.
    """
    opened = pending(act, object_ref)
    if opened is None:
        return _first(act, object_ref, by=by, reason=reason, concerned=concerned)
    return _second(opened, by=by, reason=reason, concerned=concerned)


def _refuse_the_concerned(by, concerned: Organisation | None) -> None:
    """Whoever belongs, or is about to belong, to the organisation decides nothing about it."""
    if concerned is None:
        return
    today = clock.today()
    if by.memberships.filter(Q(left_on=None) | Q(left_on__gte=today), organisation=concerned).exists():
        raise NotAllowed(
            _("Vous appartenez à %(organisation)s : une personne d'un autre organisme doit décider.")
            % {"organisation": concerned}
        )


@recorded("countersign.first")
def _first(act, object_ref, *, by, reason, concerned):
    describe(obj=("countersign", object_ref), org=concerned, detail={"act": act, "reason": reason})
    _refuse_the_concerned(by, concerned)
    try:
        with transaction.atomic():
            return Countersign.objects.create(
                act=act, object_ref=object_ref, concerned=concerned, first_by=by, first_reason=reason
            )
    except IntegrityError as error:
        if "countersign_one_open" not in str(error):
            raise
        raise WrongState(
            _("Une autre personne vient d'ouvrir cette décision : rechargez la page pour la contresigner.")
        ) from error


@recorded("countersign.second")
def _second(opened, *, by, reason, concerned):
    row = Countersign.objects.select_for_update(of=("self",)).get(pk=opened.pk)
    describe(
        obj=("countersign", row.object_ref),
        org=row.concerned,
        detail={"act": row.act, "reason": reason, "first_by": row.first_by.audit_actor().ref},
    )
    if concerned is not None and row.concerned_id != concerned.pk:
        raise WrongState(_("La décision ouverte concerne un autre organisme : rechargez la page."))
    if row.is_complete:
        raise WrongState(_("Cette décision vient d'être contresignée : rechargez la page."))
    if row.first_by_id == by.pk:
        raise NotAllowed(_("Vous avez signé en premier : une deuxième personne, différente, doit contresigner."))
    _refuse_the_concerned(by, row.concerned)
    row.second_by, row.second_at, row.second_reason = by, clock.now(), reason
    row.save(update_fields=["second_by", "second_at", "second_reason"])
    return row
