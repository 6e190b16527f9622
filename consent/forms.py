"""Forms of registry, offers, applications and conventions."""

import html

from django import forms
from django.core.exceptions import ValidationError
from django.forms.utils import flatatt
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import User
from consent import checks, treatments
from consent.domains import HEALTH, PERSONAL
from consent.models import Application, DeletionAttestation, DeliveryMode, ModelsFate, PurposeKind, RegistryEntry
from consent.words import BASES, COMPATIBILITIES, CONDITIONS, PURPOSES, RESTRICTED_SOURCES, RISKS, SECRECIES
from zones.models import ColumnRole, Dataset, Domain, Zone

GROUPS = {
    "convention": _("Conventions"),
    "dataset": _("Jeux de données"),
    "service": _("Services d'accueil"),
    "zone": _("Zones entières"),
    "organisation": _("Organisations"),
}
SHOWN = ("accredited", "suspended", "withdrawn", "expired")  # the states of the public list
DAY = {"type": "date"}
CODE = {"inputmode": "numeric", "autocomplete": "one-time-code", "maxlength": "6"}


def day_field(label, *, required=True, help_text=""):
    return forms.DateField(label=label, required=required, help_text=help_text, widget=forms.DateInput(DAY, "%Y-%m-%d"))


def text(label, *, rows=0, required=True, help_text="", max_length=300):
    widget = forms.Textarea({"rows": rows}) if rows else forms.TextInput
    return forms.CharField(label=label, required=required, help_text=help_text, max_length=max_length, widget=widget)


class ScopeForm(forms.Form):
    """What the accreditation is asked for: it decides which evidence is asked."""

    domains = forms.MultipleChoiceField(
        label=_("Données que vous voulez essayer"), choices=Domain.choices, widget=forms.CheckboxSelectMultiple
    )
    zone_kinds = forms.MultipleChoiceField(
        label=_("Lieux où vous voulez expérimenter"), choices=Zone.Kind.choices, widget=forms.CheckboxSelectMultiple
    )


class EvidenceForm(forms.Form):
    """The evidence the scope asks for; fields that it does not ask are not shown."""

    mandate = text(_("Mandat du représentant légal"), help_text=_("L'article des statuts ou la décision qui le nomme."))
    insurer = text(_("Assureur"), help_text=_("Responsabilité civile couvrant l'expérimentation."))
    insurance_policy = text(_("Numéro de police"))
    insurance_until = day_field(_("Assurance valable jusqu'au"))
    dpo_contact = text(
        _("Contact du délégué à la protection des données"),
        help_text=_("Une adresse, ou la raison de ne pas en avoir (RGPD art. 37)."),
    )
    record_extract = text(
        _("Extrait du registre des traitements"),
        rows=3,
        max_length=2000,
        help_text=_("La fiche qui décrit ce traitement (RGPD art. 30) : nom, finalité, durée."),
    )
    questionnaire = forms.MultipleChoiceField(
        label=_("Mesures de sécurité en place"),
        choices=list(checks.QUESTIONNAIRE.items()),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("Cochez ce qui est vrai aujourd'hui."),
    )
    hosting_country = forms.CharField(
        label=_("Pays d'hébergement"), max_length=2, help_text=_("Deux lettres : FR, DE, BE…")
    )
    processors = text(_("Sous-traitants et leurs pays"), required=False, max_length=600)
    hosting_name = text(_("Hébergeur certifié HDS"), help_text=_("Son nom dans la liste publique des hébergeurs."))
    hds_until = day_field(_("Certificat HDS valable jusqu'au"))
    mr_number = text(_("Méthodologie de référence"), required=False, help_text=_("Numéro d'engagement, ou intention."))
    commitment = forms.BooleanField(
        label=_("Engagement éthique ; ni conflit d'intérêts, ni interdiction, ni sanction en cours.")
    )

    PERSONAL_ONLY = ("dpo_contact", "record_extract", "questionnaire", "hosting_country", "processors", "commitment")
    HEALTH_ONLY = ("hosting_name", "hds_until", "mr_number")

    def __init__(self, *args, domains=(), **facts):
        super().__init__(*args, **facts)
        if not PERSONAL.intersection(domains):
            for name in (*self.PERSONAL_ONLY, *self.HEALTH_ONLY):
                del self.fields[name]
        elif not HEALTH.intersection(domains):
            for name in self.HEALTH_ONLY:
                del self.fields[name]
        # The checks say what is missing, in one list: the form itself only reads.
        for field in self.fields.values():
            field.required = False

    def evidence(self) -> dict:
        """The evidence as JSON values."""
        return {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in self.cleaned_data.items()
            if value not in (None, "")
        }


