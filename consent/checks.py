# ruff: noqa: E501 - the sentences told to people stay on one line, as they are read and translated.
"""The automatic checks of a registry request. Pure: `transitions.registry` gathers the facts.

Evidence depends on the scope: identity, mandate and insurance always; the rest with the first personal or health
domain (legal-gate, section 4).
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from stdnum.fr import siren as siren_form

from consent.domains import HEALTH, PERSONAL
from consent.places import EEA

QUESTIONNAIRE = {
    "two_factors": "Double authentification de toutes les personnes qui touchent aux données",
    "encryption": "Chiffrement des données au repos et en transit",
    "access_review": "Revue des accès au moins deux fois par an",
    "backups": "Sauvegardes chiffrées, restauration éprouvée dans l'année",
    "incident": "Procédure d'incident avec alerte sous 24 heures",
}


@dataclass(frozen=True, slots=True)
class Company:
    """A line of the companies directory."""

    name: str
    is_active: bool
    representative: str


@dataclass(frozen=True, slots=True)
class File:
    """What the checks read. `names` are the people who hold the legal representation today."""

    siren: str
    name: str
    names: tuple[str, ...]
    domains: frozenset[str]
    evidence: dict[str, Any]
    company: Company | None
    has_duplicate: bool
    today: date

    @property
    def is_personal(self) -> bool:
        return bool(self.domains & PERSONAL)

    @property
    def is_health(self) -> bool:
        return bool(self.domains & HEALTH)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its stable key, what was looked at, whether it holds, and what it says."""

    key: str
    label: str
    ok: bool
    says: str

    def as_dict(self) -> dict[str, Any]:
        return {"key": self.key, "label": self.label, "ok": self.ok, "says": self.says}


