"""Releases of a convention, on the convention's own page (which stands in an app below this one)."""

from django import template

from broker.releases import permissions
from broker.releases.models import Release

register = template.Library()
SHOWN = 10


@register.inclusion_tag("releases/_releases_of_convention.html", takes_context=True)
def releases_of_convention(context, convention):
    """The last releases of `convention` that the reader may know of, and the way to ask for one."""
    user = context["request"].user
    found = Release.objects.for_user(user).filter(convention=convention).select_related("dataset_version")
    return {
        "convention": convention,
        "releases": list(found[:SHOWN]),
        "may_request": convention.status in ("signing", "active", "suspended")
        and permissions.is_named(user, convention),
    }