class DecisionForm(forms.Form):
    reason = text(_("Motif"), rows=3, max_length=2000, help_text=_("Il est conservé au dossier."))

    def __init__(self, *args, reason_required=True, **facts):
        super().__init__(*args, **facts)
        self.fields["reason"].required = reason_required


class ObservationsForm(forms.Form):
    observations = text(
        _("Vos observations"), rows=6, max_length=6000,
        help_text=_("Ce que vous contestez, ou ce que vous avez fait depuis. Elles sont jointes au dossier."),
    )  # fmt: skip


class LongSelect(forms.Select):
    """A choice among hundreds of rows, written in one go: Django renders a template for each line, 0.2 ms apiece."""

    def render(self, name, value, attrs=None, renderer=None):
        chosen = {str(one) for one in self.format_value(value) or []}
        described = flatatt(self.build_attrs(self.attrs, {**(attrs or {}), "name": name}))
        return format_html("<select{}>{}</select>", described, SafeString(self._lines(self.choices, chosen)))

    def _lines(self, choices, chosen: set[str]) -> str:
        """Each choice, or group of choices, with everything escaped."""
        return "".join(
            f'<optgroup label="{html.escape(str(key))}">{self._lines(label, chosen)}</optgroup>'
            if isinstance(label, list | tuple)
            else f'<option value="{html.escape(str(key))}"{" selected" if str(key) in chosen else ""}>'
            f"{html.escape(str(label))}</option>"
            for key, label in choices
        )


class RegistryFilter(forms.Form):
    """What the public list shows; a value that is not of the lists filters nothing."""

    q = forms.CharField(
        label=_("Nom ou SIREN"), required=False, max_length=100, widget=forms.TextInput({"type": "search"})
    )
    domain = forms.ChoiceField(
        label=_("Données"), required=False, choices=[("", _("toutes")), *Domain.choices], widget=LongSelect
    )
    kind = forms.ChoiceField(
        label=_("Lieu"), required=False, choices=[("", _("tous")), *Zone.Kind.choices], widget=LongSelect
    )
    status = forms.ChoiceField(
        label=_("État"), required=False, widget=LongSelect,
        choices=[("", _("tous")), *[(s.value, s.label) for s in RegistryEntry.Status if s.value in SHOWN]],
    )  # fmt: skip

    def chosen(self) -> dict[str, str]:
        if not self.is_bound:
            return dict.fromkeys(("query", "domain", "kind", "status"), "")
        self.full_clean()
        said = self.cleaned_data
        names = {"query": "q", "domain": "domain", "kind": "kind", "status": "status"}
        return {name: said.get(field, "").strip() for name, field in names.items()}


class SwitchForm(forms.Form):
    """What to cut, among what this person may cut, and why."""

    what = forms.ChoiceField(
        label=_("Ce qu'il faut couper"), help_text=_("Le plus étroit qui suffit."), widget=LongSelect
    )
    reason = text(_("Motif"), rows=3, max_length=2000, help_text=_("Il figure au journal et sur la liste."))

    def __init__(self, *args, offered, **facts):
        super().__init__(*args, **facts)
        groups: dict[str, list] = {}
        for kind, ref, name in offered:
            groups.setdefault(GROUPS[kind], []).append((f"{kind}:{ref}", name))
        self.fields["what"].choices = [("", _("choisissez")), *groups.items()]


class TerminationForm(forms.Form):
    """On which ground: the experimenter's representative has one only, and is asked none."""

    ground = forms.ChoiceField(
        label=_("Fondement (clause 19)"), widget=forms.RadioSelect,
        choices=[
            ("wish", _("volonté de l'opérateur : préavis de trente jours")),
            ("breach", _("manquement, après une mise en demeure restée dix jours sans effet : aussitôt")),
            ("accreditation", _("agrément de l'expérimentateur retiré ou expiré : aussitôt")),
        ],
    )  # fmt: skip
    warned_on = day_field(_("Date de la mise en demeure"), required=False, help_text=_("Pour un manquement seulement."))
    reason = text(_("Motif"), rows=3, max_length=2000, help_text=_("Les deux parties le lisent."))

    def __init__(self, *args, alone=False, **facts):
        super().__init__(*args, **facts)
        if alone:
            del self.fields["ground"], self.fields["warned_on"]


