"""Public proofs of the log. The paths under /log/ are those of c2sp.org/tlog-tiles, without the entries."""

from django.urls import path

from broker.audit import receipt_views, views

urlpatterns = [
    path("log/", views.home, name="log-home"),
    path("log/checkpoint", views.checkpoint, name="log-checkpoint"),
    path("log/cle", views.key, name="log-key"),
    path("log/tile/<int:level>/<path:name>", views.tile, name="log-tile"),
    path("log/preuve/<int:index>", views.proof, name="log-proof"),
    path("log/recepisses/cles", receipt_views.keys, name="log-receipt-keys"),
    path("log/recepisses/<str:encoded>", receipt_views.place, name="log-receipt"),
    path("log/releves/", views.checkpoints, name="log-checkpoints"),
    path("log/releves/<int:size>", views.checkpoint_of, name="log-checkpoint-of"),
    path("log/releves/<int:size>/note", views.note_of, name="log-note"),
    path("log/releves/<int:size>/tsr", views.token, name="log-token"),
    path("log/releves/<int:size>/cosignatures", views.hand_back, name="log-cosignature"),
    path("log/coherence/", views.consistency, name="log-consistency"),
    path("log/coherence/<int:old>/<int:new>", views.consistency_proof, name="log-consistency-proof"),
    path("log/witness.py", views.witness_script, name="log-witness-script"),
]
