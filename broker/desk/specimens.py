"""One of each piece of the interface, for the page that shows them all and for its tests."""

from datetime import datetime

from django import forms
from django.core.paginator import Paginator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from broker import clock
from broker.errors import Reason


class SpecimenForm(forms.Form):
    solution = forms.CharField(
        label=gettext_lazy("Solution à éprouver"), help_text=gettext_lazy("En une phrase, pour la notice publique.")
    )
    mode = forms.ChoiceField(
        label=gettext_lazy("Mode"),
        choices=[("observe", gettext_lazy("observation")), ("shadow", gettext_lazy("à blanc, sans effet"))],
        widget=forms.RadioSelect,
    )
    domain = forms.ChoiceField(
        label=gettext_lazy("Domaine"), choices=[("", "—"), ("clinical", gettext_lazy("données cliniques"))]
    )
    first_day = forms.DateField(
        label=gettext_lazy("Premier jour"), widget=forms.DateInput(attrs={"type": "date"}), required=False
    )
    file = forms.FileField(label=gettext_lazy("Fichier"), required=False)
    agreed = forms.BooleanField(label=gettext_lazy("Je m’engage à supprimer les données au terme de la convention"))
    note = forms.CharField(label=gettext_lazy("Remarque"), widget=forms.Textarea, required=False)


def everything(at: datetime | None = None, number: int = 2) -> dict:
    at = at or clock.now()
    return {
        "form": SpecimenForm({"solution": "", "mode": "autre", "first_day": "32/13/2026"}),
        "states": [
            ("ok", _("active")), ("wait", _("en signature")), ("no", _("suspendue")), ("quiet", _("brouillon")),
        ],
        "reasons": [
            Reason(
                "G20", _("La colonne « race » n’est pas au profil de cette offre. Retirez-la de votre demande."),
                "RGPD, art. 5(1)(c)", "#raisons",
            ),
            Reason("G33", _("Votre second facteur date de plus de 12 heures. Confirmez-le et recommencez.")),
        ],
        "facts": [
            (_("Opérateur"), "Centre hospitalier des Deux-Rives"), (_("Lignes"), "101 766"),
            ("SHA-256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ],
        "steps": [
            {"label": _("Inscrire votre organisation"), "done": True},
            {
                "label": _("Demander l’entrée au registre"), "text": _("Deux agents décident."), "url": "#",
                "current": True,
            },
            {"label": _("Signer la convention")},
        ],
        "events": [
            {"at": at, "label": _("Demande déposée"), "who": "Julie Caron", "tone": "ok"},
            {"at": at, "label": _("Convention suspendue"), "who": "Claire Morel", "tone": "no"},
            {"label": _("Signature de l’opérateur attendue"), "tone": "wait"},
        ],
        "page": Paginator(range(60), 25).page(number),
    }  # fmt: skip