class AttestationForm(forms.Form):
    """What the experimenter attests after the end, signed with the second factor."""

    copies = text(
        _("Copies et dérivés individuels"), rows=3, max_length=2000,
        help_text=_("Où ils étaient, comment et quand ils ont été supprimés."),
    )  # fmt: skip
    backups = text(_("Sauvegardes"), rows=2, max_length=2000, help_text=_("Détruites, ou périmées à quelle date."))
    models_fate = forms.ChoiceField(
        label=_("Modèles entraînés"), choices=DeletionAttestation.Fate.choices, widget=forms.RadioSelect
    )
    processors = text(
        _("Sous-traitants"), rows=2, max_length=2000, help_text=_("Leur propre attestation, ou « aucun ».")
    )
    code = forms.CharField(
        label=_("Code de votre application d'authentification"), max_length=10, widget=forms.TextInput(CODE),
        help_text=_("Six chiffres. Vous signez cette attestation au nom de votre organisation."),
    )  # fmt: skip


class AnswerForm(forms.Form):
    is_verified = forms.TypedChoiceField(
        label=_("Votre vérification"), widget=forms.RadioSelect, coerce=lambda value: value == "yes",
        choices=[("yes", _("conforme : la convention est close")), ("no", _("à compléter : renvoyer l'attestation"))],
    )  # fmt: skip
    answer = text(_("Ce que vous avez vérifié, ou ce qui manque"), rows=3, max_length=2000)


class CodeForm(forms.Form):
    """The second factor at the act; `sha256` is what the person was shown."""

    sha256 = forms.CharField(widget=forms.HiddenInput)
    code = forms.CharField(
        label=_("Code de votre application d'authentification"), max_length=10, widget=forms.TextInput(CODE),
        help_text=_("Six chiffres. Votre signature nomme l'empreinte ci-dessus, votre mandat et l'heure."),
    )  # fmt: skip


class QuestionsForm(forms.Form):
    """The questions of the training; a wrong answer says which page to read again."""

    def __init__(self, *args, questions, language, **facts):
        super().__init__(*args, **facts)
        self.questions, self.language = questions, language
        for question in questions:
            self.fields[question["code"]] = forms.ChoiceField(
                label=question[f"text_{language}"], widget=forms.RadioSelect,
                choices=[(choice["code"], choice[language]) for choice in question["choices"]],
                error_messages={"required": _("Choisissez une réponse.")},
            )  # fmt: skip

    def clean(self):
        said = super().clean() or {}
        for question in self.questions:
            if said.get(question["code"], question["right"]) != question["right"]:
                self.add_error(question["code"], question[f"why_{self.language}"])
        return said


