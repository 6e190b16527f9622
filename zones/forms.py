"""Forms of zones and datasets. They read what a person wrote; the verbs decide."""

import copy
import re
from dataclasses import replace
from datetime import date
from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from broker.accounts.models import Organisation
from zones import actions, geography, rules
from zones.catalogue import ACCESS_ASKED, Asked
from zones.models import Dataset, Domain, Sensor, Service, Site, Zone
from zones.reading import DELIMITERS, ENCODINGS, Reading, mends_in_words


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self):
        super().__init__(format="%Y-%m-%d")


Words = Any  # a text, or one translated when the form is shown


def day(label: Words, *, help_text="", required: bool = False) -> forms.DateField:
    return forms.DateField(label=label, widget=DayInput(), required=required, help_text=help_text)


def line(label: Words, *, help_text="", required: bool = False, **attributes) -> forms.CharField:
    return forms.CharField(label=label, help_text=help_text, required=required, max_length=300, **attributes)


def _choice(label: Words) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        required=False,
        choices=[("", _l("absent")), ("planned", _l("prévu")), ("operational", _l("en service"))],
    )


def _member(name: str, label: Words, joined: Words) -> dict[str, forms.Field]:
    """A member of a care network: its name, and the day on which it joined in writing."""
    return {
        name: line(label, help_text=_l("Son nom ; laissez vide s'il n'y en a pas.")),
        f"{name}{JOINED}": day(joined),
    }


JOINED = "_joined_on"


class Altitudes(forms.CharField):
    """Points of a road, one a line: kilometre and altitude in metres. Kept as pairs of numbers, in order."""

    def to_python(self, value):
        points = []
        for number, written in enumerate((super().to_python(value) or "").splitlines(), start=1):
            if not written.strip():
                continue
            try:
                km, metres = (float(part.replace(",", ".")) for part in re.split(r"[\s;]+", written.strip()))
            except ValueError:
                raise forms.ValidationError(
                    _("Ligne %(number)s : écrivez deux nombres, le kilomètre puis l'altitude : 12,5 1040.")
                    % {"number": number}
                ) from None
            if not (0 <= km <= 1000 and -100 <= metres <= 5000):
                raise forms.ValidationError(
                    _("Ligne %(number)s : le kilomètre va de 0 à 1 000, l'altitude de -100 à 5 000 mètres.")
                    % {"number": number}
                )
            if points and km <= points[-1][0]:
                raise forms.ValidationError(
                    _("Ligne %(number)s : les kilomètres doivent croître d'une ligne à l'autre.") % {"number": number}
                )
            points.append([km, metres])
        if len(points) == 1 or len(points) > MOST_POINTS:
            raise forms.ValidationError(_("Donnez entre deux et %(most)s points, ou aucun.") % {"most": MOST_POINTS})
        return points

    def prepare_value(self, value):
        if isinstance(value, list):
            return "\n".join(f"{km:g} {metres:g}" for km, metres in value)
        return value


MOST_POINTS = 500

INFORMATION_SYSTEM = line(
    _l("Système qui recueille les données"), help_text=_l("Par exemple : entrepôt de données de l'établissement.")
)

