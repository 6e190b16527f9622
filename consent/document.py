"""The convention as a PDF: 22 clauses, three annexes, PDF/A-3a. Same facts, same day, same bytes.

The document's date is the day of approval and the fonts are those inside the typst package, so that a stranger who
renders the stored parameters again gets the same SHA-256.
"""

import functools
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import typst
from django.utils import formats, translation

from consent import treatments
from consent.domains import HEALTH, labels
from consent.models import Application, Convention, ModelsFate
from consent.words import BASES, CONDITIONS, purpose_label

FOLDER = Path(__file__).parent / "clauses"
TEMPLATE_VERSION = "2026.11.0"
AUDIT_NOTICE_DAYS = 10  # clause 18, default of the template
LANGUAGE = "fr"  # the French text is the one that is signed


@dataclass(frozen=True, slots=True)
class Rendered:
    pdf: bytes
    sha256: str
    parameters: dict[str, Any]
    template_version: str = TEMPLATE_VERSION


@functools.cache
def clauses(version: str = TEMPLATE_VERSION) -> tuple[dict[str, Any], ...]:
    """The clauses of `version`, in order."""
    return tuple(tomllib.loads((FOLDER / f"{version}.toml").read_text())["clause"])


def fill(text: str, parameters: dict[str, Any]) -> str:
    """`text` with its conditional parts kept or dropped and its parameters in place. Raises KeyError on a stranger."""

    def section(match):
        return match["inside"] if parameters[match["name"]] else ""

    kept = re.sub(r"\{\{#(?P<name>\w+)\}\}(?P<inside>.*?)\{\{/(?P=name)\}\}", section, text)
    return re.sub(r"\{\{(\w+)\}\}", lambda match: str(parameters[match[1]]), kept)


def filled_clauses(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """All 22, always: one that does not apply says so, because numbers are stable."""
    done = []
    for clause in clauses():
        applies = "only_if" not in clause or parameters[clause["only_if"]]
        text = clause["text"] if applies else clause["otherwise"]
        done.append({"number": clause["number"], "title": clause["title"], "text": fill(text, parameters)})
    return done


def render(data: dict[str, Any]) -> Rendered:
    """The PDF/A-3a of `data` (see `of`). The day of `data["date"]` is the document's date, at noon UTC."""
    day = date.fromisoformat(data["date"])
    pdf = typst.compile(
        (FOLDER / "convention.typ").read_bytes(),
        root=str(FOLDER),
        ignore_system_fonts=True,
        format="pdf",
        pdf_standards=["a-3a"],
        timestamp=int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()),
        sys_inputs={"data": json.dumps(data, ensure_ascii=False, sort_keys=True)},
    )
    return Rendered(pdf, hashlib.sha256(pdf).hexdigest(), data)


def of(convention: Convention, application: Application, *, approved_on: date) -> dict[str, Any]:
    """Everything the document says of `convention`, as JSON values in French."""
    with translation.override(LANGUAGE):
        return _of(convention, application, approved_on)


def _of(convention: Convention, application: Application, approved_on: date) -> dict[str, Any]:
    offer, zone, organisation = convention.offer, convention.zone, convention.organisation
    dataset, place = offer.dataset, convention.environment
    distinct = dataset.holder_id != zone.operator_id
    entry = organisation.registry_entries.filter(status="accredited").first()
    domains = entry.domains if entry else dataset.domains
    purpose = purpose_label(convention.purpose_code)
    parameters = {
        "operateur": zone.operator.name,
        "detenteur": dataset.holder.name if distinct else "",
        "experimentateur": organisation.name,
        "siren": _spaced(organisation.siren),
        "solution": f"« {application.solution} »",
        "finalites": f"« {purpose} »",
        "perimetre": labels(domains),
        "zone": zone.name,
        "services": dataset.service.name if dataset.service else "",
        "mode": application.get_mode_display(),
        "debut": _day(convention.starts_on),
        "fin": _day(convention.ends_on),
        "heures_expert": offer.expert_hours,
        "role": _role(dataset.is_personal),
        "environnement": f"{place.name} ({place.get_klass_display()}, {place.host})",
        "sante": bool(HEALTH.intersection(dataset.domains)),
        "hebergeur": place.host,
        "titulaire_resultats": offer.results_owner,
        "sort_modeles": str(ModelsFate(offer.models_fate).label),
        "preavis_audit": AUDIT_NOTICE_DAYS,
        "juridiction": _court(zone.operator.is_public_body),
    }  # fmt: skip
    return {
        "ref": convention.ref,
        "title": f"Convention d'expérimentation {convention.ref}",
        "subtitle": f"{dataset.title} · {zone.name}",
        "author": zone.operator.name,
        "date": approved_on.isoformat(),
        "template_version": TEMPLATE_VERSION,
        "parties": _parties(zone.operator, dataset.holder if distinct else None, organisation),
        "facts": [
            ["Objet", application.solution],
            ["Finalité", purpose],
            ["Données", dataset.title],
            ["Durée", f"du {_day(convention.starts_on)} au {_day(convention.ends_on)} inclus"],
            ["Lieu de traitement", parameters["environnement"]],
            ["Offre reprise", f"« {offer.title} », version {offer.version}, sans changement"],
            ["Approuvée le", _day(approved_on)],
        ],
        "clauses": filled_clauses(parameters),
        "annex_1": _annex_1(offer),
        "annex_2": _annex_2(offer, application, convention),
        "annex_3": [
            ["Environnement", f"{place.name}, {place.get_klass_display()}"],
            ["Hébergeur", place.host],
            ["Pays", place.country],
            ["Attesté le", _day(place.attested_on)],
            ["Sous-traitants déclarés", f"{place.host} (hébergement), aucun autre"],
        ],
        "signatures": (
            "Chaque signature nomme l'empreinte SHA-256 du présent document, le signataire, son mandat et l'heure ; "
            "celle de l'Opérateur peut être apposée par le mandat permanent donné avec l'offre. Les signatures "
            "figurent au dossier de preuve de la convention. Niveau « renforcé » : propre à Terrain, second facteur "
            "donné à l'acte ; il ne prétend pas être une signature avancée au sens du règlement (UE) 910/2014."
        ),
    }


