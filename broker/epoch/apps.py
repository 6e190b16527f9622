from django.apps import AppConfig


class Epoch(AppConfig):
    name = "broker.epoch"
    label = "epoch"
    verbose_name = "Coupe-circuits"
