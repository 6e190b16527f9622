"""What people fill in about themselves, their organisation and its machines."""

from allauth.account import forms as account_forms
from allauth.core import context
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.totp import forms as totp_forms
from django import forms
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from broker.accounts import second_factor
from broker.audit.actions import record
from broker.audit.actor import ANONYMOUS

ALREADY_SPENT = _("Ce code a déjà servi : attendez le suivant (trente secondes au plus).")
CODE_ATTRS = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}


class SignupForm(account_forms.SignupForm):
    """allauth's, with the person's name as it will stand in conventions."""

    full_name = forms.CharField(
        label=_("Prénom et nom"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    field_order = ["full_name", "email", "password1", "password2"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("Adresse électronique")
        self.fields["password1"].label = _("Mot de passe")
        self.fields["password1"].help_text = _("Douze signes au moins ; une phrase fait très bien l'affaire.")
        self.fields["password2"].label = _("Mot de passe, une seconde fois")


class _SpentOnce:
    """A code is refused for as long as it would still be accepted, not for thirty seconds only; a refusal is told."""

    def clean_code(self):
        code = super().clean_code()
        if not second_factor.spend(self.user, code):
            self._tell_refusal("spent")
            raise forms.ValidationError(ALREADY_SPENT)
        return code

    def _emit_authentication_failed(self, authenticator):
        self._tell_refusal("code")

    def _tell_refusal(self, why):
        with transaction.atomic():
            record("user.second_factor", by=ANONYMOUS, obj=self.user, out="deny", reason=(why,))


class AuthenticateForm(_SpentOnce, mfa_forms.AuthenticateForm):
    code = forms.CharField(
        label=_("Code à six chiffres"),
        help_text=_("Celui que montre votre application d'authentification, ou un code de secours."),
        widget=forms.TextInput(attrs=CODE_ATTRS),
    )


class ReauthenticateForm(_SpentOnce, mfa_forms.ReauthenticateForm):
    code = AuthenticateForm.base_fields["code"]

    def save(self):
        super().save()
        second_factor.remember(context.request)


class ActivateTOTPForm(totp_forms.ActivateTOTPForm):
    code = forms.CharField(
        label=_("Code à six chiffres"),
        help_text=_("Celui que l'application montre maintenant."),
        widget=forms.TextInput(attrs=CODE_ATTRS),
    )

    def clean_code(self):
        code = super().clean_code()
        if not second_factor.spend(self.user, code):
            raise forms.ValidationError(ALREADY_SPENT)
        return code


class SecondFactorForm(forms.Form):
    """A fresh code, in a session that is open already."""

    code = forms.CharField(
        label=_("Code à six chiffres"),
        help_text=_("Celui que montre maintenant votre application d'authentification."),
        widget=forms.TextInput(attrs=CODE_ATTRS),
    )