# What each kind is asked beside what every zone says; the rules name the same keys.
EVIDENCE: dict[str, dict[str, forms.Field]] = {
    "hospital": {
        "finess": line(_l("Numéro FINESS"), help_text=_l("Neuf caractères.")),
        "dpia": line(_l("Analyse d'impact (AIPD)"), help_text=_l("Sa référence et sa date.")),
    },
    "care_network": {
        **_member("pharmacy", _l("Pharmacie membre"), _l("Adhésion écrite de la pharmacie, le")),
        **_member("general_practice", _l("Cabinet de médecine générale membre"), _l("Adhésion écrite du cabinet, le")),
        **_member(
            "care_structure", _l("Structure de soins membre"), _l("Adhésion écrite de la structure de soins, le")
        ),
        **_member(
            "home_hospitalisation",
            _l("Service d'hospitalisation à domicile membre"),
            _l("Adhésion écrite de l'hospitalisation à domicile, le"),
        ),
    },
    "eco_district": {
        "intermittent_production": _choice(_l("Production intermittente (solaire, éolien)")),
        "demand_management": _choice(_l("Pilotage de la consommation")),
        "electric_vehicles": _choice(_l("Véhicules électriques et bornes")),
        "electric_public_transport": _choice(_l("Transports publics électriques")),
        "smart_city": _choice(_l("Équipements urbains connectés")),
        "programme": line(_l("Programme"), help_text=_l("FLEXGRID, SMILE, YOU & GRID ou un autre.")),
    },
    "av_city": {
        "infrastructure": line(_l("Infrastructure communicante"), help_text=_l("Nombre et nature des équipements.")),
        "hd_map": line(_l("Carte de très haute précision"), help_text=_l("Son producteur et sa date.")),
    },
    "av_motorway": {
        "section": line(_l("Section"), help_text=_l("L'autoroute et ses deux bouts, points repères compris.")),
        "length_km": line(
            _l("Longueur mesurée (km)"), help_text=_l("D'un seul tenant, un seul sens. Il faut plus de 100 km.")
        ),
        "agreement_on": day(_l("Accord du concessionnaire signé le")),
    },
    "av_mountain": {
        "winding": forms.BooleanField(label=_l("La route a des lacets"), required=False),
        "steep": forms.BooleanField(label=_l("La route a de fortes pentes"), required=False),
        "winter": forms.BooleanField(label=_l("La route connaît des conditions hivernales"), required=False),
        "road_profile": line(
            _l("Profil de la route"), help_text=_l("Le relevé de pente et de courbure : sa référence et sa date.")
        ),
        "altitudes": Altitudes(
            label=_l("Points du profil"),
            required=False,
            widget=forms.Textarea(attrs={"rows": 6}),
            help_text=_l(
                "Un point par ligne, kilomètre puis altitude en mètres : 12,5 1040. La page dessine la route."
            ),
        ),
        "winter_data": line(
            _l("Données d'hiver"), help_text=_l("Neige, gel, fermetures : la source et les hivers couverts.")
        ),
    },
    "industrial_site": {
        "siret": line(_l("SIRET du site")),
        "icpe": line(_l("Référence ICPE")),
        "predictive_maintenance": forms.BooleanField(
            label=_l("Instrumenté pour la maintenance prédictive"), required=False
        ),
        "emissions": forms.BooleanField(label=_l("Instrumenté pour les émissions"), required=False),
        "employees_informed_on": day(_l("Représentants du personnel informés le")),
    },
}
NESTED = {
    **dict.fromkeys(rules.CARE_MEMBERS, "members"),
    **dict.fromkeys((name + JOINED for name in rules.CARE_MEMBERS), "joined"),
    **dict.fromkeys(rules.DISTRICT_ITEMS, "items"),
}


