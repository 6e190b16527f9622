from django.apps import AppConfig


class Accounts(AppConfig):
    name = "broker.accounts"
    label = "accounts"
    verbose_name = "Comptes"
