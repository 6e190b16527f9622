from django.urls import path

from broker.releases.enclosing import CROISSANT, DATAPACKAGE, LICENCE
from broker.releases.views import inquiry, preview, reconciliation, release, signature, withdrawal

urlpatterns = [
    path("conventions/<str:ref>/remises/nouvelle/", release.create, name="release-create"),
    path("conventions/<str:ref>/remises/apercu/", preview.of_release, name="release-preview"),
    path("offres/<int:pk>/apercu/", preview.of_offer, name="offer-preview"),
    path("apercus/<uuid:pk>/", preview.detail, name="preview-detail"),
    path("remises/<uuid:pk>/", release.detail, name="release-detail"),
    path("remises/<uuid:pk>/progres/", release.progress, name="release-progress"),
    path("remises/<uuid:pk>/etat.json", release.state, name="release-state"),
    path("remises/<uuid:pk>/manifeste.json", release.manifest_json, name="release-manifest"),
    path("remises/<uuid:pk>/manifeste.sig", release.manifest_sig, name="release-signature"),
    path("remises/<uuid:pk>/LICENCE.txt", release.enclosed, {"name": LICENCE}, name="release-licence"),
    path("remises/<uuid:pk>/datapackage.json", release.enclosed, {"name": DATAPACKAGE}, name="release-datapackage"),
    path("remises/<uuid:pk>/croissant.json", release.enclosed, {"name": CROISSANT}, name="release-croissant"),
    path("zones/<slug:slug>/cles/", signature.keys, name="signing-keys"),
    path("zones/<slug:slug>/cles/<int:pk>/", signature.key, name="signing-key"),
    path("remises/<uuid:pk>/ordre/", release.order, name="release-order"),
    path("remises/<uuid:pk>/refaire/", release.rebuild, name="release-rebuild"),
    path("ordres-de-retrait/", withdrawal.list_, name="withdrawal-list"),
    path("ordres-de-retrait/<int:pk>/", withdrawal.detail, name="withdrawal-detail"),
    path("zones/<slug:slug>/traces/", inquiry.trace_create, name="trace-create"),
    path("zones/<slug:slug>/fuites/", inquiry.leak_create, name="leak-create"),
    path("rapprochement/", reconciliation.detail, name="reconciliation"),
    path("rapprochement/refaire/", reconciliation.run_now, name="reconciliation-run"),
    path("enquetes/<uuid:pk>/", inquiry.detail, name="inquiry-detail"),
]
