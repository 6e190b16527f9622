"""Which role a column may have, and why. Pure. A steward confirms each: a suggestion decides nothing.

Suggested only where something speaks for it: a name, a shape. Source of the roles: legal-gate, section 7.1.
"""

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.utils.translation import ngettext

from zones.detection import OF_A_PERSON
from zones.geography import plain

DIRECT = (
    "name|firstname|lastname|surname|nom|prenom|ssn|nir|passport|passeport|email|mail|courriel|phone|telephone|tel|"
    "address|adresse|iban|licence plate|plate|immatriculation|vin|ipp|iep"
)
SUBJECT = (
    "patient|subject|sujet|person|personne|user|usager|customer|client|household|foyer|member|adherent|owner|lclid"
)
KEYLIKE = "id|nbr|num|number|numero|no|key|cle|code|uuid|ref|lclid"
STAFF = (
    "doctor|physician|medecin|practitioner|praticien|provider|nurse|infirmier|staff|agent|driver|conducteur|operator"
)
QUASI = (
    "age|gender|sex|sexe|genre|postcode|postal|zip|birth|birthdate|naissance|birthyear|marital|weight|poids|height|"
    "taille|profession|job|occupation|payer|insurance|assurance|admission|discharge|specialty|specialite|ward|unit|"
    "nationality|education|income|language"
)
PLACE = (
    "lat|latitude|lon|lng|long|longitude|commune|city|ville|town|county|departement|region|iris|insee|station|address"
)
MOMENT = "date|time|timestamp|heure|jour|day|horodatage|debut|fin|start|stop|end|at"
SENSITIVE = {
    "origin": "race|ethnicity|ethnie|ethnic|origin|origine|birthplace",
    "religion": "religion|culte|faith",
    "hiv": "hiv|vih|aids|sida",
    "psychiatry": "psychiatry|psychiatrie|psychiatric|mental",
    "addiction": "addiction|alcohol|alcool|drug|substance|tobacco|tabac|smoking",
    "sexual_health": "sexual|sexuel|sexuality|abortion|ivg|contraception|pregnancy|grossesse",
    "violence": "violence|abuse|maltraitance",
    "offence": "offence|offense|crime|criminal|conviction|infraction|condamnation",
    "genetic": "genome|genotype|genetic|genetique|gene|variant|snp",
}
VEHICLE = "vin|plate|immatriculation|chassis"
TOLD = "description|comment|commentaire|narrative|text|texte|remarks|notes|observation"
FEW = 50  # distinct values: a code, not a measure
LONG = 30  # signs on average: a text written by somebody


@dataclass(frozen=True, slots=True)
class Suggestion:
    role: str = ""
    because: str = ""
    sensitive_class: str = ""


