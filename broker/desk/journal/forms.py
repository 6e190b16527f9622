"""What can be asked of the log, and what is taken away."""

from functools import cache

from django import forms
from django.core.validators import RegexValidator
from django.forms.utils import flatatt
from django.utils.html import format_html
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from broker.audit.vocabulary import ACTS
from broker.desk.journal import permissions, phrases
from broker.desk.journal.questions import BY_KEY, QUESTIONS
from consent.forms import LongSelect
from zones.models import Dataset, Zone

FIRST_YEAR, LAST_YEAR = 2000, 9999  # between them, the months that a page can name
MOST_CHOICES = 50  # a longer list is asked by its identifier: nobody reads two hundred lines to choose one
OUTS = [
    ("", gettext_lazy("Tout")), ("allow", gettext_lazy("Fait")), ("deny", gettext_lazy("Refusé")),
    ("error", gettext_lazy("En échec")),
]  # fmt: skip
PURPOSES = [
    ("", gettext_lazy("Toutes")), ("experimentation", gettext_lazy("Expérimentation")),
    ("commercial", gettext_lazy("Usage commercial")),
]  # fmt: skip


ONE_QUESTION_S = frozenset({"subject", "rows", "entry", "decision"})  # fields that one question alone reads


@cache
def _acts(language: str | None) -> list[tuple[str, str]]:
    """The acts in the words of the language in force, in the order of these words."""
    acts = sorted(((act, phrases.phrase(act)) for act in ACTS), key=lambda choice: choice[1])
    return [("", _("Tous")), *acts]


class _Written:
    """An input written in one go, for the page that auditors open most: Django renders a template for each."""

    def render(self, name, value, attrs=None, renderer=None):
        shown = self.format_value(value)
        described = {"type": self.input_type, "name": name, **({} if shown is None else {"value": shown})}
        return format_html("<input{}>", flatatt({**described, **self.build_attrs(self.attrs, attrs)}))


class TextInput(_Written, forms.TextInput):
    pass


class NumberInput(_Written, forms.NumberInput):
    pass


class DateInput(_Written, forms.DateInput):
    input_type = "date"


class Day(forms.DateField):
    widget = DateInput(format="%Y-%m-%d")


class ChoosingForm(forms.Form):
    """A form that lets one choose among rows, or write an identifier where they are too many."""

    def _choices(self, name: str, rows) -> None:
        """The (slug, words) of `rows` to choose from, or a field to write in: one query either way."""
        field = self.fields[name]
        found = list(rows[: MOST_CHOICES + 1])
        field.queryset = rows.model.objects.filter(pk__in=rows.order_by().values("pk"))
        if len(found) <= MOST_CHOICES:
            field.widget.choices = [("", field.empty_label), *found]
            return
        field.widget = TextInput(attrs={"autocapitalize": "off", "spellcheck": "false"})
        field.help_text = _("L'identifiant qui termine l'adresse de sa page, par exemple « sejours-2026 ».")


