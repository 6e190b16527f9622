"""The catalogue for programs."""

from typing import ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import generics, permissions, serializers

from zones import catalogue, geography
from zones.forms import CatalogueForm
from zones.models import Dataset


class CatalogueEntry(serializers.ModelSerializer):
    """What anybody may know of a dataset."""

    url = serializers.SerializerMethodField()
    access = serializers.SerializerMethodField(help_text="today, notice, open (elsewhere: open_url) or none")
    zone = serializers.SerializerMethodField()
    holder = serializers.CharField(source="holder.name")
    service = serializers.CharField(source="service.name", default=None)

    class Meta:
        model = Dataset
        fields = [
            "slug", "title", "summary", "domains", "is_personal", "period", "origin", "licence", "published_at",
            "access", "open_url", "holder", "service", "zone", "url",
        ]  # fmt: skip

    def get_url(self, dataset: Dataset) -> str:
        return settings.SITE_URL + dataset.get_absolute_url()

    def get_access(self, dataset: Dataset) -> str:
        return catalogue.access_of(dataset)

    def get_zone(self, dataset: Dataset) -> dict:
        zone = dataset.zone
        known = [found for code in zone.communes if (found := geography.find(code))]
        return {
            "name": zone.name,
            "kind": zone.kind,
            "operator": zone.operator.name,
            "status": zone.status,
            "communes": [{"code": c.code, "name": c.name, "population": c.population} for c in known],
            "url": settings.SITE_URL + zone.get_absolute_url(),
        }


@extend_schema(summary="Catalogue des jeux de données publiés", auth=[])
class Catalogue(generics.ListAPIView):
    """Paginated, public. Takes the same `q`, `domain`, `kind`, `personal`, `access` as the page; an unknown value is
    ignored."""

    permission_classes = [permissions.AllowAny]
    authentication_classes: ClassVar[list] = []
    serializer_class = CatalogueEntry

    def get_queryset(self):
        found = catalogue.search(CatalogueForm(self.request.query_params).asked())
        return catalogue.Shown(found, "zone__operator", "holder", "service")
