"""What a visitor gives to compare two checkpoints of the log."""

from django import forms
from django.utils.translation import gettext_lazy as _

LONGEST_NOTE = 32_000  # signs; a note with sixteen signatures of the largest kind holds more, none is published


class SizesForm(forms.Form):
    """Two published checkpoints, by their number of entries."""

    de = forms.IntegerField(label=_("Inscriptions du premier relevé"), min_value=1, max_value=2**53)
    a = forms.IntegerField(label=_("Inscriptions du second"), min_value=1, max_value=2**53)

    def clean(self):
        asked = super().clean() or {}
        if asked.get("de", 0) > asked.get("a", 2**53):
            self.add_error("a", _("Le second relevé est le plus long des deux : inversez-les."))
        return asked


class CheckpointForm(forms.Form):
    """A checkpoint that the visitor kept."""

    releve = forms.CharField(
        label=_("Votre relevé, en entier"),
        help_text=_(
            "Tel que vous l\u2019avez reçu : le nom du journal, un nombre, une empreinte, puis les signatures."
        ),
        max_length=LONGEST_NOTE,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 7, "spellcheck": "false", "autocomplete": "off"}),
    )
