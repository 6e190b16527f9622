"""Public proofs of the log."""

urlpatterns: list = []
