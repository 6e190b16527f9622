from django.contrib.auth.decorators import login_not_required
from django.urls import path
from django.views.i18n import set_language

from broker.desk import views
from broker.desk.journal import keeping_views, saved_views
from broker.desk.journal import views as journal

urlpatterns = [
    path("", views.home, name="home"),
    path("et-moi/", views.about_me, name="about-me"),
    path("sante/", views.health, name="health"),
    path("journal/", journal.search, name="audit-search"),
    path("journal/<int:index>/", journal.entry, name="audit-entry"),
    path("journal/<int:index>/garde/", keeping_views.page, name="audit-keeping"),
    path("journal/dossier.zip", journal.take_away, name="audit-bundle"),
    path("journal/recherches/", saved_views.searches, name="audit-searches"),
    path("journal/recherches/<int:pk>/", saved_views.rename, name="audit-search-rename"),
    path("journal/recherches/<int:pk>/supprimer/", saved_views.remove, name="audit-search-remove"),
    path("journal/mois/", journal.month_report, name="audit-month"),
    path("journal/mois.csv", journal.month_table, name="audit-month-table"),
    path("journal/sante/", views.log_health, name="log-health"),
    path("journal/sante.json", views.log_health_json, name="log-health-json"),
    path("journal/export/<str:form>", journal.export, name="audit-export"),
    path("bureau/", views.desk, name="desk"),
    path("composants/", views.components, name="components"),
    path("langue/", login_not_required(set_language), name="set_language"),
]