class QuestionForm(ChoosingForm):
    question = forms.ChoiceField(
        label=gettext_lazy("Question"), choices=[(q.key, q.title) for q in QUESTIONS], required=False,
        widget=LongSelect,
    )  # fmt: skip
    dataset = forms.ModelChoiceField(
        Dataset.objects.none(), label=gettext_lazy("Jeu de données"), required=False, to_field_name="slug",
        empty_label=gettext_lazy("Tous"), widget=LongSelect,
    )  # fmt: skip
    zone = forms.ModelChoiceField(
        Zone.objects.none(), label=gettext_lazy("Zone"), required=False, to_field_name="slug",
        empty_label=gettext_lazy("Toutes"), widget=LongSelect,
    )  # fmt: skip
    person = forms.CharField(
        label=gettext_lazy("Adresse de la personne, ou jeton de l'acteur"),
        required=False,
        max_length=254,
        widget=TextInput,
    )
    organisation = forms.CharField(
        label=gettext_lazy("SIREN de l'organisation"), required=False, max_length=20, widget=TextInput
    )
    convention = forms.CharField(
        label=gettext_lazy("Référence de la convention"), required=False, max_length=30, widget=TextInput
    )
    object = forms.CharField(
        label=gettext_lazy("Objet"), required=False, max_length=120, widget=TextInput,
        help_text=gettext_lazy("Comme une inscription l'écrit, par exemple « offer:3 », ou son seul identifiant."),
    )  # fmt: skip
    purpose = forms.ChoiceField(label=gettext_lazy("Finalité"), choices=PURPOSES, required=False, widget=LongSelect)
    act = forms.ChoiceField(label=gettext_lazy("Acte"), required=False, widget=LongSelect)
    out = forms.ChoiceField(label=gettext_lazy("Issue"), choices=OUTS, required=False, widget=LongSelect)
    decision = forms.UUIDField(label=gettext_lazy("Numéro de la décision"), required=False)
    subject = forms.CharField(
        label=gettext_lazy("Récépissé, recherche de traces ou jeton"), required=False, max_length=36, widget=TextInput
    )
    rows = forms.IntegerField(label=gettext_lazy("Plus de lignes que"), required=False, min_value=0, widget=NumberInput)
    entry = forms.CharField(
        label=gettext_lazy("Place ou numéro de l'inscription"), required=False, max_length=26, widget=TextInput,
        validators=[
            RegexValidator(r"^(\d{1,15}|[0-9A-Za-z]{26})$", gettext_lazy("Une place (12) ou un numéro de 26 signes."))
        ],
    )  # fmt: skip
    since = Day(label=gettext_lazy("Du"), required=False)
    until = Day(label=gettext_lazy("Au (inclus)"), required=False)

    def __init__(self, *args, reader, **kwargs):
        super().__init__(*args, **kwargs)
        self._choices("zone", permissions.zones_to_ask(reader).order_by("name").values_list("slug", "name"))
        self._choices("dataset", permissions.datasets_to_ask(reader).order_by("title").values_list("slug", "title"))
        self.fields["act"].choices = _acts(get_language())

        chosen = (self.data if self.is_bound else self.initial).get("question") or ""
        needed = BY_KEY[chosen].needs if chosen in BY_KEY else ()
        for name in ONE_QUESTION_S - {*needed}:  # means nothing elsewhere
            del self.fields[name]
        for name in needed:
            self.fields[name].required = True
            self.fields[name].error_messages["required"] = _("Cette question demande ce champ.")
        self.order_fields(["question", *needed])

    def clean(self):
        asked = super().clean()
        if asked.get("since") and asked.get("until") and asked["until"] < asked["since"]:
            self.add_error("until", _("La fin précède le début."))
        return asked

    def told(self) -> dict[str, str]:
        """What was asked, as the log keeps it."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value not in (None, "")}


class NameForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Nom de la recherche"), max_length=80)


class SaveForm(QuestionForm):
    """A question, and the name under which its reader keeps it."""

    name = forms.CharField(label=gettext_lazy("Nom de la recherche"), max_length=80)

    def asked(self) -> dict[str, str]:
        """The fields of the question as they were sent, those that say something."""
        names = [name for name in self.fields if name != "name"]
        return {name: value for name in names if (value := str(self.data.get(name) or "")[:254])}


class EraseForm(forms.Form):
    """What of an entry is erased before its term, and why."""

    do = forms.CharField(widget=forms.HiddenInput, initial="erase")
    what = forms.ChoiceField(
        label=gettext_lazy("Quoi"), widget=forms.RadioSelect,
        choices=[("detail", gettext_lazy("Son détail")), ("sub", gettext_lazy("De qui il s'agit, chaque année"))],
    )  # fmt: skip
    reason = forms.CharField(
        label=gettext_lazy("Motif"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Il figure au journal : n'y nommez personne."),
    )  # fmt: skip


class FreezeForm(forms.Form):
    do = forms.CharField(widget=forms.HiddenInput, initial="freeze")
    until = Day(label=gettext_lazy("Jusqu'au (inclus)"))
    reason = forms.CharField(label=gettext_lazy("Motif"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


class LiftForm(forms.Form):
    do = forms.CharField(widget=forms.HiddenInput, initial="lift")
    reason = forms.CharField(label=gettext_lazy("Motif"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


class MonthInput(_Written, forms.DateInput):
    input_type = "month"


class MonthForm(ChoosingForm):
    """A month of the log, of all that one reads or of one zone."""

    month = forms.DateField(
        label=gettext_lazy("Mois"), input_formats=["%Y-%m"], widget=MonthInput(format="%Y-%m"),
        error_messages={"invalid": gettext_lazy("Écrivez l'année puis le mois : 2026-11.")},
    )  # fmt: skip
    zone = forms.ModelChoiceField(
        Zone.objects.none(), label=gettext_lazy("Zone"), required=False, to_field_name="slug",
        empty_label=gettext_lazy("Toutes"), widget=LongSelect,
    )  # fmt: skip

    def __init__(self, *args, reader, **kwargs):
        super().__init__(*args, **kwargs)
        self._choices("zone", permissions.zones_to_ask(reader).order_by("name").values_list("slug", "name"))

    def clean_month(self):
        month = self.cleaned_data["month"]
        if not FIRST_YEAR <= month.year < LAST_YEAR:
            raise forms.ValidationError(_("Le journal ne connaît pas cette année."))
        return month

    def told(self) -> dict[str, str]:
        """What was asked, as the log keeps it."""
        zone = self.cleaned_data["zone"]
        asked = {"question": "mois", "month": f"{self.cleaned_data['month']:%Y-%m}"}
        return {**asked, "zone": zone.slug} if zone else asked


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
