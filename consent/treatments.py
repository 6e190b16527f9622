"""The treatment of each column of an offer: the default by role, its words for people, its limits. Pure.

Source: legal-gate, sections 7.1 (defaults), 7.2 (profiles), 7.3 (what operators may relax: nothing below the floor).
A treatment is a small JSON object kept with the offer's column:

    {"kind": "drop"}                                    the column does not leave
    {"kind": "pseudonym"}                               HMAC-SHA-256 under the convention's key, 32 hex characters
    {"kind": "keep"}                                    the values as read, missing marks made null
    {"kind": "band_age", "width": 5, "top": 90}         age bands in years, never finer than the source
    {"kind": "category"}                                categories of fewer than k subjects merged into "autre"
    {"kind": "department"}                              first two signs of a commune or postal code (three overseas)
    {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}   top and bottom coded at these quantiles
    {"kind": "shift_days", "span": 365}                 a shift constant within the subject, -182 to +182 days

A column of codes says their system ("codes": "icd9cm"): its cells of reinforced sensitivity are blanked (G24), but for
the classes that were approved by themselves ("classes": ["hiv"]), which needs the column's own approval.

Tighter than 7.1 on two points: staff columns are dropped, and so are coordinates.
"""

import re

from django.utils.translation import gettext as _

from consent import codes

KINDS = ("drop", "pseudonym", "keep", "band_age", "category", "department", "clip", "shift_days")

# Domains whose dates are shifted; energy, road, charging and environment keep calendar time (7.1, `timestamp`).
SHIFTED_DOMAINS = frozenset({"clinical", "biological", "medico_economic", "community_care", "imaging", "genetic"})

# k inside a secure environment, by domain (7.2). A domain that is not here holds no threshold of its own.
K_INSIDE = {
    "clinical": 5, "biological": 5, "medico_economic": 5, "community_care": 5, "imaging": 5, "genetic": 5,
    "equipment_status": 5, "energy_metering": 10, "ev_charging": 10, "mobility_trace": 10, "maintenance": 3,
}  # fmt: skip
K_LEAVING = {
    "clinical": 11,
    "biological": 11,
    "medico_economic": 11,
    "community_care": 11,
    "imaging": 11,
    "genetic": 11,
}

NUMBERS = frozenset({"integer", "number", "float", "decimal", "double", "bigint"})
MOMENTS = frozenset({"date", "timestamp", "datetime", "time"})

AGE_NAME = re.compile(r"(^|_)(age|âge)(_|$)", re.IGNORECASE)
POSTAL_NAME = re.compile(r"postal|postcode|zip|commune|insee|code_postal|dep(artement)?$", re.IGNORECASE)


RECORD_LEVEL = frozenset({"energy_metering"})  # inside, curve by curve, of those who consented (7.2)


def threshold(domains, delivery_mode: str, *, consented: bool = False) -> int:
    """The k of a release, in distinct subjects: the highest of its domains for this way of leaving (7.2).

    1 says that there is no class to make: each subject consented, and the file stays inside the environment."""
    if consented and delivery_mode == "environment" and domains and RECORD_LEVEL.issuperset(domains):
        return 1
    table = K_INSIDE if delivery_mode == "environment" else {**K_INSIDE, **K_LEAVING}
    return max((table.get(domain, 0) for domain in domains), default=0) or 5


def is_age(column) -> bool:
    """Whether a column says how old the person is: by its name, its role keeping it apart from a measure."""
    return column.role in ("quasi_identifier", "") and bool(AGE_NAME.search(column.name))


