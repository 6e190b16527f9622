from django.urls import path

from broker.releases.views import inquiry, release, withdrawal

urlpatterns = [
    path("conventions/<str:ref>/remises/nouvelle/", release.create, name="release-create"),
    path("remises/<uuid:pk>/", release.detail, name="release-detail"),
    path("remises/<uuid:pk>/progres/", release.progress, name="release-progress"),
    path("remises/<uuid:pk>/manifeste.json", release.manifest_json, name="release-manifest"),
    path("remises/<uuid:pk>/ordre/", release.order, name="release-order"),
    path("remises/<uuid:pk>/refaire/", release.rebuild, name="release-rebuild"),
    path("ordres-de-retrait/", withdrawal.list_, name="withdrawal-list"),
    path("ordres-de-retrait/<int:pk>/", withdrawal.detail, name="withdrawal-detail"),
    path("zones/<slug:slug>/traces/", inquiry.trace_create, name="trace-create"),
    path("zones/<slug:slug>/fuites/", inquiry.leak_create, name="leak-create"),
    path("enquetes/<uuid:pk>/", inquiry.detail, name="inquiry-detail"),
]
