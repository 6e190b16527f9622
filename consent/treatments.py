"""The treatment of each column of an offer: the default by role, its words for people, its limits. Pure.

Source: legal-gate, sections 7.1 (defaults), 7.2 (profiles), 7.3 (what operators may relax: nothing below the floor).
A treatment is a small JSON object kept with the offer's column:

    {"kind": "drop"}                                    the column does not leave
    {"kind": "pseudonym"}                               HMAC-SHA-256 under the convention's key, 32 hex characters
                                                        (the recipe adds "per": "day" where it lasts a day)
    {"kind": "rekey"}                                   the same of a key between tables, in a domain of its own
    {"kind": "keep"}                                    the values as read, missing marks made null
    {"kind": "band_age", "width": 5, "top": 90}         age bands in years, never finer than the source
    {"kind": "category"}                                categories of fewer than k subjects merged into "autre"
    {"kind": "department"}                              first two signs of a commune or postal code (three overseas)
    {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}   top and bottom coded at these quantiles
    {"kind": "shift_days", "span": 365}                 a shift constant within the subject, -182 to +182 days
    {"kind": "shift_weeks", "span": 28}                 the same in whole weeks, -28 to +28 days: seasons and days stay
    {"kind": "birth_band", "width": 5, "top": 90}       bands of birth years; whoever is that old or older in one band
                                                        (the recipe adds "year", that of the version's reception)
    {"kind": "round", "decimals": 1, ...}               clipped as above where that is the default, then rounded
    {"kind": "minute" | "hour" | "day" | "month"}       calendar time cut to the start of that unit
    {"kind": "grid_1km", "axis": "latitude", "pair": "longitude"}   the middle of the cell of 1 km (see below)
    {"kind": "trim_trace", "axis": "latitude", "pair": "longitude"}   points of a trip, its ends cut (see `recipe`)
    {"kind": "commune_group"}                           the group of communes of 5,000 inhabitants or more
                                                        (`zones.groups`; the recipe adds the table's "sha256")

`choices` lists what an operator may take for a column, its default first. The grid: rows of 1 km in latitude, a degree
being 111.195 km (a sphere of 6,371.0088 km); in each row, cells of 1 km at the latitude of its middle. So with
r = floor(latitude * 111.195), m = (r + 0.5) / 111.195 and w = 111.195 * cos(m): the cell is floor(longitude * w), and
what leaves is m and (cell + 0.5) / w, both to five decimals. Cells are equal in area to 0.1 % in France.

A column of codes says their system ("codes": "icd9cm"): its cells of reinforced sensitivity are blanked (G24), but for
the classes that were approved by themselves ("classes": ["hiv"]), which needs the column's own approval.

Tighter than 7.1 on two points: staff columns are dropped, and so are coordinates.
"""

import re

from django.utils.translation import gettext as _

from consent import codes

KINDS = (
    "drop", "pseudonym", "rekey", "keep", "band_age", "birth_band", "category", "department", "commune_group",
    "grid_1km", "trim_trace", "clip", "round", "shift_days", "shift_weeks", "minute", "hour", "day", "month",
)  # fmt: skip

# What others could know of a person once it has left: the kinds and roles whose values make the classes of k.
SEEN_KINDS = frozenset({"band_age", "birth_band", "category", "department", "commune_group", "grid_1km"})
SEEN_ROLES = frozenset({"quasi_identifier", "geo", "sensitive", "birth"})

# Calendar time, from the finest; a profile that keeps it may be cut coarser, never finer.
STEPS = ("minute", "hour", "day", "month")
STEPPED_DOMAINS = frozenset({"mobility_trace", "ev_charging"})  # steps of 1 minute inside, 1 hour outside (7.2)
WIDER = (10, 20)  # years in a band, beside five
POINTS = frozenset({"grid_1km", "trim_trace"})  # kinds that treat two coordinates together
DECIMALS = (3, 2, 1, 0)  # a measure is rounded to one of these

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
CALENDAR = MOMENTS - {"time"}

AGE_NAME = re.compile(r"(^|_)(age|âge)(_|$)", re.IGNORECASE)
# A code written in figures is no measure: brought to a bound it would be another code.
CODE_NAME = re.compile(r"(code|concept_id|source_value)$", re.IGNORECASE)
COMMUNE_NAME = re.compile(r"commune|insee|codgeo|code_geo", re.IGNORECASE)
POSTAL_NAME = re.compile(r"postal|postcode|zip|commune|insee|code_postal|dep(artement)?$", re.IGNORECASE)
AXES = {
    "latitude": re.compile(r"(^|_)(latitude|lat)(?=_|$)", re.I),
    "longitude": re.compile(r"(^|_)(longitude|long|lon|lng)(?=_|$)", re.I),
}


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


def is_seen(treatment: dict, role: str) -> bool:
    """Whether others could know this value of a person: quasi-identifiers, places, births, and an approved origin."""
    return treatment["kind"] in SEEN_KINDS and role in SEEN_ROLES


