from django.apps import AppConfig


class Consent(AppConfig):
    name = "consent"
    label = "consent"
    verbose_name = "Conventions"

    def ready(self):
        from consent import offered
        from zones import catalogue

        catalogue.read_offers_by(offered.conditions)