def plain(text: str) -> str:
    """`text` without case, accents, punctuation or legal form, so that two writings of one name are equal."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    words = "".join(c if c.isalnum() else " " for c in bare).split()
    return " ".join(w for w in words if w not in {"sas", "sasu", "sarl", "sa", "eurl", "sci", "scop"})


def run(file: File) -> list[Check]:
    """Every check that the scope asks for, in order, all of them run so that one list names all that is missing."""
    checks = [*_identity(file), *_insurance(file)]
    if file.is_personal:
        checks += _personal(file)
    return checks


def missing(checks: Iterable[Check]) -> list[str]:
    return [check.says for check in checks if not check.ok]


def earliest_end(file: File) -> date | None:
    """The first day on which a required piece of evidence stops being valid: an accreditation never outlives it."""
    ends = [_day(file.evidence.get("insurance_until"))]
    if file.is_health:
        ends.append(_day(file.evidence.get("hds_until")))
    return min((end for end in ends if end), default=None)


def _check(key, label, ok, good, bad) -> Check:
    return Check(key, str(label), bool(ok), str(good if ok else bad))


def _identity(file: File) -> list[Check]:
    well_formed = siren_form.is_valid(file.siren)
    found = file.company is not None
    checks = [
        _check(
            "siren_form", _("Numéro SIREN"), well_formed,
            _("Le numéro %s est bien formé.") % file.siren,
            _("Le numéro SIREN « %s » n'est pas valable : neuf chiffres avec leur clé. Corrigez la fiche de l'organisation.")
            % file.siren,
        ),
        _check(
            "siren_active", _("Annuaire des entreprises"), found and file.company.is_active,
            _("Trouvée dans l'annuaire, en activité."),
            _("L'annuaire dit que cette entreprise a cessé son activité.")
            if found
            else _("Aucune entreprise de ce numéro dans l'annuaire. Vérifiez le SIREN de l'organisation."),
        ),
    ]  # fmt: skip
    if found:
        same_name = plain(file.name) == plain(file.company.name)
        same_person = plain(file.company.representative) in {plain(name) for name in file.names}
        checks += [
            _check(
                "name", _("Dénomination"), same_name,
                _("La dénomination est celle de l'annuaire."),
                _("L'annuaire dit « %(theirs)s », la demande dit « %(ours)s ». Reprenez la dénomination de l'annuaire.")
                % {"theirs": file.company.name, "ours": file.name},
            ),
            _check(
                "representative", _("Représentation légale"), same_person,
                _("Le représentant légal est celui de l'annuaire."),
                _("L'annuaire nomme %(theirs)s, que la demande ne compte pas parmi ses représentants légaux. Ajoutez cette personne, ou faites corriger l'annuaire.")
                % {"theirs": file.company.representative},
            ),
        ]  # fmt: skip
    checks += [
        _check(
            "mandate", _("Mandat"), str(file.evidence.get("mandate", "")).strip(),
            _("Le texte du mandat est donné."),
            _("Le texte du mandat du représentant légal manque : citez les statuts ou la décision qui le nomme."),
        ),
        _check(
            "duplicate", _("Doublon"), not file.has_duplicate,
            _("Aucune autre ligne vivante pour ce numéro."),
            _("Une ligne du registre existe déjà pour ce numéro SIREN. Demandez une extension de périmètre plutôt qu'une nouvelle ligne."),
        ),
    ]  # fmt: skip
    return checks


def _insurance(file: File) -> list[Check]:
    until = _day(file.evidence.get("insurance_until"))
    named = file.evidence.get("insurer") and file.evidence.get("insurance_policy")
    return [
        _check(
            "insurance", _("Assurance"), named and until and until >= file.today,
            _("Assurance de responsabilité civile en cours."),
            _("L'attestation d'assurance n'est plus valable : joignez celle de l'année en cours.")
            if named and until
            else _("L'attestation d'assurance manque : assureur, numéro de police et dernier jour de validité."),
        )
    ]  # fmt: skip


def _personal(file: File) -> list[Check]:
    answers = set(file.evidence.get("questionnaire") or ())
    lacking = [str(text) for key, text in QUESTIONNAIRE.items() if key not in answers]
    country = str(file.evidence.get("hosting_country", "")).upper()
    checks = [
        _check(
            "dpo", _("Délégué à la protection des données"), file.evidence.get("dpo_contact"),
            _("Un contact est déclaré."),
            _("Le contact du délégué à la protection des données manque, ou la raison de n'en pas avoir (RGPD art. 37)."),
        ),
        _check(
            "record", _("Registre des traitements"), file.evidence.get("record_extract"),
            _("L'extrait du registre de l'article 30 est cité."),
            _("L'extrait du registre des traitements manque (RGPD art. 30) : citez la fiche qui décrit ce traitement."),
        ),
        _check(
            "security", _("Mesures de sécurité"), not lacking or file.evidence.get("iso27001"),
            _("Le questionnaire de sécurité est rempli sans réserve."),
            _("Mesures de sécurité à prendre ou à déclarer : %s.") % " ; ".join(lacking),
        ),
        _check(
            "country", _("Pays d'hébergement"), country in EEA,
            _("Hébergement dans l'Espace économique européen (%s).") % country,
            _("L'hébergement doit se trouver dans l'Union européenne ou l'Espace économique européen ; vous déclarez « %s ».")
            % (country or _("rien")),
        ),
        _check(
            "commitment", _("Engagement"), file.evidence.get("commitment"),
            _("Engagement éthique et déclaration d'absence d'interdiction signés."),
            _("L'engagement éthique et la déclaration d'absence d'interdiction sont à signer."),
        ),
    ]  # fmt: skip
    if file.is_health:
        until = _day(file.evidence.get("hds_until"))
        checks.append(
            _check(
                "hds", _("Hébergement de données de santé"),
                file.evidence.get("hosting_name") and until and until >= file.today,
                _("L'hébergeur %s est certifié HDS.") % file.evidence.get("hosting_name", ""),
                _("Le certificat HDS de l'hébergeur manque ou n'est plus valable : donnez son nom et le dernier jour du certificat."),
            )
        )  # fmt: skip
    return checks


def _day(value) -> date | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, date) else date.fromisoformat(str(value))