def day_of(columns) -> str | None:
    """The name of the moment whose day makes the pseudonym, where a person bears a new one every day (7.2)."""
    return next(
        (c.name for c in columns if c.role == "timestamp" and c.type.lower() in CALENDAR
         and STEPPED_DOMAINS.intersection(c.dataset.domains)),
        None,
    )  # fmt: skip


def outside(treatment: dict, column) -> dict:
    """`treatment` as it is where the file leaves the secure environment: steps of an hour for trips and charging."""
    if treatment["kind"] == "minute" and STEPPED_DOMAINS.intersection(column.dataset.domains):
        return {"kind": "hour"}
    return treatment


def axis_of(column) -> str:
    """ "latitude" or "longitude" for a coordinate in degrees, by its name and type; else ""."""
    if column.type.lower() not in NUMBERS:
        return ""
    return next((axis for axis, name in AXES.items() if name.search(column.name)), "")


def pair_of(column, columns) -> str | None:
    """The name of the coordinate that goes with `column` among `columns`: the same name but for the axis."""
    axis = axis_of(column)
    if not axis:
        return None
    bare = AXES[axis].sub(r"\1@", column.name).lower()
    other = "longitude" if axis == "latitude" else "latitude"
    return next(
        (one.name for one in columns if axis_of(one) == other and AXES[other].sub(r"\1@", one.name).lower() == bare),
        None,
    )


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
    if role == "record_key":
        return {"kind": "rekey"}
    if role == "sensitive" and not approved:
        return {"kind": "drop"}
    if is_age(column):
        return {"kind": "band_age", "width": 5, "top": 90}
    if role == "birth":
        return {"kind": "birth_band", "width": 5, "top": 90}
    if role in ("quasi_identifier", "sensitive"):
        return {"kind": "category"}
    if role == "geo":
        return {"kind": "department"} if POSTAL_NAME.search(column.name) else {"kind": "drop"}
    if role == "timestamp":
        if SHIFTED_DOMAINS.intersection(column.dataset.domains):
            return {"kind": "shift_days", "span": 365}
        if STEPPED_DOMAINS.intersection(column.dataset.domains):
            return {"kind": "minute"} if column.type.lower() in CALENDAR else {"kind": "drop"}
        return {"kind": "keep"}
    if column.dataset.consent_required and RECORD_LEVEL.issuperset(column.dataset.domains):
        return {"kind": "keep"}  # a curve without its peaks is not that curve; its persons agreed to it (7.2)
    if column.type.lower() in NUMBERS and not CODE_NAME.search(column.name):
        return {"kind": "clip", "low_per_mille": 5, "high_per_mille": 995}
    return {"kind": "keep", "codes": system} if (system := codes.system_of(column)) else {"kind": "keep"}


def choices(column, *, approved: bool = False, columns=()) -> list[dict]:
    """What an operator may do with `column`, the default first, then what is allowed beside it (7.1), then tighter.

    `columns`: the dataset's, among which a coordinate finds the one that goes with it."""
    default = default_treatment(column, approved=approved)
    kind = default["kind"]
    beside: list[dict] = []
    if not column.dataset.is_personal or kind in ("pseudonym", "rekey"):
        pass
    elif kind in ("band_age", "birth_band"):
        beside = [{**default, "width": width} for width in WIDER]
    elif column.role == "geo" and kind == "department":
        beside = [{"kind": "commune_group"}] if COMMUNE_NAME.search(column.name) else []
    elif column.role == "geo" and (axis := axis_of(column)) and (pair := pair_of(column, columns)):
        kinds = ("trim_trace", "grid_1km") if "mobility_trace" in column.dataset.domains else ("grid_1km",)
        beside = [{"kind": one, "axis": axis, "pair": pair} for one in kinds]
    elif kind == "shift_days":
        beside = [{"kind": "shift_weeks", "span": 28}]
    elif column.role == "timestamp" and column.type.lower() in CALENDAR:
        beside = [{"kind": step} for step in STEPS if step != kind]
    elif kind in ("keep", "clip"):
        if column.type.lower() in NUMBERS:
            beside = [{**default, "kind": "round", "decimals": decimals} for decimals in DECIMALS]
        beside.append({"kind": "category"})
    return [default, *beside, *([] if kind == "drop" else [{"kind": "drop"}])]


def coarser(treatment: dict) -> dict | None:
    """The next treatment that tells less of the same column, where there is one beside leaving it out."""
    match treatment["kind"]:
        case "band_age" | "birth_band":
            width = next((width for width in WIDER if width > treatment["width"]), None)
            return {**treatment, "width": width} if width else None
        case "commune_group":
            return {"kind": "department"}
    return None


def name_of(treatment: dict) -> str:
    """A short name of a choice, for a form: its kind and what tells it from others of its kind."""
    return ":".join(str(treatment[part]) for part in ("kind", "width", "decimals") if part in treatment)


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


