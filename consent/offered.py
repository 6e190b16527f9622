"""Which datasets have an offer that can be taken up, as conditions the catalogue asks the database."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from broker import clock
from consent.models import Offer
from consent.transitions.offer import notice_days
from zones.catalogue import Offered


def conditions(now: datetime) -> Offered:
    """An offer in force that is not over; the same day when nobody is to be informed, or the notice has run."""
    day = now.astimezone(clock.PARIS).date()
    offers = Offer.objects.filter(dataset=OuterRef("pk"), status=Offer.Status.PUBLISHED, ends_on__gte=day)
    has_run = Q(notice_published_at__lte=now - timedelta(days=notice_days()))
    return Offered(
        at_all=Exists(offers), today=Exists(offers.filter(Q(dataset__is_personal=False) | has_run, starts_on__lte=day))
    )
