"""Closed lists in plain words: purposes, legal bases, and the classes of environment they go with."""

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from broker.errors import Reason

# Purpose codes an operator may accept (legal-gate, section 1: `purpose_code`, a code from a closed list).
PURPOSES = {
    "diagnosis_support_rnd": _("mettre au point une aide au diagnostic ou au suivi"),
    "care_organisation_rnd": _("mieux organiser les soins et les parcours"),
    "public_health_rnd": _("étudier un sujet de santé publique"),
    "prevention_rnd": _("mettre au point un outil de prévention"),
    "traffic_rnd": _("étudier et prévoir la circulation"),
    "driving_rnd": _("mettre au point la conduite automatisée"),
    "road_safety_rnd": _("améliorer la sécurité routière"),
    "energy_flexibility_rnd": _("mettre au point la flexibilité électrique"),
    "energy_efficiency_rnd": _("réduire la consommation d'énergie"),
    "charging_rnd": _("mettre au point la recharge des véhicules"),
    "maintenance_rnd": _("mettre au point la maintenance prédictive"),
    "environment_rnd": _("mesurer et réduire une émission"),
}

# RGPD art. 6(1), as the log names them.
BASES = {
    "legitimate_interests": _("intérêt légitime (art. 6(1)(f)) : vos essais, sans léser les personnes"),
    "public_task": _("mission d'intérêt public (art. 6(1)(e)) : un texte vous confie cette tâche"),
    "consent": _("consentement (art. 6(1)(a)) : chaque personne a dit oui à cet usage"),
    "legal_obligation": _("obligation légale (art. 6(1)(c))"),
    "contract": _("contrat avec la personne (art. 6(1)(b))"),
}  # fmt: skip

# RGPD art. 9(2), for health and other special categories.
CONDITIONS = {
    "9(2)(j)": _("recherche scientifique ou statistique (art. 9(2)(j)), avec les garanties de l'article 89"),
    "9(2)(i)": _("intérêt public dans le domaine de la santé publique (art. 9(2)(i))"),
    "9(2)(h)": _("médecine, diagnostic ou gestion des services de santé (art. 9(2)(h))"),
    "9(2)(a)": _("consentement explicite de chaque personne (art. 9(2)(a))"),
}


# Why the reuse is compatible with what the data were collected for (RGPD art. 5(1)(b)); what lifts secrecy (health).
COMPATIBILITIES = {
    "research": _("recherche scientifique : présumée compatible (RGPD art. 5(1)(b) et 89(1))"),
    "assessed": _("compatibilité examinée et consignée (RGPD art. 6(4))"),
    "consent": _("consentement donné pour cet usage"),
}
SECRECIES = {
    "research_transmission": _("transmission pour la recherche (LIL art. 68) [à confirmer par un juriste]"),
    "consent": _("accord exprès de chaque personne"),
    "own_team": _("données traitées par l'équipe de soins elle-même"),
}
RISKS = {
    "acceptable": _("acceptable"),
    "high_closed": _("élevé, consultation préalable de la CNIL close (RGPD art. 36)"),
    "high_open": _("élevé, consultation préalable de la CNIL en cours"),
}
RESTRICTED_SOURCES = {
    "snds": _("des données obtenues par le SNDS"),
    "vehicle_l1514": _("des données de véhicules reçues pour une mission publique (code des transports, L.1514-1)"),
    "connected_product": _("des données d'un produit connecté, qui appartiennent à son utilisateur"),
    "trade_secret": _("un secret des affaires"),
}

# What the build does to the data, by the rule that obliges to it.
OBLIGATIONS = {
    "G22": _("un échantillon aléatoire est tiré si la sélection dépasse le volume signé"),
    "G26": _("les personnes qui s'y opposent sont écartées"),
    "G27": _("seules restent les personnes qui ont donné leur accord"),
    "G28": _("les mineurs, et les personnes d'âge inconnu, sont écartés"),
    "G29": _("chaque colonne reçoit son traitement, sous une clé propre à votre convention"),
    "G30": _("les personnes trop reconnaissables sont généralisées ou écartées"),
    "G39": _("la remise est marquée « expérimentation seulement », avec son manifeste"),
}


def purpose_label(code: str) -> str:
    return str(PURPOSES.get(code, code))


def told(reasons) -> list[Reason]:
    """The reasons of a decision in the reader's language, as pages show them."""
    language = get_language() or "fr"
    return [Reason(r.rule, r.message_in(language), r.source_in(language), r.link) for r in reasons]
