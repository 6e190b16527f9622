from django.apps import AppConfig


class Keys(AppConfig):
    name = "broker.keys"
    label = "keys"
    verbose_name = "Clés"