def _role(is_personal: bool) -> str:
    distinct = "responsable de traitement distinct"
    return distinct if is_personal else f"{distinct} s'il venait à traiter une donnée personnelle,"


def _court(is_public_body: bool) -> str:
    """Which court depends on the operator: to be confirmed by counsel (legal-gate, section 5.3, note on 22)."""
    return f"le tribunal {'administratif' if is_public_body else 'judiciaire'} compétent"


def _parties(operator, holder, experimenter) -> list[dict[str, str]]:
    parties = [("Opérateur", operator)]
    if holder is not None:
        parties.append(("Détenteur des données", holder))
    parties.append(("Expérimentateur", experimenter))
    return [
        {
            "role": role,
            "name": body.name,
            "identity": f"SIREN {_spaced(body.siren)}" if body.siren else body.legal_form or "personne morale",
            "representative": "représenté par une personne dûment mandatée",
        }
        for role, body in parties
    ]


def _annex_1(offer) -> dict[str, Any]:
    dataset = offer.dataset
    lines = offer.columns.select_related("column__dataset").order_by("column__table__position", "column__position")
    period = f" Période couverte : {dataset.period}." if dataset.period else ""
    return {
        "intro": f"Jeu « {dataset.title} », détenu par {dataset.holder.name}.{period} "
        f"Au plus {offer.releases_per_month} remises par mois, {offer.downloads_per_release} téléchargements "
        "par remise. "
        "Toute autre colonne reste chez l'opérateur."
        + (" Seules y figurent les personnes qui ont consenti à cet usage." if dataset.consent_required else ""),
        "columns": [
            {
                "name": line.column.path,
                "justification": line.justification,
                "treatment": _sentence(treatments.words(treatment_of(line))),
                "sensitive": line.approves_sensitive,
            }
            for line in lines
        ],
    }


def treatment_of(line) -> dict[str, Any]:
    """The treatment of one column of an offer: its own, or its role's."""
    return line.treatment or treatments.default_treatment(line.column, approved=line.approves_sensitive)


def _annex_2(offer, application: Application, convention: Convention) -> list[list[str]]:
    if not offer.dataset.is_personal:
        return [
            ["Données personnelles", "aucune : les bases légales du RGPD sont sans objet"],
            ["Base de la remise", "la présente convention"],
        ]
    article_6, article_9 = offer.holder_basis.get("article_6", ""), offer.holder_basis.get("article_9", "")
    return [
        ["Détenteur, article 6", str(BASES.get(article_6, article_6))],
        ["Détenteur, article 9", str(CONDITIONS.get(article_9, article_9 or "sans objet"))],
        ["Expérimentateur, article 6", str(BASES.get(application.basis_article_6, application.basis_article_6))],
        ["Expérimentateur, article 9", str(CONDITIONS.get(application.basis_article_9, "sans objet"))],
        ["Analyse d'impact", f"{offer.dpia_reference}, validée le {_day(offer.dpia_validated_on)}"],
        ["Registre des traitements", offer.record_reference or "fiche de l'opérateur"],
        ["Méthodologie de référence", offer.mr_reference or "sans objet"],
        ["Notice permanente de l'offre", f"en ligne depuis le {_day(offer.notice_published_at)}"],
        ["Mineurs", "couverts" if convention.minors_covered else "exclus"],
    ]  # fmt: skip


def _day(day) -> str:
    return formats.date_format(day, "j F Y") if day else "sans date"


def _spaced(siren: str | None) -> str:
    return f"{siren[:3]} {siren[3:6]} {siren[6:]}" if siren and len(siren) == 9 else siren or "non immatriculé"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
