"""What a person learnt and what they undertook: both are needed before personal data open (rule G03)."""

from django.conf import settings
from django.db import models

from broker import clock

from .convention import Convention


class Training(models.Model):
    """One person passed the questions of one family of domains, on a Paris day. Never changed; taken again later."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="trainings")
    family = models.CharField("famille de domaines", max_length=20)
    lessons_version = models.CharField(max_length=20)
    lessons_sha256 = models.CharField(max_length=64)
    completed_on = models.DateField("suivie le", default=clock.today)
    completed_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        ordering = ["-completed_on", "-pk"]
        indexes = [models.Index(fields=["user", "family", "-completed_on"], name="training_latest")]


class Undertaking(models.Model):
    """One person's confidentiality undertaking under one convention: the exact text, its SHA-256, the second factor.

    PostgreSQL checks the SHA-256 of the text and refuses any change."""

    convention = models.ForeignKey(Convention, models.PROTECT, related_name="undertakings")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="undertakings")
    text = models.TextField("texte")
    text_sha256 = models.CharField(max_length=64)
    typed = models.CharField("formule recopiée", max_length=200)
    evidence = models.JSONField(default=dict)
    signed_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["convention", "user"], name="undertaking_once")]
