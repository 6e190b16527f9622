"""The offers of a dataset, for the page of the dataset: {% offers_of_dataset dataset %}."""

from datetime import date, timedelta

from django import template
from django.db.models import Count

from broker import clock
from consent import permissions
from consent.models import Offer
from consent.transitions.offer import notice_days

register = template.Library()
MOST = 10


@register.inclusion_tag("consent/_offers_of_dataset.html", takes_context=True)
def offers_of_dataset(context, dataset):
    user = context["request"].user
    offers = list(
        Offer.objects.for_user(user)
        .filter(dataset=dataset)
        .select_related("dataset")
        .exclude(status=Offer.Status.ENDED)
        .annotate(column_count=Count("columns"))
        .order_by("status", "-created_at")[:MOST]
    )
    for offer in offers:
        offer.access_from = _access_from(offer)
    may_write = (
        user.is_authenticated
        and dataset.status == "published"
        and permissions.can(permissions.require_offer_writer, user, dataset.zone)
    )
    return {"offers": offers, "dataset": dataset, "may_write": may_write, "request": context["request"]}


def _access_from(offer) -> date | None:
    """The first day on which data may leave under `offer`; None when that is today or before."""
    first = offer.starts_on
    if offer.dataset.is_personal and offer.notice_published_at:
        informed = offer.notice_published_at.astimezone(clock.PARIS) + timedelta(days=notice_days())
        first = max(first, informed.date())
    return first if first > clock.today() else None