class ZoneForm(forms.ModelForm):
    """The file of a zone of one kind. What is left empty is a reason told later, not an error: a draft may wait."""

    communes = forms.CharField(
        label=_l("Communes (codes Insee)"),
        help_text=_l("Un ou plusieurs codes, séparés par des espaces. Les populations viennent de l'Insee."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = Zone
        fields = [
            "name", "description", "communes", "contact_email", "dpo_email", "general_information_on",
            "frame_adopted_on",
        ]  # fmt: skip
        widgets = {
            "description": forms.Textarea(attrs={"rows": 4}),
            "general_information_on": DayInput(),
            "frame_adopted_on": DayInput(),
        }
        help_texts = {
            "description": _l("Ce qu'on peut y essayer, en quelques phrases."),
            "general_information_on": _l("Le jour où l'information des personnes est parue."),
            "frame_adopted_on": _l("Le jour où l'opérateur a adopté la convention type."),
        }

    def __init__(self, *args, kind: str, **options):
        self.kind = kind
        zone = options.get("instance")
        if zone is not None:
            held = {name: value for name, value in zone.evidence.items() if name not in NESTED.values()}
            for nest in set(NESTED.values()):
                held |= zone.evidence.get(nest, {})
            options["initial"] = {**held, "communes": " ".join(zone.communes), **(options.get("initial") or {})}
        super().__init__(*args, **options)
        self.fields["description"].required = False
        self.fields["information_system"] = copy.deepcopy(INFORMATION_SYSTEM)
        self.fields.update(copy.deepcopy(EVIDENCE[kind]))

    def clean_communes(self) -> list[str]:
        codes = [code.upper() for code in re.split(r"[\s,;]+", self.cleaned_data["communes"]) if code]
        if unknown := [code for code in codes if geography.find(code) is None]:
            raise forms.ValidationError(
                _("Code inconnu : %(codes)s. Cherchez la commune par son nom.") % {"codes": ", ".join(unknown)}
            )
        return list(dict.fromkeys(codes))

    def presented(self) -> dict[str, Any]:
        """What the verbs take: the plain fields, and the evidence of the kind in one JSON value."""
        facts = {name: self.cleaned_data[name] for name in self.Meta.fields}
        evidence: dict[str, Any] = {}
        for name in ("information_system", *EVIDENCE[self.kind]):
            value = self.cleaned_data.get(name)
            value = value.isoformat() if isinstance(value, date) else value
            if value in (None, "", False, []):
                continue
            if name in NESTED:
                evidence.setdefault(NESTED[name], {})[name] = value
            else:
                evidence[name] = value
        return {**facts, "evidence": evidence}

    def _post_clean(self):
        """The draft is written by the verb, not through the form's own instance."""


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_l("Motif"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_l("Il figure au journal."),
        max_length=2000,
    )


class ServiceForm(forms.ModelForm):
    class Meta:
        model = Service
        fields = ["name", "head_name", "participation_from", "participation_until"]
        widgets = {"participation_from": DayInput(), "participation_until": DayInput()}
        help_texts = {
            "name": _l("Par exemple : Service de diabétologie."),
            "participation_until": _l("Dernier jour compris. Trois mois au moins."),
        }

    def clean(self):
        facts = super().clean() or {}
        first, last = facts.get("participation_from"), facts.get("participation_until")
        if first and last and last < first:
            self.add_error("participation_until", _("Le dernier jour vient avant le premier."))
        return facts

    def validate_constraints(self):
        """The verb tells about names already taken."""


class SiteForm(forms.ModelForm):
    commune = forms.ChoiceField(label=_l("Commune"))

    class Meta:
        model = Site
        fields = ["name", "commune", "service", "latitude", "longitude"]
        help_texts = {"latitude": _l("Pour la carte : 49,4431 par exemple."), "longitude": _l("1,0993 par exemple.")}

    def __init__(self, *args, zone: Zone, **options):
        super().__init__(*args, **options)
        cast(forms.ChoiceField, self.fields["commune"]).choices = [
            (code, f"{found.name} ({code})") for code in zone.communes if (found := geography.find(code))
        ]
        service = cast(forms.ModelChoiceField, self.fields["service"])
        service.queryset, service.empty_label = zone.services.all(), _("aucun")

    def validate_constraints(self):
        """The verb tells about names already taken."""


class SensorForm(forms.ModelForm):
    class Meta:
        model = Sensor
        fields = ["site", "name", "kind", "measures", "installed_on"]
        widgets = {"installed_on": DayInput()}
        help_texts = {
            "kind": _l("Par exemple : lecteur de glycémie."),
            "measures": _l("Par exemple : glycémie (mg/dl), toutes les 15 minutes."),
        }

    def __init__(self, *args, zone: Zone, **options):
        super().__init__(*args, **options)
        site = cast(forms.ModelChoiceField, self.fields["site"])
        site.queryset, site.empty_label = zone.sites.all(), None

    def validate_constraints(self):
        """The verb tells about names already taken."""


class DatasetForm(forms.Form):
    title = forms.CharField(label=_l("Titre"), max_length=200)
    summary = forms.CharField(
        label=_l("En quelques mots"),
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_l("Ce que contient une ligne, d'où elle vient, ce qu'on peut en apprendre."),
    )
    domains = forms.MultipleChoiceField(
        label=_l("Domaines de données"), choices=Domain.choices, widget=forms.CheckboxSelectMultiple
    )
    is_personal = forms.TypedChoiceField(
        label=_l("Les lignes concernent-elles des personnes ?"),
        choices=[("yes", _l("Oui, même sans leur nom")), ("no", _l("Non, aucune"))],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
        help_text=_l("Un numéro de patient, une plaque ou un compteur désignent une personne."),
    )
    service = forms.ModelChoiceField(
        label=_l("Service"), queryset=Service.objects.none(), required=False, empty_label=_l("aucun")
    )
    no_minors_because = forms.CharField(
        label=_l("Pourquoi aucune ligne n'est celle d'un mineur"),
        max_length=200,
        required=False,
        help_text=_l("Seulement si aucune colonne ne dit l'âge, par exemple : titulaires d'un contrat, tous majeurs. "
                     "Sans âge ni raison, aucune ligne ne peut être remise (règle G28). Le DPO relit cette raison."),
    )  # fmt: skip
    holder = forms.ModelChoiceField(
        label=_l("Détenteur des données"),
        queryset=Organisation.objects.none(),
        required=False,
        help_text=_l("L'organisme responsable de la source. Un détenteur distinct signe les conventions lui aussi."),
    )
    holder_agreement = forms.CharField(
        label=_l("Accord écrit du détenteur"),
        max_length=300,
        required=False,
        help_text=_l("Sa référence et sa date, quand le détenteur n'est pas l'opérateur."),
    )
    consent_required = forms.TypedChoiceField(
        label=_l("Ces données reposent-elles sur le consentement de chaque personne ?"),
        choices=[("no", _l("Non, sur une autre base")), ("yes", _l("Oui : seules les personnes qui ont dit oui"))],
        coerce=lambda value: value == "yes",
        initial="no",
        required=False,
        empty_value=False,
        widget=forms.RadioSelect,
        help_text=_l("Obligatoire pour une courbe de charge plus fine qu'un jour."),
    )
    time_step = forms.ChoiceField(
        label=_l("Pas de temps"),
        choices=[("", _l("sans objet")), *Dataset.TimeStep.choices],
        required=False,
        help_text=_l("Pour un comptage d'énergie."),
    )
    period = forms.CharField(label=_l("Période couverte"), max_length=100, required=False)
    origin = forms.CharField(label=_l("Origine"), max_length=300, required=False)
    licence = forms.CharField(label=_l("Licence de la source"), max_length=200, required=False)

    def __init__(self, *args, zone: Zone, **options):
        super().__init__(*args, **options)
        self.zone = zone
        cast(forms.ModelChoiceField, self.fields["service"]).queryset = zone.services.all()
        holder = cast(forms.ModelChoiceField, self.fields["holder"])
        holder.queryset = Organisation.objects.filter(kind=Organisation.Kind.HOLDER).order_by("name", "pk")
        holder.empty_label = str(zone.operator)

    def clean(self):
        facts = super().clean() or {}
        if facts.get("holder") and facts["holder"] != self.zone.operator and not facts.get("holder_agreement"):
            self.add_error("holder_agreement", _("Citez l'accord écrit par lequel le détenteur confie ces données."))
        if "domains" in facts and "is_personal" in facts and (problem := actions.basis_problem(**facts)):
            self.add_error("consent_required", problem)
        return facts


class DatasetWordsForm(DatasetForm):
    """The words of a draft, corrected. Who holds the data is said once, when the dataset is made."""

    def __init__(self, *args, dataset: Dataset, **options):
        initial = {name: getattr(dataset, name) for name in KEPT_WORDS}
        for name in ("is_personal", "consent_required"):
            initial[name] = "yes" if initial[name] else "no"
        super().__init__(*args, zone=dataset.zone, initial=initial, **options)
        self.fields = {name: field for name, field in self.fields.items() if name in KEPT_WORDS}


KEPT_WORDS = (
    "title", "summary", "domains", "is_personal", "service", "consent_required", "time_step", "no_minors_because",
    "period", "origin", "licence",
)  # fmt: skip


class LinkForm(forms.Form):
    """Data that are already open elsewhere: where, by whom, under which licence. Nothing is sent here."""

    title = forms.CharField(label=_l("Titre"), max_length=200)
    summary = forms.CharField(
        label=_l("En quelques mots"),
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_l("Ce que contient une ligne, et ce qu'elle apprend sur cette zone."),
    )
    open_url = forms.URLField(
        label=_l("Adresse de la page où elles se prennent"),
        max_length=500,
        assume_scheme="https",
        help_text=_l("Celle de la fiche du producteur ou de data.gouv.fr, en https://."),
        widget=forms.URLInput(attrs={"spellcheck": "false"}),
    )
    origin = forms.CharField(label=_l("Producteur"), max_length=300, help_text=_l("Par exemple : DREES, ministère."))
    licence = forms.CharField(
        label=_l("Licence"), max_length=200, help_text=_l("Par exemple : Licence Ouverte 2.0 (Etalab).")
    )
    domains = forms.MultipleChoiceField(
        label=_l("Domaines de données"), choices=Domain.choices, widget=forms.CheckboxSelectMultiple
    )
    is_personal = forms.TypedChoiceField(
        label=_l("Les lignes concernent-elles des personnes ?"),
        choices=[("yes", _l("Oui, même sans leur nom")), ("no", _l("Non, aucune"))],
        coerce=lambda value: value == "yes",
        widget=forms.RadioSelect,
    )
    period = forms.CharField(label=_l("Période couverte"), max_length=100, required=False)

    def __init__(self, *args, dataset: Dataset | None = None, **options):
        if dataset is not None:
            options["initial"] = {name: getattr(dataset, name) for name in self.base_fields}
            options["initial"]["is_personal"] = "yes" if dataset.is_personal else "no"
        super().__init__(*args, **options)

    def clean_open_url(self) -> str:
        if not self.cleaned_data["open_url"].startswith("https://"):
            raise forms.ValidationError(_("L'adresse doit commencer par https://."))
        return self.cleaned_data["open_url"]


DELIMITER_NAMES = {",": _l("virgule"), ";": _l("point-virgule"), "\t": _l("tabulation"), "|": _l("barre verticale")}
ENCODING_NAMES = {
    "utf-8": "UTF-8",
    "cp1252": _l("Windows (cp1252)"),
    "latin-1": _l("Latin-1 (ISO 8859-1)"),
    "iso8859-15": _l("Latin-9 (ISO 8859-15)"),
    "utf-16": _l("UTF-16 (« texte Unicode » d'un tableur)"),
    "utf-16-le": _l("UTF-16 sans marque, octet faible d'abord"),
    "utf-16-be": _l("UTF-16 sans marque, octet fort d'abord"),
}
DELIMITER_CODES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


class UploadForm(forms.Form):
    """How the file is to be read, and the file. The file itself never reaches this form: it is sealed as it arrives."""

    format = forms.ChoiceField(
        label=_l("Format"),
        choices=[
            ("csv", _l("CSV, une ligne par enregistrement")),
            ("ndjson", _l("JSON par lignes, une valeur par clé")),
            ("fhir", _l("FHIR en vrac, une ressource par ligne (mise à plat)")),
            ("parquet", _l("Parquet (le fichier dit lui-même comment il se lit)")),
        ],
    )
    encoding = forms.ChoiceField(
        label=_l("Encodage"),
        choices=[(code, ENCODING_NAMES[code]) for code in ENCODINGS],
        help_text=_l("Lu strictement : un octet impossible est refusé avec sa ligne et sa colonne."),
    )
    delimiter = forms.ChoiceField(
        label=_l("Séparateur"), choices=[(DELIMITER_CODES[sign], DELIMITER_NAMES[sign]) for sign in DELIMITERS]
    )
    header = forms.TypedChoiceField(
        label=_l("Première ligne"),
        choices=[("yes", _l("les noms des colonnes")), ("no", _l("déjà des données"))],
        coerce=lambda value: value == "yes",
    )
    header_line = forms.IntegerField(
        label=_l("Ligne de l'en-tête"),
        required=False,
        min_value=1,
        max_value=1000,
        help_text=_l("Les lignes au-dessus (titre, remarques) ne sont pas lues. Vide : la première."),
    )
    missing = forms.CharField(
        label=_l("Marques d'absence"),
        required=False,
        max_length=100,
        strip=True,
        help_text=_l("Ce qui veut dire « pas de valeur », séparé par des espaces : ? ou NA par exemple. Le vide l'est "
                     "toujours. « None » reste une valeur si vous ne l'écrivez pas ici."),
    )  # fmt: skip
    decimal = forms.ChoiceField(label=_l("Décimales"), choices=[(".", _l("point : 3.14")), (",", _l("virgule : 3,14"))])

    same_mends = forms.BooleanField(label=_l("Corriger comme la version précédente"), required=False)

    def __init__(self, *args, former: Reading | None = None, **options):
        super().__init__(*args, **options)
        self.former = former
        if former is None or not former.is_mending:
            del self.fields["same_mends"]
        else:
            self.fields["same_mends"].initial = True
            self.fields["same_mends"].help_text = " · ".join(mends_in_words(former))

    def reading_of(self, file_name: str, former: Reading | None, *, resource: str = "") -> Reading:
        """The reading of one file among several: its name and its first line, which may name a FHIR `resource`, say
        what it is, the form the rest."""
        chosen = self.reading(mends=False)
        if resource:
            chosen = replace(chosen, format="fhir")
        elif re.search(r"[.](ndjson|jsonl)([.]gz)?$", file_name, re.IGNORECASE):
            chosen = replace(chosen, format="ndjson")
        else:
            chosen = replace(chosen, format="csv")
        if former is None or not self.cleaned_data.get("same_mends"):
            return chosen
        return replace(chosen, **{name: getattr(former, name) for name in MENDS})

    def reading(self, *, mends: bool = True) -> Reading:
        facts = self.cleaned_data
        signs = {code: sign for sign, code in DELIMITER_CODES.items()}
        chosen = Reading(
            format=facts["format"],
            encoding=facts["encoding"],
            delimiter=signs[facts["delimiter"]],
            header=facts["header"],
            header_line=facts["header_line"] or 1,
            missing=tuple(dict.fromkeys(facts["missing"].split())),
            decimal=facts["decimal"],
        )
        if not mends or self.former is None or not facts.get("same_mends"):
            return chosen
        return replace(chosen, **{name: getattr(self.former, name) for name in MENDS})


MENDS = ("century", "dates", "absent", "skip_blank", "one_line", "number_nameless")


def said(reading: Reading) -> dict[str, Any]:
    """The fields of a form that say `reading`."""
    return {
        "format": reading.format,
        "encoding": reading.encoding,
        "delimiter": DELIMITER_CODES[reading.delimiter],
        "header": "yes" if reading.header else "no",
        "header_line": reading.header_line if reading.header_line > 1 else None,
        "missing": " ".join(reading.missing),
        "decimal": reading.decimal,
        "century": ", ".join(reading.century),
        "mdy": ", ".join(name for name, order in reading.dates.items() if order == "mdy"),
        "dmy": ", ".join(name for name, order in reading.dates.items() if order == "dmy"),
        "no_date": ", ".join(name for name, kind in reading.absent.items() if kind == "date"),
        "no_number": ", ".join(name for name, kind in reading.absent.items() if kind == "number"),
        "skip_blank": reading.skip_blank,
        "one_line": reading.one_line,
        "number_nameless": reading.number_nameless,
    }


def _columns(label: Words, help_text: Words = "") -> forms.CharField:
    return forms.CharField(label=label, help_text=help_text, required=False, max_length=2000)


def _names(told: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in told.split(",") if (name := part.strip())))


class RereadForm(UploadForm):
    """Every option of reading, for the bytes that are already there."""

    century = _columns(
        _l("Colonnes dont l'année 00AA se lit 20AA"), _l("Leurs noms, séparés par des virgules : 0014 se lit 2014.")
    )
    mdy = _columns(_l("Colonnes de dates mois/jour/année"), _l("Ramenées, avec les autres formes, à année-mois-jour."))
    dmy = _columns(_l("Colonnes de dates jour/mois/année"), _l("De même."))
    no_date = _columns(
        _l("Colonnes dont les dates hors du calendrier sont absentes"), _l("0000-00-00 ou le 30 février, par exemple.")
    )
    no_number = _columns(_l("Colonnes dont NaN et les infinis sont absents"))
    skip_blank = forms.BooleanField(label=_l("Passer les lignes sans aucune valeur"), required=False)
    one_line = forms.BooleanField(label=_l("Ramener les noms des colonnes à une ligne"), required=False)
    number_nameless = forms.BooleanField(label=_l("Numéroter les colonnes sans nom"), required=False)

    def __init__(self, *args, stacked: int = 0, **options):
        super().__init__(*args, **options)
        self.stacked = stacked  # which of the tables of the file it is: not for a form to change

    def clean(self):
        facts = super().clean() or {}
        both = set(_names(facts.get("mdy", ""))) & set(_names(facts.get("dmy", "")))
        if both:
            self.add_error("dmy", _("« %(name)s » a deux formes : choisissez-en une.") % {"name": sorted(both)[0]})
        kinds = set(_names(facts.get("no_date", ""))) & set(_names(facts.get("no_number", "")))
        if kinds:
            self.add_error("no_number", _("« %(name)s » : date ou nombre, choisissez.") % {"name": sorted(kinds)[0]})
        return facts

    def reading(self, *, mends: bool = True) -> Reading:
        facts = self.cleaned_data
        dates = {name: order for order in ("mdy", "dmy") for name in _names(facts[order])}
        return replace(
            super().reading(),
            century=_names(facts["century"]),
            absent={name: kind for kind in ("date", "number") for name in _names(facts[f"no_{kind}"])},
            dates=dates,
            skip_blank=facts["skip_blank"],
            one_line=facts["one_line"],
            number_nameless=facts["number_nameless"],
            stacked=self.stacked,
        )


class CatalogueForm(forms.Form):
    """What the catalogue is asked; a value nobody offers asks nothing."""

    q = forms.CharField(label=_l("Chercher"), required=False, max_length=100)
    access = forms.ChoiceField(label=_l("Accès"), required=False, choices=list(ACCESS_ASKED.items()))
    kind = forms.ChoiceField(label=_l("Nature de zone"), required=False, choices=Zone.Kind.choices)
    domain = forms.ChoiceField(label=_l("Domaine"), required=False, choices=Domain.choices)
    personal = forms.ChoiceField(
        label=_l("Personnes"),
        required=False,
        choices=[("no", _l("aucune personne")), ("yes", _l("données personnelles"))],
    )

    def asked(self) -> Asked:
        self.is_valid()
        return Asked(**{name: self.cleaned_data.get(name, "") for name in self.fields})
