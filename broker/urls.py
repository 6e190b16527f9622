"""Every route of the site. Each app has its own list; a name is unique in the whole house."""

from django.urls import include, path

urlpatterns = [
    path("compte/", include("broker.accounts.allauth_urls")),
    path("", include("broker.audit.urls")),
    path("", include("broker.accounts.urls")),
    path("", include("zones.urls")),
    path("", include("consent.urls")),
    path("", include("broker.releases.urls")),
    path("", include("broker.desk.urls")),
]
