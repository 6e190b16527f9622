"""What people fill in about themselves, their organisation and its machines."""

from allauth.account import forms as account_forms
from allauth.core import context
from allauth.mfa.base import forms as mfa_forms
from allauth.mfa.totp import forms as totp_forms
from django import forms
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from broker.accounts import actions, second_factor
from broker.accounts.models import SecureEnvironment
from broker.audit.actions import record
from broker.audit.actor import ANONYMOUS
from broker.errors import BadInput

ALREADY_SPENT = _("Ce code a déjà servi : attendez le suivant (trente secondes au plus).")
ATTESTATION = _(
    "J'atteste que cet environnement est tel que décrit : accès nominatifs, disques chiffrés, correctifs tenus à jour, "
    "aucune sortie de données hors de lui."
)
CODE_ATTRS = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}


class LoginForm(account_forms.LoginForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("Adresse électronique")
        self.fields["password"].label = _("Mot de passe")
        self.fields["password"].help_text = ""  # the page has its own link
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)


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
        for field in self.fields.values():  # a label says it; a placeholder that repeats it is noise
            field.widget.attrs.pop("placeholder", None)


class _SpentOnce(mfa_forms.BaseAuthenticateForm):
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
    """A fresh code, in a session that is open already; `evidence` once it is right."""

    code = forms.CharField(
        label=_("Code à six chiffres"),
        help_text=_("Celui que montre maintenant votre application d'authentification."),
        widget=forms.TextInput(attrs=CODE_ATTRS),
    )

    def __init__(self, *args, user, **kwargs):
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_code(self):
        self.evidence = _said_beside(second_factor.confirm, self.user, self.cleaned_data["code"])
        return self.cleaned_data["code"]


class OrganisationForm(forms.Form):
    name = forms.CharField(label=_("Raison sociale"), max_length=200)
    siren = forms.CharField(
        label=_("SIREN"), max_length=20, help_text=_("Neuf chiffres, les espaces ne gênent pas."),
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )  # fmt: skip
    legal_form = forms.CharField(
        label=_("Forme juridique"), max_length=80, help_text=_("Par exemple : société par actions simplifiée.")
    )
    mandate = forms.CharField(
        label=_("Votre mandat"), max_length=300,
        help_text=_("D'où vous tenez le pouvoir de signer : « statuts, article 12 », « décision du 3 mars 2026 »."),
    )  # fmt: skip
    dpo_email = forms.EmailField(
        label=_("Contact pour les données personnelles"), required=False,
        help_text=_("Il figurera dans les notices publiques ; demandé pour toute donnée personnelle."),
    )  # fmt: skip

    def clean_siren(self):
        return _said_beside(actions.checked_siren, self.cleaned_data["siren"])


class MemberForm(forms.Form):
    email = forms.EmailField(
        label=_("Adresse de son compte"),
        help_text=_("Cette personne crée son compte elle-même, puis accepte l'invitation sur sa page."),
    )


class EnvironmentForm(forms.Form):
    name = forms.CharField(label=_("Nom"), max_length=120)
    klass = forms.ChoiceField(
        label=_("Classe"), choices=SecureEnvironment.Klass.choices, initial=SecureEnvironment.Klass.SECURE
    )
    host = forms.CharField(label=_("Hébergeur"), max_length=200)
    country = forms.CharField(
        label=_("Pays"),
        min_length=2,
        max_length=2,
        initial="FR",
        help_text=_("Deux lettres (ISO 3166), où sont les machines."),
    )
    access_countries = forms.CharField(
        label=_("Pays d'où l'on s'y connecte"), initial="FR", required=False, max_length=120,
        help_text=_("Deux lettres par pays, séparées par des virgules : FR, DE."),
    )  # fmt: skip
    host_contract = forms.CharField(
        label=_("Contrat avec l'hébergeur"), required=False, max_length=200,
        help_text=_(
            "Référence du contrat de sous-traitance (RGPD art. 28), ou « nous hébergeons nous-mêmes » ; demandé pour "
            "les données personnelles."
        ),
    )  # fmt: skip
    networks = forms.CharField(
        label=_("Réseaux"), widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Un par ligne, ceux d'où viendront les téléchargements : 203.0.113.0/24, 2001:db8::/48."),
    )  # fmt: skip
    age_recipient = forms.CharField(
        label=_("Clé publique age"), max_length=200, help_text=_("Elle commence par « age1 »."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    hds_certificate_until = forms.DateField(
        label=_("Certificat HDS valable jusqu'au"), required=False, widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Hébergement de données de santé (CSP L.1111-8) ; demandé pour les données de santé."),
    )  # fmt: skip

    def __init__(self, *args, may_attest, **kwargs):
        super().__init__(*args, **kwargs)
        if may_attest:
            self.fields["attest"] = forms.BooleanField(
                label=ATTESTATION, required=False,
                help_text=_("Vous pouvez aussi l'attester plus tard, sur sa page."),
            )  # fmt: skip

    def clean_country(self):
        country = self.cleaned_data["country"].upper()
        if not country.isascii() or not country.isalpha():
            raise forms.ValidationError(_("Deux lettres, par exemple FR."))
        return country

    def clean_access_countries(self):
        countries = [one.strip().upper() for one in self.cleaned_data["access_countries"].replace(" ", ",").split(",")]
        countries = list(dict.fromkeys(one for one in countries if one))
        if any(len(one) != 2 or not one.isascii() or not one.isalpha() for one in countries):
            raise forms.ValidationError(_("Deux lettres par pays, par exemple FR, DE."))
        return countries

    def clean_networks(self):
        lines = [line.strip() for line in self.cleaned_data["networks"].replace(",", "\n").splitlines()]
        return _said_beside(actions.checked_networks, [line for line in lines if line])

    def clean_age_recipient(self):
        pasted = self.cleaned_data["age_recipient"]
        if "SECRET" in pasted.upper() or "PRIVATE" in pasted.upper():  # the page that comes back never shows it
            self.data = {**{name: self.data.get(name) for name in self.data}, "age_recipient": ""}
        return _said_beside(actions.checked_recipient, pasted)


class AttestationForm(forms.Form):
    attest = forms.BooleanField(label=ATTESTATION)


class CredentialForm(forms.Form):
    name = forms.CharField(label=_("Nom de la machine"), max_length=120)


class ClockForm(forms.Form):
    days = forms.IntegerField(label=_("Jours"), min_value=0, max_value=actions.MAX_STEP_DAYS, initial=1)
    hours = forms.IntegerField(label=_("Heures"), min_value=0, max_value=23, initial=0)

    def clean(self):
        facts = super().clean() or {}
        if not self.errors and facts["days"] == facts["hours"] == 0:
            raise forms.ValidationError(_("Avancez d'une heure au moins."))
        return facts


def _said_beside(check, *facts):
    """What `check` answers; what it refuses is shown beside the field."""
    try:
        return check(*facts)
    except BadInput as error:
        raise forms.ValidationError(str(error)) from error
