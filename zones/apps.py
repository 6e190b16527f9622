from django.apps import AppConfig


class Zones(AppConfig):
    name = "zones"
    label = "zones"
    verbose_name = "Zones"
