"""Forms of consents: one person at the desk, and taking it back. The verbs decide."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from broker import clock
from consent.forms import day_field, text
from consent.models import Consent, Recipients
from consent.words import PURPOSES

IDENTITY_CHECKED = {
    "required": _("Vérifiez d'abord l'identité : sans cela, rien n'est enregistré."),
}


class _AboutOnePerson(forms.Form):
    """One person of one dataset, at the desk. A page that failed never shows the identifier again."""

    local_id = forms.CharField(
        label=_("Numéro de la personne dans les données"),
        max_length=120,
        help_text=_(
            "Celui de la source, par exemple le numéro de compteur. Il est scellé aussitôt et gardé nulle part."
        ),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean(self):
        said = super().clean() or {}
        if self.errors:
            self.forget_number()
        said.pop("identity_checked", None)
        return said

    def forget_number(self) -> None:
        """What is shown again is everything but the identifier."""
        self.data = MultiValueDict({name: self.data.getlist(name) for name in self.data} | {"local_id": [""]})

    def refuse(self, problem: str) -> None:
        """The verb said no: its words at the top, and the identifier nowhere."""
        self.add_error(None, problem)
        self.forget_number()


class ConsentForm(_AboutOnePerson):
    """What a person agreed to, and its proof."""

    given_on = day_field(_("Donné le"))
    channel = forms.ChoiceField(
        label=_("Recueilli"), choices=[one for one in Consent.Channel.choices if one[0] != Consent.Channel.IMPORT]
    )
    proof = text(
        _("Référence de la preuve"), max_length=200,
        help_text=_("Où se trouve l'écrit : registre et numéro de bulletin, par exemple. Jamais le nom ni le numéro."),
    )  # fmt: skip
    purposes = forms.MultipleChoiceField(
        label=_("Usages acceptés"), choices=(), widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Cochez au moins un usage : on ne consent pas à tout.")},
    )  # fmt: skip
    recipients = forms.ChoiceField(
        label=_("Au profit de"), choices=Recipients.choices, initial=Recipients.ANY, widget=forms.RadioSelect
    )
    identity_checked = forms.BooleanField(
        label=_("J'ai vérifié l'identité de la personne, ou de qui la représente"), error_messages=IDENTITY_CHECKED
    )

    def __init__(self, *args, purposes, **facts):
        super().__init__(*args, **facts)
        chosen = self.fields["purposes"]
        assert isinstance(chosen, forms.MultipleChoiceField)  # noqa: S101 - says the type to the type checker
        chosen.choices = [(code, PURPOSES[code]) for code in purposes]

    def clean_given_on(self):
        day = self.cleaned_data["given_on"]
        if day > clock.today():
            raise ValidationError(_("Cette date est à venir : écrivez le jour où la personne a dit oui."))
        return day


class ConsentWithdrawalForm(_AboutOnePerson):
    """A person takes their consent back: no reason is asked."""

    scope = forms.ChoiceField(
        label=_("Ce que la personne retire"), initial="dataset", widget=forms.RadioSelect,
        choices=[("dataset", _("son consentement pour ce jeu")), ("zone", _("tous ses consentements dans la zone"))],
    )  # fmt: skip
    identity_checked = forms.BooleanField(
        label=_("J'ai vérifié l'identité de la personne, ou de qui la représente"), error_messages=IDENTITY_CHECKED
    )
