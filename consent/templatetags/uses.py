"""Who uses the data of a zone now and for what, for the page of the zone: {% uses_of_zone zone %}."""

from django import template

from broker import clock
from consent.models import Convention

register = template.Library()
MOST = 20


@register.inclusion_tag("consent/_uses_of_zone.html")
def uses_of_zone(zone):
    """The experiments under way. Each has its public notice: nothing is said here that is not said there."""
    today = clock.today()
    under_way = (
        Convention.objects.filter(
            zone=zone, status=Convention.Status.ACTIVE, starts_on__lte=today, ends_on__gte=today,
            notice_published_at__isnull=False,
        )
        .select_related("organisation", "offer__dataset", "application")
        .only("ref", "ends_on", "organisation__name", "offer__dataset__title", "application__solution")
        .order_by("-activated_at", "pk")[:MOST]
    )  # fmt: skip
    return {"uses": under_way, "zone": zone}
