"""The public halves of the keys that sign a zone's manifests, for whoever wants to check one: no account needed."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET

from broker.releases import signing
from zones.models import Zone

CHECK = "openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in manifest.json -sigfile manifest.sig"


def _zone(slug: str) -> Zone:
    """A zone that is or was open: what it signed stays checkable after it closed."""
    return get_object_or_404(Zone.objects.exclude(status=Zone.Status.DRAFT).select_related("operator"), slug=slug)


@login_not_required
@require_GET
def keys(request, slug):
    zone = _zone(slug)
    return JsonResponse(
        {
            "zone": zone.reference,
            "operator": str(zone.operator),
            "algorithm": signing.ALGORITHM,
            "check": CHECK,
            "keys": [
                {
                    "key": signing.number(one),
                    "pem": signing.pem(one),
                    "url": request.build_absolute_uri(reverse("signing-key", args=[zone.slug, one.pk])),
                    "since": one.created_at.isoformat(),
                    "until": one.destroyed_at.isoformat() if one.destroyed_at else None,
                }
                for one in signing.keys_of(zone)
            ],
        }
    )


@login_not_required
@require_GET
def key(request, slug, pk):
    zone = _zone(slug)
    found = get_object_or_404(signing.keys_of(zone), pk=pk)
    answer = HttpResponse(signing.pem(found), content_type="application/x-pem-file")
    answer["Content-Disposition"] = f'attachment; filename="{zone.slug}-{signing.number(found)[:8]}.pem"'
    return answer
