"""The routes of the delivery server, and no other."""

from django.urls import path

from broker.releases import delivery

urlpatterns = [
    path("telecharger/<uuid:pk>/", delivery.download, name="release-download"),
    path("remises/<uuid:pk>/", delivery.pull_unordered, name="release-pull"),
    path("remises/<uuid:pk>/etat/", delivery.state, name="release-state"),
    path("ordres/<uuid:pk>/", delivery.pull, name="order-pull"),
    path("sante/", delivery.health, name="delivery-health"),
]
