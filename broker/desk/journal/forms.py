"""What can be asked of the log, and what is taken away."""

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from broker.audit.vocabulary import ACTS
from broker.desk.journal import permissions, phrases
from broker.desk.journal.questions import BY_KEY, QUESTIONS
from consent.forms import LongSelect
from zones.models import Dataset, Zone

MOST_CHOICES = 50  # a longer list is asked by its identifier: nobody reads two hundred lines to choose one
OUTS = [("", gettext_lazy("Tout")), ("allow", gettext_lazy("Fait")), ("deny", gettext_lazy("Refusé ou en échec"))]


class Day(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class QuestionForm(forms.Form):
    question = forms.ChoiceField(
        label=gettext_lazy("Question"), choices=[(q.key, q.title) for q in QUESTIONS], required=False
    )
    dataset = forms.ModelChoiceField(
        Dataset.objects.none(), label=gettext_lazy("Jeu de données"), required=False, to_field_name="slug",
        empty_label=gettext_lazy("Tous"), widget=LongSelect,
    )  # fmt: skip
    zone = forms.ModelChoiceField(
        Zone.objects.none(), label=gettext_lazy("Zone"), required=False, to_field_name="slug",
        empty_label=gettext_lazy("Toutes"), widget=LongSelect,
    )  # fmt: skip
    person = forms.EmailField(label=gettext_lazy("Adresse de la personne"), required=False)
    organisation = forms.CharField(label=gettext_lazy("SIREN de l'organisation"), required=False, max_length=20)
    convention = forms.CharField(label=gettext_lazy("Référence de la convention"), required=False, max_length=30)
    act = forms.ChoiceField(label=gettext_lazy("Acte"), required=False, widget=LongSelect)
    out = forms.ChoiceField(label=gettext_lazy("Issue"), choices=OUTS, required=False)
    decision = forms.UUIDField(label=gettext_lazy("Numéro de la décision"), required=False)
    since = Day(label=gettext_lazy("Du"), required=False)
    until = Day(label=gettext_lazy("Au (inclus)"), required=False)

    def __init__(self, *args, reader, **kwargs):
        super().__init__(*args, **kwargs)
        zones = Zone.objects.all()
        if not permissions.reads_everything(reader):
            zones = zones.filter(pk__in=[zone.pk for zone in permissions.zones_of(reader)])
        self._choices("zone", zones.order_by("name"))
        self._choices("dataset", Dataset.objects.filter(zone__in=zones).order_by("title"))
        acts = sorted(((act, phrases.phrase(act)) for act in ACTS), key=lambda choice: choice[1])
        self.fields["act"].choices = [("", _("Tous")), *acts]

        chosen = (self.data if self.is_bound else self.initial).get("question") or ""
        needed = BY_KEY[chosen].needs if chosen in BY_KEY else ()
        for name in needed:
            self.fields[name].required = True
            self.fields[name].error_messages["required"] = _("Cette question demande ce champ.")
        self.order_fields(["question", *needed])

    def _choices(self, name: str, rows) -> None:
        field = self.fields[name]
        field.queryset = rows
        if rows[: MOST_CHOICES + 1].count() > MOST_CHOICES:
            field.widget = forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false"})
            field.help_text = _("L'identifiant qui termine l'adresse de sa page, par exemple « sejours-2026 ».")

    def clean(self):
        asked = super().clean()
        if asked.get("since") and asked.get("until") and asked["until"] < asked["since"]:
            self.add_error("until", _("La fin précède le début."))
        return asked

    def told(self) -> dict[str, str]:
        """What was asked, as the log keeps it."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


class TakenForm(forms.Form):
    """What is taken away besides the answer to the question: all that the page shows of the form of a bundle."""

    whole = forms.BooleanField(
        label=gettext_lazy("Tout le journal, de la première inscription à la dernière"), required=False
    )
    details = forms.BooleanField(label=gettext_lazy("Avec les détails effaçables"), required=False)
    depuis = forms.IntegerField(
        label=gettext_lazy("Longueur du relevé que vous aviez gardé"), required=False, min_value=1,
        help_text=gettext_lazy("Deuxième ligne de votre relevé : le dossier prouvera que le journal le prolonge."),
    )  # fmt: skip


class BundleForm(QuestionForm, TakenForm):
    """The question and what is taken away, as they come back together."""
