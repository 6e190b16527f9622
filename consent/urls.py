"""Routes of the registry, offers, applications and conventions."""

from django.urls import path

from consent.views import application, convention, licence, offer, registry, subjects, training

urlpatterns = [
    path("registre/", registry.list_, name="registry-list"),
    path("registre.json", registry.json_, name="registry-json"),
    path("registre/demande/", registry.request_, name="registry-request"),
    path("registre/demandes/<int:pk>/", registry.review, name="registry-review"),
    path("jeux/<slug:slug>/offres/nouvelle/", offer.create, name="offer-create"),
    path("offres/<int:pk>/", offer.detail, name="offer-detail"),
    path("offres/<int:pk>/soumettre/", offer.submit, name="offer-submit"),
    path("offres/<int:pk>/avis/", offer.opinion, name="offer-opinion"),
    path("offres/<int:pk>/mandat/", offer.mandate, name="offer-mandate"),
    path("offres/<int:pk>/publier/", offer.publish, name="offer-publish"),
    path("offres/<int:pk>/version/", offer.version, name="offer-version"),
    path("offres/<int:pk>/notice/", offer.notice, name="offer-notice"),
    path("offres/<int:pk>/simuler/", application.simulate, name="offer-simulate"),
    path("offres/<int:pk>/demander/", application.create, name="application-create"),
    path("licence-commerciale/", licence.list_, name="commercial-licence"),
    path("jeux/<slug:slug>/licence/", licence.create, name="licence-create"),
    path("licences/<str:ref>/", licence.detail, name="licence-detail"),
    path("zones/<slug:slug>/oppositions/nouvelle/", subjects.opposition_create, name="opposition-create"),
    path("notices/<str:ref>/", subjects.convention_notice, name="convention-notice"),
    path("conventions/", convention.list_, name="convention-list"),
    path("conventions/<str:ref>/", convention.detail, name="convention-detail"),
    path("conventions/<str:ref>/document.pdf", convention.pdf, name="convention-pdf"),
    path("conventions/<str:ref>/signer/", convention.sign, name="convention-sign"),
    path("conventions/<str:ref>/personnes/", convention.people, name="convention-people"),
    path("conventions/<str:ref>/habilitation/", training.ready, name="person-ready"),
    path("conventions/<str:ref>/formation/", training.lesson, name="training"),
    path("conventions/<str:ref>/engagement/", training.undertaking, name="undertaking"),
]