def problems(treatment: dict, column, *, approved: bool = False, columns=()) -> list[str]:
    """Why `treatment` may not be given to `column`; empty means it may. The floor of 7.3 is never crossed."""
    kind = treatment.get("kind")
    if kind not in KINDS:
        return [_("Le traitement de « %(column)s » n'est pas connu.") % {"column": column.name}]
    found = []
    allowed = choices(column, approved=approved, columns=columns)
    default = allowed[0]
    if kind == "drop":
        return []
    if kind not in {one["kind"] for one in allowed}:
        if default["kind"] == "drop":
            found.append(_("« %(column)s » ne peut pas être remise : son rôle l'exclut.") % {"column": column.name})
        else:
            found.append(
                _("« %(column)s » doit garder le traitement de son rôle : %(words)s.")
                % {"column": column.name, "words": words(default)}
            )
    if kind in ("shift_days", "shift_weeks") and column.type.lower() not in {*CALENDAR, "empty"}:
        found.append(
            _("« %(column)s » dit un moment, mais ses valeurs ne sont plus lues comme des dates. Le responsable du jeu "
              "doit relire la version en disant leur forme.") % {"column": column.name}
        )  # fmt: skip
    if treatment.get("codes", codes.SYSTEMS[0]) not in codes.SYSTEMS:
        found.append(_("Le système de codes de « %(column)s » n'est pas connu.") % {"column": column.name})
    if treatment.get("classes") and (not approved or set(treatment["classes"]) - set(codes.CLASSES)):
        found.append(
            _("Une classe de codes sensibles de « %(column)s » n'est remise qu'approuvée à part.")
            % {"column": column.name}
        )
    if kind in ("band_age", "birth_band") and (treatment.get("width", 0) < 5 or treatment.get("top", 999) > 90):
        found.append(_("Les tranches d'âge ont au moins 5 ans et s'arrêtent à 90 ans et plus."))
    bounds = treatment.get("low_per_mille", 0), treatment.get("high_per_mille", 1000)
    if (kind == "clip" or (kind == "round" and default["kind"] == "clip")) and not 5 <= bounds[0] < bounds[1] <= 995:
        found.append(_("Les bornes d'écrêtage ne dépassent pas 0,5 % et 99,5 %."))
    if kind == "round" and treatment.get("decimals") not in DECIMALS:
        found.append(_("Une mesure s'arrondit à trois décimales au plus."))
    if kind in POINTS and treatment not in allowed:
        found.append(_("« %(column)s » ne part qu'avec l'autre coordonnée.") % {"column": column.name})
    return found


def disagreements(treatments: dict[str, dict]) -> list[str]:
    """Why treatments of several columns, by name, do not go together; empty means they do."""
    found = []
    if len({one["kind"] for one in treatments.values()} & {"shift_days", "shift_weeks"}) > 1:
        # The time between two dates of a person would be false.
        found.append(
            _("Les dates d'une même remise se décalent toutes de la même façon : choisissez jours ou semaines.")
        )
    for name, one in treatments.items():
        if one["kind"] in POINTS and treatments.get(one["pair"], {}).get("kind") != one["kind"]:
            found.append(
                _("« %(name)s » ne part qu'avec « %(pair)s », traitée de même : prenez les deux.")
                % {"name": name, "pair": one["pair"]}
            )
    return found


def words(treatment: dict) -> str:
    """The treatment, said to a person."""
    kind = treatment.get("kind", "drop")
    said = {
        "drop": _("non remise"),
        "pseudonym": _("remplacée par un pseudonyme propre à la convention, un autre chaque jour")
        if treatment.get("per") == "day"
        else _("remplacée par un pseudonyme propre à la convention"),
        "rekey": _("clé refaite pour la convention : les tables se joignent encore entre elles"),
        "keep": _("remise telle que lue"),
        "band_age": _("par tranches de %(width)s ans au moins, « %(top)s+ » au-delà")
        % {"width": treatment.get("width", 5), "top": treatment.get("top", 90)},
        "birth_band": _("par tranches de %(width)s années de naissance, %(top)s ans et plus réunis")
        % {"width": treatment.get("width", 5), "top": treatment.get("top", 90)},
        "category": _("catégories rares regroupées sous « autre »"),
        "department": _("ramenée au département"),
        "commune_group": _("ramenée à un groupe de communes d'au moins 5 000 habitants"),
        "trim_trace": _("points d'un trajet, ses 300 à 500 premiers et derniers mètres retirés, un par minute"),
        "grid_1km": _("ramenée au centre d'un carreau d'un kilomètre"),
        "clip": _("valeurs extrêmes écrêtées (0,5 % et 99,5 %)"),
        "round": _("valeurs extrêmes écrêtées (0,5 %% et 99,5 %%), puis arrondies à %(decimals)s décimale(s)")
        if "low_per_mille" in treatment
        else _("arrondie à %(decimals)s décimale(s)"),
        "shift_days": _("dates décalées, d'un même nombre de jours pour une même personne"),
        "shift_weeks": _("dates décalées de semaines entières, quatre au plus, les mêmes pour une même personne"),
        "minute": _("heure coupée à la minute"),
        "hour": _("heure coupée à l'heure pleine"),
        "day": _("date sans l'heure"),
        "month": _("ramenée au premier jour du mois"),
    }[kind]
    if kind == "round":
        said %= {"decimals": treatment.get("decimals", 0)}
    if treatment.get("codes"):
        said += _(" ; codes de sensibilité renforcée effacés")
    return said
