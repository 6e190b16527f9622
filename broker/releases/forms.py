"""What a named person chooses: the columns of a release."""

from django import forms
from django.utils.translation import gettext_lazy as _

from consent import treatments


class ReleaseForm(forms.Form):
    """The columns of the offer, all ticked: each with what happens to it and why it was approved."""

    columns = forms.MultipleChoiceField(
        label=_("Colonnes à remettre"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": _("Cochez au moins une colonne."),
            "invalid_choice": _("« %(value)s » n'est pas une colonne de ce jeu : rechargez la page."),
        },
    )

    part = forms.IntegerField(
        label=_("Part des personnes, en %"),
        min_value=1,
        max_value=99,
        required=False,
        help_text=_(
            "Vide : toutes. Sinon les mêmes personnes à chaque demande de cette convention, toutes leurs lignes."
        ),
    )

    @property
    def per_mille(self) -> int | None:
        """The share of a sample, once valid; None for everybody."""
        part = self.cleaned_data.get("part")
        return part * 10 if part else None

    def __init__(self, *args, convention, ticked=(), **kwargs):
        super().__init__(*args, **kwargs)
        if not convention.offer.dataset.is_personal:
            del self.fields["part"]
        self.offered = []
        for item in convention.offer.columns.select_related("column__dataset"):
            treatment = item.treatment or treatments.default_treatment(item.column, approved=item.approves_sensitive)
            if treatment["kind"] != "drop":
                self.offered.append((item, treatments.words(treatment)))
        field = self.fields["columns"]
        # Any column of the dataset may be asked for: the gate says which are not justified, and records it.
        names = [item.column.path for item, _words in self.offered]
        others = convention.offer.dataset.columns.exclude(path__in=names)
        field.initial = [name for name in names if name in ticked] or names
        field.choices = [(name, name) for name in (*names, *others.values_list("path", flat=True))]

    def rows(self):
        """For the table: the offer's column, its box, its treatment in words."""
        boxes = {str(box.data["value"]): box for box in self["columns"].subwidgets}
        return [(item, boxes[item.column.path], words) for item, words in self.offered]


class AttestationForm(forms.Form):
    """What the representative attests, in their own words."""

    text = forms.CharField(
        label=_("Ce qui a été retiré, où et par qui"),
        min_length=20,
        max_length=2000,
        help_text=_("Copies de travail, sauvegardes, sous-traitants : une phrase chacun suffit."),
        widget=forms.Textarea({"rows": 4}),
    )
    done = forms.BooleanField(
        label=_("J'atteste que ces pseudonymes ne sont plus dans aucune de nos copies"),
        error_messages={"required": _("Cochez quand c'est fait : l'attestation engage votre organisme.")},
    )


class TraceForm(forms.Form):
    """One local identifier; a page that failed never shows it again."""

    local_id = forms.CharField(
        label=_("Numéro de la personne dans votre établissement"),
        max_length=120,
        help_text=_("Il est scellé aussitôt ; ni la base ni le journal ne le gardent."),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    identity_checked = forms.BooleanField(
        label=_("La personne le demande, et j'ai vérifié son identité"),
        error_messages={"required": _("Vérifiez d'abord l'identité : la réponse ne se donne qu'à la personne.")},
    )

    def clean(self):
        said = super().clean() or {}
        if self.errors:
            self.data = {**dict(self.data.items()), "local_id": ""}
        return said


class LeakForm(forms.Form):
    """Lines found outside, pasted or in a small file of text."""

    LARGEST = 1024 * 1024  # bytes

    lines = forms.CharField(
        label=_("Lignes trouvées"),
        required=False,
        max_length=200_000,
        help_text=_("Cent lignes au plus, avec leur pseudonyme de 32 signes ; ou l'empreinte d'un manifeste."),
        widget=forms.Textarea({"rows": 8, "autocomplete": "off", "spellcheck": "false"}),
    )
    file = forms.FileField(label=_("ou un fichier de texte"), required=False)

    def clean(self):
        said = super().clean() or {}
        given = said.get("file")
        if given is not None and given.size > self.LARGEST:
            self.add_error("file", _("Un mébioctet au plus : gardez les cent premières lignes."))
        elif not given and not (said.get("lines") or "").strip():
            self.add_error("lines", _("Collez au moins une ligne, ou choisissez un fichier."))
        return said

    def text(self) -> str:
        given = self.cleaned_data.get("file")
        read = given.read().decode("utf-8", errors="replace") if given else ""
        return f"{self.cleaned_data.get('lines', '')}\n{read}"
