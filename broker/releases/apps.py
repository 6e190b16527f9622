from django.apps import AppConfig


class Releases(AppConfig):
    name = "broker.releases"
    label = "releases"
    verbose_name = "Remises"
