"""The public catalogue: what datasets exist, never a row of them."""

from django.db.models import Q, QuerySet

from zones import geography
from zones.models import Dataset

SHORTEST = 2  # signs


def search(*, q: str = "", domain: str = "", kind: str = "", personal: str = "") -> QuerySet[Dataset]:
    """The published datasets, latest first, whose texts hold every word of `q`, accents and case aside."""
    found = Dataset.objects.public().select_related("zone", "zone__operator", "holder", "service")
    for word in geography.plain(q).split():
        if len(word) >= SHORTEST:
            found = found.filter(Q(search_text__contains=word) | Q(zone__search_text__contains=word))
    if domain:
        found = found.filter(domains__contains=[domain])
    if kind:
        found = found.filter(zone__kind=kind)
    if personal in ("yes", "no"):
        found = found.filter(is_personal=personal == "yes")
    return found.order_by("-published_at", "-pk")
