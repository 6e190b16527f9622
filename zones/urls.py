from django.urls import path

from zones import api
from zones.views import dataset, placed, zone

urlpatterns = [
    path("zones/", zone.zone_list, name="zone-list"),
    path("zones/nouvelle/", zone.zone_create, name="zone-create"),
    path("zones/communes/", zone.commune_search, name="commune-search"),
    path("zones/<slug:slug>/", zone.zone_detail, name="zone-detail"),
    path("zones/<slug:slug>/modifier/", zone.zone_edit, name="zone-edit"),
    path("zones/<slug:slug>/personnes/", zone.zone_people, name="zone-people"),
    path("zones/<slug:slug>/ouvrir/", zone.zone_open, name="zone-open"),
    path("zones/<slug:slug>/suspendre/", zone.zone_suspend, name="zone-suspend"),
    path("zones/<slug:slug>/fermer/", zone.zone_close, name="zone-close"),
    path("zones/<slug:slug>/services/nouveau/", zone.service_create, name="service-create"),
    path("zones/<slug:slug>/services/<int:pk>/", zone.service_edit, name="service-edit"),
    path("zones/<slug:slug>/sites/nouveau/", zone.site_create, name="site-create"),
    path("zones/<slug:slug>/capteurs/nouveau/", zone.sensor_create, name="sensor-create"),
    path("zones/<slug:slug>/jeux/nouveau/", dataset.dataset_create, name="dataset-create"),
    path("zones/<slug:slug>/jeux/ailleurs/", dataset.dataset_link, name="dataset-link"),
    path("catalogue/", dataset.catalogue_page, name="catalogue"),
    path("jeux/<slug:slug>/", dataset.dataset_detail, name="dataset-detail"),
    path("jeux/<slug:slug>/versions/nouvelle/", dataset.version_upload, name="version-upload"),
    path("jeux/<slug:slug>/versions/sur-place/", placed.placed_files, name="placed-files"),
    path("jeux/<slug:slug>/versions/<int:number>/", dataset.version_detail, name="version-detail"),
    path("jeux/<slug:slug>/versions/<int:number>/lecture/", dataset.version_reread, name="version-reread"),
    path("jeux/<slug:slug>/versions/<int:number>/preparation/", dataset.version_gathering, name="version-gathering"),
    path("jeux/<slug:slug>/colonnes/", dataset.column_roles, name="column-roles"),
    path("jeux/<slug:slug>/fiche/", dataset.dataset_edit, name="dataset-edit"),
    path("jeux/<slug:slug>/retirer/", dataset.dataset_withdraw, name="dataset-withdraw"),
    path("jeux/<slug:slug>/publier/", dataset.dataset_publish, name="dataset-publish"),
    path("api/catalogue/", api.Catalogue.as_view(), name="api-catalogue"),
]
