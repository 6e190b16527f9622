"""Data keys, wrapped. Each is wrapped by its own key-encryption key, kept outside the database and its backups."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from broker import clock


class DataKey(models.Model):
    """One wrapped secret. `ref` names what it serves ("zone:3", "convention:12"): one key, one use, one owner."""

    class Purpose(models.TextChoices):
        SOURCE = "source", _("scellement des sources d'une zone")
        TOKEN = "token", _("jetons de sujets d'une zone")
        PSEUDONYM = "pseudonym", _("pseudonymes d'une convention")
        SIGNING = "signing", _("signature des manifestes d'une zone")

    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    ref = models.CharField(max_length=60)
    wrapping_key_id = models.CharField(max_length=64, unique=True)
    wrapped = models.BinaryField()
    public = models.CharField("clé publique", max_length=80, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    destroyed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["purpose", "ref"], name="key_serves_one_thing"),
            models.UniqueConstraint(fields=["id", "ref"], name="key_id_with_ref"),
            models.CheckConstraint(
                condition=~Q(purpose="pseudonym") | Q(ref__startswith="convention:"),
                name="key_pseudonym_is_of_a_convention",
            ),
        ]
