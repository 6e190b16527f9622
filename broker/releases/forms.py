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

    def __init__(self, *args, convention, **kwargs):
        super().__init__(*args, **kwargs)
        self.offered = []
        for item in convention.offer.columns.select_related("column__dataset"):
            treatment = item.treatment or treatments.default_treatment(item.column, approved=item.approves_sensitive)
            if treatment["kind"] != "drop":
                self.offered.append((item, treatments.words(treatment)))
        field = self.fields["columns"]
        # Any column of the dataset may be asked for: the gate says which are not justified, and records it.
        others = convention.offer.dataset.columns.exclude(name__in=[item.column.name for item, _words in self.offered])
        field.initial = [item.column.name for item, _words in self.offered]
        field.choices = [(name, name) for name in (*field.initial, *others.values_list("name", flat=True))]

    def rows(self):
        """For the table: the offer's column, its box, its treatment in words."""
        boxes = {str(box.data["value"]): box for box in self["columns"].subwidgets}
        return [(item, boxes[item.column.name], words) for item, words in self.offered]