class UndertakingForm(forms.Form):
    """The formula typed by hand and the second factor; `text_sha256` is what the person was shown."""

    text_sha256 = forms.CharField(widget=forms.HiddenInput)
    typed = forms.CharField(
        label=_("Recopiez : « Lu et compris, je m'engage »"), max_length=200, help_text=_("En toutes lettres."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )  # fmt: skip
    code = forms.CharField(
        label=_("Code de votre application d'authentification"), max_length=10, widget=forms.TextInput(CODE),
        help_text=_("Six chiffres. Votre engagement porte l'empreinte du texte et l'heure."),
    )  # fmt: skip

    def __init__(self, *args, asks_code: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        if not asks_code:
            del self.fields["code"]


class OfferForm(forms.Form):
    """What is decided once, but for the columns (`ColumnForm`, one a column)."""

    title = text(_("Titre de l'offre"), max_length=200)
    purposes = forms.MultipleChoiceField(
        label=_("Finalités acceptées"), choices=list(PURPOSES.items()), widget=forms.CheckboxSelectMultiple
    )
    delivery_mode = forms.ChoiceField(label=_("Mode de remise"), choices=DeliveryMode.choices)
    environment_klass = forms.ChoiceField(
        label=_("Environnement exigé"),
        choices=[("secure", _("environnement sécurisé")), ("workstation", _("poste déclaré"))],
    )
    models_fate = forms.ChoiceField(label=_("Sort des modèles"), choices=ModelsFate.choices)
    results_owner = text(_("Titulaire des résultats"), max_length=200)
    price = text(_("Prix d'accès"), max_length=120)
    expert_hours = forms.IntegerField(label=_("Heures d'expert par mois"), min_value=0, max_value=200, initial=8)
    releases_per_month = forms.IntegerField(label=_("Remises par mois"), min_value=1, max_value=100, initial=10)
    downloads_per_release = forms.IntegerField(
        label=_("Téléchargements par remise"), min_value=1, max_value=100, initial=5
    )
    starts_on = day_field(_("Offre ouverte du"))
    ends_on = day_field(_("au (dernier jour inclus)"))
    dpia_reference = text(_("Référence de l'analyse d'impact (AIPD)"), required=False, max_length=120)
    dpia_validated_on = day_field(_("AIPD validée le"), required=False)
    basis_article_6 = forms.ChoiceField(
        label=_("Votre base légale (art. 6)"), choices=[("", _("sans objet")), *BASES.items()], required=False
    )
    basis_article_9 = forms.ChoiceField(
        label=_("Votre condition (art. 9)"), choices=[("", _("sans objet")), *CONDITIONS.items()], required=False
    )
    basis_compatibility = forms.ChoiceField(
        label=_("Compatibilité de la réutilisation"), choices=list(COMPATIBILITIES.items()), required=False
    )
    basis_secrecy = forms.ChoiceField(
        label=_("Ce qui permet de lever le secret professionnel"), choices=list(SECRECIES.items()), required=False
    )
    basis_residual_risk = forms.ChoiceField(
        label=_("Risque résiduel de l'AIPD"), choices=list(RISKS.items()), required=False
    )
    basis_restricted_sources = forms.MultipleChoiceField(
        label=_("Ce jeu contient-il"), choices=list(RESTRICTED_SOURCES.items()), required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Rien à cocher le plus souvent. Les deux premières sources ne se remettent jamais ici."),
    )  # fmt: skip
    basis_sources_agreement = text(
        _("Accord qui permet de les remettre"), required=False, max_length=200,
        help_text=_("Contrat de l'utilisateur du produit, accord du détenteur du secret."),
    )  # fmt: skip
    mr_reference = text(_("Méthodologie de référence"), required=False, max_length=120)
    record_reference = text(_("Fiche du registre des traitements"), required=False, max_length=120)
    notice_who = text(_("Notice : qui réutilise"), required=False, max_length=600, rows=2)
    notice_what = text(_("Notice : quelles données"), required=False, max_length=1000, rows=2)
    notice_why = text(_("Notice : pourquoi, pour quel bénéfice"), required=False, max_length=1000, rows=2)
    notice_basis = text(_("Notice : sur quelle base"), required=False, max_length=600, rows=2)
    notice_until = text(_("Notice : jusqu'à quand"), required=False)
    notice_where = text(_("Notice : où sont traitées les données"), required=False)
    notice_rights = text(_("Notice : droits, et comment s'opposer"), required=False, max_length=1000, rows=2)
    notice_contact = text(_("Notice : à qui écrire"), required=False)

    PERSONAL_ONLY = (
        "dpia_reference", "dpia_validated_on", "basis_article_6", "basis_article_9", "basis_compatibility",
        "basis_secrecy", "basis_residual_risk", "mr_reference",
    )  # fmt: skip

    def __init__(self, *args, dataset, **facts):
        super().__init__(*args, **facts)
        if not dataset.is_personal:
            for name in [*self.PERSONAL_ONLY, *(n for n in self.fields if n.startswith("notice_"))]:
                del self.fields[name]
        elif not HEALTH.intersection(dataset.domains):
            del self.fields["basis_secrecy"]

    def clean(self):
        cleaned = super().clean()
        starts, ends = cleaned.get("starts_on"), cleaned.get("ends_on")
        if starts and ends and ends < starts:
            self.add_error("ends_on", _("Le dernier jour vient après le premier."))
        return cleaned

    def facts(self) -> dict:
        """The offer's fields: the two bases and the notice as the JSON the offer keeps."""
        cleaned = dict(self.cleaned_data)
        basis = {name[6:]: cleaned.pop(name) for name in list(cleaned) if name.startswith("basis_")}
        notice = {name[7:]: cleaned.pop(name) for name in list(cleaned) if name.startswith("notice_")}
        return {**cleaned, "holder_basis": {k: v for k, v in basis.items() if v}, "notice": notice}


class GroupForm(forms.Form):
    """The columns of one role in one table: supplied with their default treatment, for one reason that they share."""

    every = forms.BooleanField(label=_("remettre toutes les colonnes de ce groupe"), required=False)
    why = forms.CharField(label=_("une raison commune"), max_length=300, required=False)

    def __init__(self, *args, name, **facts):
        super().__init__(*args, prefix=f"g-{name}", **facts)

    def shared(self) -> dict | None:
        """What the group says for its columns; None before it is sent."""
        if not self.is_bound or not self.is_valid():
            return None
        return {"include": self.cleaned_data["every"], "why": self.cleaned_data["why"].strip()}


class ColumnForm(forms.Form):
    """One column of the dataset: is it supplied, why, and what happens to it."""

    include = forms.BooleanField(label=_("remettre"), required=False)
    justification = forms.CharField(label=_("pourquoi elle est nécessaire"), max_length=300, required=False)
    way = forms.ChoiceField(label=_("ce qui lui arrive"), required=False)
    approves_sensitive = forms.BooleanField(label=_("approuver séparément"), required=False)

    def __init__(self, *args, column, shared=None, columns=(), **facts):
        super().__init__(*args, prefix=f"c{column.pk}", **facts)
        self.column, self.shared = column, shared or {"include": False, "why": ""}
        self.is_identifier = column.role in ("", ColumnRole.DIRECT_IDENTIFIER)
        self.is_sensitive = column.role == ColumnRole.SENSITIVE
        if self.is_identifier:
            self.fields["include"].disabled = True
        # Dropping is not ticking: what is left is what may be done with a column that is supplied.
        ways = treatments.choices(column, approved=self.is_sensitive, columns=columns)
        self.ways = {treatments.name_of(one): one for one in ways if one["kind"] != "drop"}
        if len(self.ways) > 1 or (self.ways and ways[0]["kind"] == "drop"):
            self.fields["way"].choices = [(name, treatments.words(one)) for name, one in self.ways.items()]
        else:
            del self.fields["way"]
        if not self.is_sensitive:
            del self.fields["approves_sensitive"]
        name = {"name": column.path}
        for field_name, label in (
            ("include", _("remettre %(name)s")),
            ("justification", _("pourquoi %(name)s est nécessaire")),
            ("way", _("ce qui arrive à %(name)s")),
            ("approves_sensitive", _("approuver %(name)s séparément")),
        ):
            if field_name in self.fields:
                self.fields[field_name].widget.attrs["aria-label"] = label % name

    @property
    def treatment(self) -> dict:
        return treatments.default_treatment(self.column, approved=self.is_sensitive)

    @property
    def treatment_words(self) -> str:
        return treatments.words(self.treatment)

    def clean(self):
        cleaned = super().clean()
        if self.shared["include"] and not self.is_identifier:
            cleaned["include"] = True
        if cleaned.get("include"):
            cleaned["justification"] = cleaned.get("justification", "").strip() or self.shared["why"]
            if not cleaned["justification"]:
                self.add_error("justification", _("Dites en une phrase pourquoi cette colonne est nécessaire."))
            if self.is_sensitive and not cleaned.get("approves_sensitive"):
                self.add_error("approves_sensitive", _("Sensibilité renforcée : approuvez-la séparément."))
        return cleaned

    def line(self):
        """(Column, justification, treatment, approves_sensitive), or None when the column is not supplied."""
        cleaned = self.cleaned_data
        if not cleaned.get("include"):
            return None
        approved = bool(cleaned.get("approves_sensitive"))
        default = treatments.default_treatment(self.column, approved=approved)
        treatment = self.ways.get(cleaned.get("way", ""), next(iter(self.ways.values()), default))
        return self.column, cleaned["justification"].strip(), treatment, approved


class OpinionForm(forms.Form):
    kind = forms.CharField(widget=forms.HiddenInput)
    is_favourable = forms.TypedChoiceField(
        label=_("Votre avis"), choices=[("yes", _("favorable")), ("no", _("défavorable"))],
        coerce=lambda value: value == "yes", widget=forms.RadioSelect,
    )  # fmt: skip
    text = text(_("Ce qui le fonde"), rows=4, max_length=4000)


class SimulateForm(forms.Form):
    """What a simulation needs; the environment may be missing, and the gate then says so."""

    environment = forms.ModelChoiceField(
        label=_("Environnement"), queryset=None, required=False, empty_label=_("aucun environnement déclaré")
    )
    purpose_code = forms.ChoiceField(label=_("Finalité"), choices=())
    starts_on = day_field(_("Du"))
    ends_on = day_field(_("au (dernier jour inclus)"))

    def __init__(self, *args, offer, organisation, **facts):
        super().__init__(*args, **facts)
        self.fields["environment"].queryset = organisation.environments.all()
        self.fields["purpose_code"].choices = [(code, PURPOSES.get(code, code)) for code in offer.purposes]

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("starts_on") and cleaned.get("ends_on") and cleaned["ends_on"] < cleaned["starts_on"]:
            self.add_error("ends_on", _("Le dernier jour vient après le premier."))
        return cleaned


class ApplicationForm(SimulateForm):
    purpose_kind = forms.ChoiceField(
        label=_("Que voulez-vous faire de ces données ?"), choices=PurposeKind.choices, widget=forms.RadioSelect,
        help_text=_("« Servir des clients » relève d'une licence commerciale, demandée à part."),
    )  # fmt: skip
    solution = text(_("Ce que vous voulez éprouver"), max_length=200, help_text=_("Une phrase, lue par tous."))
    mode = forms.ChoiceField(label=_("Mode"), choices=Application.Mode.choices)
    linkage = text(
        _("Autres fichiers de personnes que vous rapprocheriez"), required=False,
        help_text=_("Laissez vide si vous n'ajoutez que du contexte public : météo, calendrier, nomenclatures."),
    )  # fmt: skip
    basis_article_6 = forms.ChoiceField(
        label=_("Votre base légale (RGPD art. 6)"), choices=list(BASES.items()), widget=forms.RadioSelect
    )
    basis_article_9 = forms.ChoiceField(
        label=_("Votre condition pour des données sensibles (RGPD art. 9)"), choices=list(CONDITIONS.items()),
        widget=forms.RadioSelect,
    )  # fmt: skip
    field_order = (
        "purpose_kind", "solution", "purpose_code", "environment", "mode", "starts_on", "ends_on", "linkage",
        "basis_article_6", "basis_article_9",
    )  # fmt: skip

    def __init__(self, *args, offer, organisation, **facts):
        super().__init__(*args, offer=offer, organisation=organisation, **facts)
        self.fields["environment"].required = True
        self.fields["environment"].empty_label = None
        if not offer.dataset.is_personal:
            del self.fields["basis_article_6"]
            del self.fields["basis_article_9"]

    def clean_starts_on(self):
        day = self.cleaned_data["starts_on"]
        if day < clock.today():
            raise ValidationError(_("Le premier jour est aujourd'hui ou plus tard."))
        return day


class LicenceForm(forms.Form):
    """What a market use would be. A draft keeps whatever is filled in; filing it asks for what is needed."""

    product = text(_("Votre produit"), max_length=200, help_text=_("Une phrase, lue par l'opérateur."))
    market = text(_("À qui il sera vendu"), required=False, rows=2)
    intended_on = day_field(_("Mise sur le marché prévue le"), required=False)
    price_expectation = text(_("Prix envisagé pour les données"), required=False, max_length=200)
    contact_name = text(_("À qui parler"), required=False, max_length=120)
    contact_email = forms.EmailField(label=_("Son adresse électronique"), required=False)


class LicenceAnswerForm(forms.Form):
    text = text(_("Votre réponse, et ce qui la fonde"), rows=4, max_length=4000)


class PersonForm(forms.Form):
    user = forms.ModelChoiceField(label=_("Personne de votre organisation"), queryset=User.objects.none())
    role = forms.ChoiceField(
        label=_("Rôle"), choices=[("analyst", _("analyste")), ("lead", _("responsable de l'essai"))]
    )

    def __init__(self, *args, convention, **facts):
        super().__init__(*args, **facts)
        today = clock.today()
        self.fields["user"].queryset = (
            User.objects.filter(
                memberships__organisation=convention.organisation, memberships__joined_on__lte=today, is_active=True
            )
            .exclude(memberships__organisation=convention.organisation, memberships__left_on__lt=today)
            .exclude(named_in__convention=convention)
            .distinct()
            .order_by("full_name", "pk")
        )


MOST_TO_CHOOSE = 50  # datasets in a list that somebody reads


def _few_to_choose(field: forms.ModelChoiceField, held, *, said) -> None:
    """Every one of `held` may be chosen. Of many, the list shows only the one that the page was opened for (or that
    was sent), and says where to start from for another: nobody finds theirs among two thousand."""
    field.queryset = held.order_by("title").only("title")
    found = [(one.pk, str(one)) for one in field.queryset[: MOST_TO_CHOOSE + 1]]
    if len(found) > MOST_TO_CHOOSE:
        known = str(getattr(said, "pk", said) or "")
        found = [(one.pk, str(one)) for one in field.queryset.filter(pk=known)] if known.isdecimal() else []
        field.help_text = _("Pour un seul jeu de données parmi tous ceux d'ici, partez de sa page.")
    field.widget.choices = [("", field.empty_label), *found]


class OppositionForm(forms.Form):
    """A person says no. The identifier is sealed as soon as it is read; a page that failed never shows it again."""

    local_id = forms.CharField(
        label=_("Numéro de la personne dans votre établissement"),
        max_length=120,
        help_text=_(
            "Celui des données, par exemple le numéro de patient. Il est scellé aussitôt et n'est gardé nulle part."
        ),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    dataset = forms.ModelChoiceField(
        Dataset.objects.none(), label=_("Ce que la personne refuse"), required=False,
        empty_label=_("Toute réutilisation des données de la zone"), widget=LongSelect,
    )  # fmt: skip
    identity_checked = forms.BooleanField(
        label=_("J'ai vérifié l'identité de la personne, ou de qui la représente"),
        error_messages={"required": _("Vérifiez d'abord l'identité : sans cela, l'opposition n'est pas prise.")},
    )

    def __init__(self, *args, zone, **facts):
        super().__init__(*args, **facts)
        chosen = self.fields["dataset"]
        assert isinstance(chosen, forms.ModelChoiceField)  # noqa: S101 - says the type to the type checker
        _few_to_choose(chosen, Dataset.objects.filter(zone=zone, is_personal=True), said=self["dataset"].value())

    def clean(self):
        said = super().clean() or {}
        if self.errors:  # a refused form is shown again without what must not be written twice
            self.data = {**dict(self.data.items()), "local_id": ""}
        said.pop("identity_checked", None)
        return said


class PublicObjectionForm(forms.Form):
    """What an inhabitant says on the public page. A page that failed never shows the identifier again."""

    dataset = forms.ModelChoiceField(
        Dataset.objects.none(), label=_("Ce que vous refusez"), required=False,
        empty_label=_("Toute réutilisation de mes données par ce lieu"), widget=LongSelect,
    )  # fmt: skip
    local_id = forms.CharField(
        label=_("Le numéro par lequel ce lieu vous connaît"),
        max_length=120,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}),
    )
    speaks = forms.ChoiceField(label=_("Vous parlez"), choices=(), widget=forms.RadioSelect)
    contact = forms.CharField(
        label=_("De quoi vous reconnaître à l'accueil"),
        max_length=80,
        required=False,
        help_text=_("Par exemple la date et l'heure d'un rendez-vous. N'écrivez ni votre nom ni votre numéro."),
    )

    def __init__(self, *args, zone, **facts):
        super().__init__(*args, **facts)
        from consent.models import ObjectionRequest

        chosen, speaks = self.fields["dataset"], self.fields["speaks"]
        assert isinstance(chosen, forms.ModelChoiceField) and isinstance(speaks, forms.ChoiceField)  # noqa: S101
        held = Dataset.objects.filter(zone=zone, is_personal=True, status=Dataset.Status.PUBLISHED)
        _few_to_choose(chosen, held, said=self["dataset"].value())
        speaks.choices = ObjectionRequest.Speaks.choices
        speaks.initial = ObjectionRequest.Speaks.SELF

    def clean(self):
        said = super().clean() or {}
        if self.errors:
            self.data = {**dict(self.data.items()), "local_id": ""}
        return said


class DismissForm(forms.Form):
    reason = forms.CharField(
        label=_("Motif, lu par la personne avec son récépissé"), max_length=300,
        widget=forms.TextInput({"autocomplete": "off"}),
    )  # fmt: skip


class UndoForm(forms.Form):
    receipt = forms.CharField(
        label=_("Numéro de récépissé"), max_length=26, widget=forms.TextInput({"autocomplete": "off"})
    )
    identity_checked = forms.BooleanField(
        label=_("J'ai vérifié l'identité de la personne, ou de qui la représente"),
        error_messages={"required": _("Vérifiez d'abord l'identité : sans cela, rien ne change.")},
    )