def default_treatment(column, *, approved: bool = False) -> dict:
    """What happens to `column` (name, type, role, dataset) unless the offer tightens it.

    `approved` says that a column of reinforced sensitivity was approved by itself (G24); without it, it is dropped.
    A dataset without personal data leaves as it is, but for what is marked as an identifier.
    """
    role = column.role
    if role in ("direct_identifier", "free_text", "staff", ""):
        return {"kind": "drop"}
    if not column.dataset.is_personal:
        return {"kind": "keep"}
    if role == "subject_key":
        return {"kind": "pseudonym"}
    if role in ("record_key", "birth"):  # never as they are; what re-keys a link and tells an age comes with tables
        return {"kind": "drop"}
    if role == "sensitive" and not approved:
        return {"kind": "drop"}
    if is_age(column):
        return {"kind": "band_age", "width": 5, "top": 90}
    if role in ("quasi_identifier", "sensitive"):
        return {"kind": "category"}
    if role == "geo":
        return {"kind": "department"} if POSTAL_NAME.search(column.name) else {"kind": "drop"}
    if role == "timestamp":
        shifted = SHIFTED_DOMAINS.intersection(column.dataset.domains)
        return {"kind": "shift_days", "span": 365} if shifted else {"kind": "keep"}
    if column.dataset.consent_required and RECORD_LEVEL.issuperset(column.dataset.domains):
        return {"kind": "keep"}  # a curve without its peaks is not that curve; its persons agreed to it (7.2)
    if column.type.lower() in NUMBERS:
        return {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}
    return {"kind": "keep", "codes": system} if (system := codes.system_of(column)) else {"kind": "keep"}


def with_codes(treatment: dict, column) -> dict:
    """`treatment`, which says the system of codes of a coded column whoever wrote it: blanking is never left out."""
    system = codes.system_of(column) if column.dataset.is_personal else ""
    if system and treatment["kind"] in ("keep", "category") and not treatment.get("codes"):
        return {**treatment, "codes": system}
    return treatment


def blanked_classes(treatment: dict, *, approved: bool = False) -> tuple[str, ...]:
    """The classes of G24 whose codes leave empty from a coded column: all but those approved by themselves."""
    if not treatment.get("codes"):
        return ()
    return tuple(one for one in codes.CLASSES if not (approved and one in treatment.get("classes", ())))


def problems(treatment: dict, column, *, approved: bool = False) -> list[str]:
    """Why `treatment` may not be given to `column`; empty means it may. The floor of 7.3 is never crossed."""
    kind = treatment.get("kind")
    if kind not in KINDS:
        return [_("Le traitement de « %(column)s » n'est pas connu.") % {"column": column.name}]
    found = []
    default = default_treatment(column, approved=approved)["kind"]
    if kind == "drop":
        return []
    if default == "drop":
        found.append(_("« %(column)s » ne peut pas être remise : son rôle l'exclut.") % {"column": column.name})
    elif column.dataset.is_personal and kind != default and not (kind == "category" and default in ("keep", "clip")):
        found.append(
            _("« %(column)s » doit garder le traitement de son rôle : %(words)s.")
            % {"column": column.name, "words": words(default_treatment(column, approved=approved))}
        )
    if treatment.get("codes", codes.SYSTEMS[0]) not in codes.SYSTEMS:
        found.append(_("Le système de codes de « %(column)s » n'est pas connu.") % {"column": column.name})
    if treatment.get("classes") and (not approved or set(treatment["classes"]) - set(codes.CLASSES)):
        found.append(
            _("Une classe de codes sensibles de « %(column)s » n'est remise qu'approuvée à part.")
            % {"column": column.name}
        )
    if kind == "band_age" and (treatment.get("width", 0) < 5 or treatment.get("top", 999) > 90):
        found.append(_("Les tranches d'âge ont au moins 5 ans et s'arrêtent à 90 ans et plus."))
    if kind == "clip" and not (5 <= treatment.get("low_per_mille", 0) < treatment.get("high_per_mille", 1000) <= 995):
        found.append(_("Les bornes d'écrêtage ne dépassent pas 0,5 % et 99,5 %."))
    return found


def words(treatment: dict) -> str:
    """The treatment, said to a person."""
    kind = treatment.get("kind", "drop")
    said = {
        "drop": _("non remise"),
        "pseudonym": _("remplacée par un pseudonyme propre à la convention"),
        "keep": _("remise telle que lue"),
        "band_age": _("par tranches de %(width)s ans au moins, « %(top)s+ » au-delà")
        % {"width": treatment.get("width", 5), "top": treatment.get("top", 90)},
        "category": _("catégories rares regroupées sous « autre »"),
        "department": _("ramenée au département"),
        "clip": _("valeurs extrêmes écrêtées (0,5 % et 99,5 %)"),
        "shift_days": _("dates décalées, d'un même nombre de jours pour une même personne"),
    }[kind]
    if treatment.get("codes"):
        said += _(" ; codes de sensibilité renforcée effacés")
    return said