def words_of(name: str) -> set[str]:
    """`patientNbr`, `patient_nbr` and `Patient nbr` are the same two words."""
    return set(plain(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")).split())


def _meets(words: set[str], listed: str) -> str:
    """The first word of the name that is in the list, or ""."""
    return next((word for word in sorted(words) if word in listed.split("|")), "")


IDENTIFIERS = {
    "nir": _l("un numéro de sécurité sociale (NIR)"), "ins": _l("une identité de santé (INS)"), "iban": _l("un IBAN"),
    "email": _l("une adresse électronique"), "phone": _l("un numéro de téléphone"),
    "plate": _l("une plaque d'immatriculation"), "vin": _l("un numéro de châssis (VIN)"), "siret": _l("un SIRET"),
    "siren": _l("un SIREN"), "coordinates": _l("une latitude et une longitude"),
}  # fmt: skip


def of_its_values(seen: dict[str, Any], *, personal: bool) -> Suggestion | None:
    """What the values themselves say, by their form and their keys; None when they are no identifier that matters."""
    detected = seen.get("detected")
    if not detected:
        return None
    kind = detected["kind"]
    because = _("%(share)s %% des valeurs différentes sont %(what)s, à leur forme et à leur clé") % {
        "share": min(round(detected["share"] * 100), 100), "what": IDENTIFIERS[kind],
    }  # fmt: skip
    if kind == "coordinates":
        return Suggestion("geo", because)
    if personal or kind in OF_A_PERSON:
        return Suggestion("direct_identifier", because)
    return None  # the number of a firm, in data about no person


def suggest(seen: dict[str, Any], *, rows: int, personal: bool) -> Suggestion:
    """The role of one profiled column, with its reason; no role when nothing speaks for one."""
    words, held = words_of(seen["name"]), rows - seen["missing"]
    kind, distinct = seen["type"], seen["distinct"]
    if not held:
        return Suggestion()
    if found := of_its_values(seen, personal=personal):
        return found
    if not personal:
        return _of_things(words, kind, distinct, held, seen)
    alone = distinct == held and held > 1 and kind in ("integer", "text")
    for klass, listed in SENSITIVE.items():
        if word := _meets(words, listed):
            return Suggestion(
                "sensitive", _("le nom « %(word)s » évoque une sensibilité renforcée") % {"word": word}, klass
            )
    if (word := _meets(words, SUBJECT)) and (_meets(words, KEYLIKE) or len(words) == 1) and distinct > FEW:
        if alone:
            return Suggestion(
                "direct_identifier", _("« %(word)s » : une valeur différente à chaque ligne") % {"word": word}
            )
        return Suggestion(
            "subject_key", _("« %(word)s » : la même valeur revient sur plusieurs lignes") % {"word": word}
        )
    if word := _meets(words, DIRECT):
        return Suggestion("direct_identifier", _("le nom « %(word)s » désigne une personne") % {"word": word})
    if alone and held >= 20:
        return Suggestion("direct_identifier", _("une valeur différente à chaque ligne"))
    if word := _meets(words, STAFF):
        return Suggestion("staff", _("le nom « %(word)s » désigne un professionnel") % {"word": word})
    if kind in ("date", "timestamp"):
        return Suggestion("timestamp", _("toutes les valeurs sont des dates"))
    if kind == "text" and seen["length"] >= LONG and distinct > held / 2:
        return Suggestion("free_text", _("des textes longs, presque tous différents"))
    if (word := _meets(words, QUASI)) and (kind == "text" or distinct <= 200):
        return Suggestion("quasi_identifier", _("« %(word)s » aide à reconnaître une personne") % {"word": word})
    if word := _meets(words, PLACE):
        return Suggestion("geo", _("le nom « %(word)s » désigne un lieu") % {"word": word})
    if kind in ("integer", "number"):
        return Suggestion("measure", _("toutes les valeurs sont des nombres"))
    if distinct <= FEW:
        return Suggestion(
            "measure",
            ngettext(
                "%(count)s valeur possible, aucun nom qui évoque une personne",
                "%(count)s valeurs possibles, aucun nom qui évoque une personne",
                distinct,
            )
            % {"count": distinct},
        )
    return Suggestion()


FHIR_IDENTITY = frozenset({"identifier", "name", "telecom", "contact", "photo", "text", "line", "position"})
FHIR_STAFF = re.compile(r"individual|practitioner|performer|requester|recorder|asserter|author", re.IGNORECASE)
FHIR_QUASI = frozenset({"gender", "age", "birthDate", "maritalStatus", "communication", "multipleBirthBoolean",
                        "multipleBirthInteger", "us-core-birthsex"})  # fmt: skip


def suggest_fhir(seen: dict[str, Any], *, rows: int, resource: str) -> Suggestion:
    """The role of one path of a FHIR resource about persons. What the standard says of it goes before its shape."""
    path = seen["name"]
    parts = path.split(".")
    if rows == seen["missing"]:
        return Suggestion()
    if (resource == "Patient" and path == "id") or path in ("subject.reference", "patient.reference"):
        return Suggestion("subject_key", _("FHIR : le numéro du patient"))
    if path == "id":
        return Suggestion("direct_identifier", _("FHIR : le numéro de la ressource"))
    if (
        not FHIR_IDENTITY.isdisjoint(parts[:1])
        or "line" in parts
        or "identifier" in parts
        or re.search(r"maiden|geolocation", path, re.IGNORECASE)
    ):
        return Suggestion("direct_identifier", _("FHIR : « %(path)s » désigne une personne") % {"path": path})
    if parts[-1] == "reference":
        if FHIR_STAFF.search(path):
            return Suggestion("staff", _("FHIR : un renvoi à un professionnel"))
        return Suggestion("direct_identifier", _("FHIR : un renvoi à une autre ressource"))
    if re.search(r"race|ethnicity|birthplace", path, re.IGNORECASE):
        return Suggestion("sensitive", _("FHIR : « %(path)s » dit une origine") % {"path": path}, "origin")
    if parts[0] == "address":
        return Suggestion("geo", _("FHIR : l'adresse du patient"))
    if parts[0] in FHIR_QUASI:
        return Suggestion("quasi_identifier", _("FHIR : « %(path)s » aide à reconnaître une personne") % {"path": path})
    return suggest(seen, rows=rows, personal=True)


def _of_things(words: set[str], kind: str, distinct: int, held: int, seen: dict[str, Any]) -> Suggestion:
    """The same for data about no person: only dates, places and measures are told apart."""
    if word := _meets(words, VEHICLE):
        return Suggestion("direct_identifier", _("le nom « %(word)s » désigne un véhicule") % {"word": word})
    if kind in ("date", "timestamp"):
        return Suggestion("timestamp", _("toutes les valeurs sont des dates"))
    if kind == "text" and seen["length"] >= LONG and (distinct > held / 2 or _meets(words, TOLD)):
        return Suggestion("free_text", _("des textes longs, écrits par quelqu'un"))
    if word := _meets(words, PLACE):
        return Suggestion("geo", _("le nom « %(word)s » désigne un lieu") % {"word": word})
    if kind in ("integer", "number"):
        return Suggestion("measure", _("toutes les valeurs sont des nombres"))
    if distinct <= FEW:
        return Suggestion(
            "measure",
            ngettext(
                "%(count)s valeur possible, sans lien avec une personne",
                "%(count)s valeurs possibles, sans lien avec une personne",
                distinct,
            )
            % {"count": distinct},
        )
    return Suggestion()
