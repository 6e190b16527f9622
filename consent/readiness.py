"""What a person still needs before personal data of a convention open to them: the answer of the gate's rule G03,
read by the person's own pages and desk."""

from django.utils.translation import get_language

from broker import clock
from consent import facts, gate, rules
from consent.models import Convention, Undertaking


def lacking(convention: Convention, user) -> list[str]:
    """What `user` lacks under `convention`, in their language; nothing for data that are not personal."""
    dataset = convention.offer.dataset
    if not dataset.is_personal:
        return []
    signed = Undertaking.objects.filter(convention=convention, user=user).values_list("signed_at", flat=True).first()
    return _lacking(dataset.domains, facts.trainings_of(user), signed)


def _lacking(domains, trainings, signed_at) -> list[str]:
    today = clock.today()
    undertook_on = signed_at.astimezone(clock.PARIS).date() if signed_at else None
    found = gate.what_is_missing(trainings, undertook_on, domains, today, rules.current(clock.now()))
    english = (get_language() or "fr").startswith("en")
    return [en if english else fr for fr, en in found]


def to_complete(user, most: int) -> list[tuple[Convention, list[str]]]:
    """The conventions under which `user` is named and lacks something, the oldest first. Two queries."""
    S = Convention.Status  # noqa: N806  short name of the states, as everywhere
    named = (
        user.named_in.filter(until_day=None, convention__offer__dataset__is_personal=True)
        .filter(convention__status__in=(S.SIGNING, S.ACTIVE, S.SUSPENDED))
        .select_related("convention__offer__dataset")
        .order_by("convention__created_at", "pk")[:most]
    )
    if not named:
        return []
    signed = dict(
        Undertaking.objects.filter(user=user, convention__in=[one.convention_id for one in named]).values_list(
            "convention", "signed_at"
        )
    )
    trainings = facts.trainings_of(user)
    found = [
        (one.convention, _lacking(one.convention.offer.dataset.domains, trainings, signed.get(one.convention_id)))
        for one in named
    ]
    return [(convention, lacks) for convention, lacks in found if lacks]
