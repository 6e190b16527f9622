from django.urls import path

from broker.releases import views

urlpatterns = [
    path("conventions/<str:ref>/remises/nouvelle/", views.create, name="release-create"),
    path("remises/<uuid:pk>/", views.detail, name="release-detail"),
    path("remises/<uuid:pk>/progres/", views.progress, name="release-progress"),
    path("remises/<uuid:pk>/manifeste.json", views.manifest_json, name="release-manifest"),
    path("remises/<uuid:pk>/ordre/", views.order, name="release-order"),
]
