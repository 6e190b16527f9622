"""Public proofs of the log. The paths under /log/ are those of c2sp.org/tlog-tiles, without the entries."""

from django.urls import path

from broker.audit import views

urlpatterns = [
    path("log/", views.home, name="log-home"),
    path("log/checkpoint", views.checkpoint, name="log-checkpoint"),
    path("log/cle", views.key, name="log-key"),
    path("log/tile/<int:level>/<path:name>", views.tile, name="log-tile"),
    path("log/preuve/<int:index>", views.proof, name="log-proof"),
]
