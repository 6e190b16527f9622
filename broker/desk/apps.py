from django.apps import AppConfig


class Desk(AppConfig):
    name = "broker.desk"
    label = "desk"
    verbose_name = "Bureaux"
