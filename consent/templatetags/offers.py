"""The offers of a dataset, for the page of the dataset: {% offers_of_dataset dataset %}."""

from django import template
from django.db.models import Count

from consent import permissions
from consent.models import Offer

register = template.Library()
MOST = 10


@register.inclusion_tag("consent/_offers_of_dataset.html", takes_context=True)
def offers_of_dataset(context, dataset):
    user = context["request"].user
    offers = (
        Offer.objects.for_user(user)
        .filter(dataset=dataset)
        .exclude(status=Offer.Status.ENDED)
        .annotate(column_count=Count("columns"))
        .order_by("status", "-created_at")[:MOST]
    )
    may_write = (
        user.is_authenticated
        and dataset.status == "published"
        and permissions.can(permissions.require_offer_writer, user, dataset.zone)
    )
    return {"offers": offers, "dataset": dataset, "may_write": may_write, "request": context["request"]}
