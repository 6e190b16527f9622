"""What is stored of a build as codes and figures, said in the reader's language: its steps, its receipts."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from broker.releases.tables import tables_of

STEPS = {
    "waiting": gettext_lazy("En attente du poste de préparation"),
    "opening": gettext_lazy("Ouverture de la source"),
    "source": gettext_lazy("Lecture de la source"),
    "subject": gettext_lazy("Pseudonymes et oppositions"),
    "age": gettext_lazy("Âges et mineurs"),
    "day": gettext_lazy("Pseudonymes du jour"),
    "trace": gettext_lazy("Bouts de trajets"),
    "base": gettext_lazy("Âges et mineurs"),
    "common": gettext_lazy("Catégories rares"),
    "bounds": gettext_lazy("Bornes des mesures"),
    "treated": gettext_lazy("Généralisation"),
    "class": gettext_lazy("Classes trop petites"),
    "kept": gettext_lazy("Retrait des classes trop petites"),
    "plain": gettext_lazy("Remise des colonnes"),
    "thresholds": gettext_lazy("Vérification des seuils"),
    "writing": gettext_lazy("Écriture et scellement"),
    "ready": gettext_lazy("Prête"),
}


def step(code: str) -> str:
    """The words of a step; a code nobody knows is shown as it is."""
    return str(STEPS.get(code, code))


def leaving(recipe: dict) -> list[tuple[str, str]]:
    """Which rows leave of each table that is of no person, and why: (table, words)."""
    told = {
        "referred": _("seulement les lignes auxquelles une ligne remise renvoie ; les autres ne servent à rien ici"),
        "whole": _(
            "toutes les lignes : elles ne sont celles de personne, et aucune clé remise ne dit lesquelles servent"
        ),
    }
    return [(one["name"], told[one["leaves"]]) for one in tables_of(recipe) if one.get("leaves") in told]


def receipt(obligation: str, figures: dict, recipe: dict) -> str:
    """What one obligation did, in one line."""
    match obligation:
        case "apply_profile":
            return _("Colonnes traitées selon leur rôle, pseudonymes propres à la convention, aucun identifiant relevé")
        case "exclude_opposed_subjects":
            return _("Lignes des personnes qui ont fait opposition, exclues avant tout calcul")
        case "keep_consented_subjects_only":
            return _("Seules les personnes qui ont consenti à cet usage et à ce destinataire, les autres exclues")
        case "exclude_minors":
            if recipe["minors"]["rule"] == "exclude":
                return _("Lignes de moins de 18 ans ou d'âge inconnu, exclues")
            because = recipe["minors"].get("because", "").rstrip(".")
            return _("Aucune ligne de mineur : %(because)s.") % {"because": because}
        case "generalise_or_suppress":
            return _(
                "Catégories rares regroupées, classes de moins de %(k)s personnes retirées ; k mesuré : %(k_min)s"
            ) % {"k": recipe["k"], "k_min": figures.get("k_min")}
        case "blank_reinforced_codes":
            return _("Cellules dont le code est de sensibilité renforcée, effacées dans %(columns)s") % {
                "columns": ", ".join(figures.get("cells", {})) or "—"
            }
        case "mark_experimental":
            return _("Licence « expérimentation seulement » et empreinte de la convention jointes")
    return obligation
