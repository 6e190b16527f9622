from django.apps import AppConfig


class Consent(AppConfig):
    name = "consent"
    label = "consent"
    verbose_name = "Conventions"
