"""What was found when bytes, deliveries, permits and the log were laid side by side."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Role
from zones.models import Zone

LONGEST = 40  # signs of a fact shown whole
ZONE_ROLES = ("operate", "advise", "audit")  # those who read their zone's part of the log


class Reconciliation(models.Model):
    """One comparison, nightly or asked for: how much was compared. Its differences are rows."""

    ran_at = models.DateTimeField(default=clock.now)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    deliveries = models.BigIntegerField()
    permits = models.BigIntegerField()
    files = models.BigIntegerField()
    bytes_read = models.BigIntegerField()
    book_lines = models.BigIntegerField()
    found = models.BigIntegerField()
    seconds = models.FloatField()

    class Meta:
        ordering = ["-pk"]


class DifferenceQuerySet(models.QuerySet):
    def for_user(self, user):
        """Auditors see all; who operates, advises or audits a zone sees what concerns it."""
        if not user.is_authenticated:
            return self.none()
        if user.holds(Role.AUDITOR):
            return self
        return self.filter(zone__in={pk for role in ZONE_ROLES for pk in grants.held(user, f"zones.{role}")})


class Difference(models.Model):
    """One thing that two of the four do not say alike."""

    class Kind(models.TextChoices):
        NO_PERMIT = "no_permit", _("téléchargement sans autorisation inscrite au journal")
        NO_LEAF = "no_leaf", _("téléchargement absent du journal")
        NO_END = "no_end", _("fin de téléchargement absente du journal")
        UNFINISHED = "unfinished", _("téléchargement jamais terminé : octets inconnus")
        BYTES = "bytes", _("le journal et la fiche ne disent pas les mêmes octets")
        OTHER_RELEASE = "other_release", _("le journal et la fiche ne nomment pas la même remise")
        NO_ROW = "no_row", _("téléchargement inscrit au journal, sans sa fiche")
        NO_DECISION = "no_decision", _("autorisation inscrite au journal, sans sa décision")
        DECISION_NO_LEAF = "decision_no_leaf", _("décision d'autoriser absente du journal")
        UNUSED = "unused", _("autorisation de télécharger restée sans téléchargement")
        BOOK_NO_ROW = "book_no_row", _("fichier ouvert sans téléchargement enregistré")
        NOT_IN_BOOK = "not_in_book", _("téléchargement que le registre des fichiers ne connaît pas")
        BOOK_BYTES = "book_bytes", _("le registre des fichiers compte d'autres octets")
        BOOK_FILE = "book_file", _("un autre fichier que celui de la remise a été ouvert")
        BOOK_SHORTER = "book_shorter", _("des lignes manquent au registre des fichiers")
        FILE_MISSING = "file_missing", _("fichier de la remise absent")
        FILE_ALTERED = "file_altered", _("fichier de la remise modifié")
        FILE_UNKNOWN = "file_unknown", _("fichier qui n'appartient à aucune remise")
        FILE_KEPT = "file_kept", _("fichier d'une remise retirée ou expirée, encore là")

    reconciliation = models.ForeignKey(Reconciliation, models.CASCADE, related_name="differences")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    zone = models.ForeignKey(Zone, models.PROTECT, null=True, blank=True, related_name="+")
    object_ref = models.CharField(max_length=200)
    told = models.JSONField(default=dict)

    objects = DifferenceQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    @property
    def mend(self) -> str:
        """What to do about it, in plain words."""
        return str(MENDS[self.kind])

    @property
    def facts(self) -> str:
        """The two sides, in short: a digest by its first signs."""
        told = {name: f"{value[:12]}…" if len(str(value)) > LONGEST else value for name, value in self.told.items()}
        return ", ".join(f"{name} = {value}" for name, value in told.items())


_K = Difference.Kind
_ROWS = _("Une fiche ou une inscription manque : comparez avec la dernière sauvegarde et avec un dossier du journal "
          "gardé dehors, puis prévenez l'agence.")  # fmt: skip
_FILES = _("Des octets ont pu sortir sans autorisation : coupez les téléchargements de la zone, relevez qui a accès à "
           "la machine qui garde les remises, puis prévenez l'opérateur de la zone.")  # fmt: skip
_REBUILD = _("Ne remettez plus ce fichier : refaites la remise depuis sa recette, et cherchez qui écrit dans le "
             "dossier des remises.")  # fmt: skip
_CRASH = _("Le plus souvent un serveur de téléchargement arrêté net. Vérifiez l'heure de son dernier arrêt ; sans "
           "arrêt, traitez-le comme un accès anormal.")  # fmt: skip
_SWEEP = _("Le ménage des remises ne passe plus : voyez si le poste qui prépare les remises tourne.")
MENDS: dict[str, Any] = {
    **dict.fromkeys((_K.NO_PERMIT, _K.NO_LEAF, _K.NO_END, _K.BYTES, _K.OTHER_RELEASE, _K.NO_ROW, _K.NO_DECISION,
                     _K.DECISION_NO_LEAF), _ROWS),
    **dict.fromkeys((_K.BOOK_NO_ROW, _K.NOT_IN_BOOK, _K.BOOK_BYTES, _K.BOOK_FILE, _K.BOOK_SHORTER), _FILES),
    **dict.fromkeys((_K.FILE_MISSING, _K.FILE_ALTERED, _K.FILE_UNKNOWN), _REBUILD),
    **dict.fromkeys((_K.UNFINISHED, _K.UNUSED), _CRASH),
    _K.FILE_KEPT: _SWEEP,
}  # fmt: skip
