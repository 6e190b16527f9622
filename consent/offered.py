"""Which datasets have an offer that can be taken up, as conditions the catalogue asks the database."""

from datetime import datetime, timedelta

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q

from broker import clock
from consent.models import Offer
from consent.transitions.offer import notice_days
from zones.catalogue import Offered


def conditions(now: datetime) -> Offered:
    """An offer in force that is not over; the same day when nobody is to be informed, or the notice has run."""
    day = now.astimezone(clock.PARIS).date()
    offers = Offer.objects.filter(dataset=OuterRef("pk"), status=Offer.Status.PUBLISHED, ends_on__gte=day)
    begun = offers.filter(starts_on__lte=day)
    has_run = Q(notice_published_at__lte=now - timedelta(days=notice_days()))
    # Two questions of offers alone: one that also reads the dataset makes PostgreSQL join the two whole tables.
    today = Q(Q(is_personal=False) & Exists(begun)) | Q(Exists(begun.filter(has_run)))
    return Offered(at_all=Exists(offers), today=ExpressionWrapper(today, output_field=BooleanField()))
