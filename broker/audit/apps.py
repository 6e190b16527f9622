from django.apps import AppConfig


class Audit(AppConfig):
    name = "broker.audit"
    label = "audit"
    verbose_name = "Journal"
