"""FHIR resources, one a line, laid flat: a dotted path a column. Pure. Source: HL7 FHIR R4, JSON format and datatypes.

    Patient.birthDate                       birthDate
    Patient.address[0].postalCode           address.postalCode
    extension "…/us-core-race", ombCategory us-core-race.ombCategory.code

Of a list the first value is kept, and the lines that hold more are counted. What names a person (names, identifiers,
telephones, street lines, narrative, geolocation, photographs) stands whole in one column a branch, to be dropped
together. The display of a reference names somebody: it is never kept. What cannot be laid flat is refused with its
line.
"""

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from broker.errors import BadInput

DEEPEST = 12  # levels; the deepest published resource holds eight
OMITTED = frozenset({"meta", "implicitRules"})  # of the record, not of the person
# Branches of a person's identity, at any depth when they hold a structure.
IDENTITY = frozenset({"identifier", "name", "telecom", "contact", "photo", "line", "position", "qualification"})
IDENTITY_EXTENSION = re.compile(r"maiden|geolocation|ssn|passport|photo|nationalid", re.IGNORECASE)
# Keys inside an identity branch that tell its kind, not whose it is.
KIND_OF = frozenset({"system", "use", "type", "period", "rank", "url", "status", "code"})
AGE = "age"


class Flattening:
    """The columns and the counts of the resources of one file, one resource after the other."""

    def __init__(self, *, age_on: str = ""):
        self.resource = ""
        self.age_on = age_on
        self.columns: dict[str, None] = {}
        self.lists: Counter[str] = Counter()  # path -> lines with more than one value
        self.displays = 0  # names dropped from references
        self.omitted: set[str] = set()

    def flat(self, found: Any, line: int) -> dict[str, str]:
        """The cells of one resource. Raises BadInput with its line."""
        self._line = line
        kind = found.get("resourceType") if isinstance(found, dict) else None
        if not isinstance(kind, str) or not kind:
            raise BadInput(
                _("Ligne %(line)s : pas de « resourceType ». Ce n'est pas une ressource FHIR ; choisissez le format "
                  "« JSON par lignes ».") % {"line": line}
            )  # fmt: skip
        if kind == "Bundle":
            raise BadInput(
                _("Ligne %(line)s : un Bundle entier. Exportez en vrac (NDJSON) : une ressource par ligne.")
                % {"line": line}
            )
        self.resource = self.resource or kind
        if kind != self.resource:
            raise BadInput(
                _("Ligne %(line)s : une ressource %(found)s parmi des ressources %(wanted)s. Envoyez un fichier par "
                  "type de ressource.") % {"line": line, "found": kind, "wanted": self.resource}
            )  # fmt: skip
        self.cells: dict[str, str] = {}
        self.several: set[str] = set()
        self._object({k: v for k, v in found.items() if k != "resourceType"}, "", 0)
        if self.age_on and kind == "Patient" and AGE not in self.cells:
            self.cells[AGE] = age_in_years(
                self.cells.get("birthDate", ""), self.cells.get("deceasedDateTime", "") or self.age_on
            )
        self.lists.update(self.several)
        for path in self.cells:
            self.columns.setdefault(path)
        return self.cells

    def counts(self) -> dict[str, Any]:
        """What was done beside laying flat, for the page and the manifest."""
        told: dict[str, Any] = {"resource": self.resource, "lists": dict(sorted(self.lists.items()))}
        if self.displays:
            told["displays"] = self.displays
        if self.omitted:
            told["omitted"] = sorted(self.omitted)
        return told

    def _put(self, path: str, value: Any) -> None:
        if path in self.cells:
            self.several.add(path)
            return
        self.cells[path] = _text(value)

    def _refuse(self, path: str, why: str) -> BadInput:
        return BadInput(
            _("Ligne %(line)s, « %(path)s » : %(why)s") % {"line": self._line, "path": path[:120], "why": why}
        )

    def _object(self, found: dict, prefix: str, depth: int) -> None:
        if depth > DEEPEST:
            raise self._refuse(
                prefix, _("plus de %(most)s niveaux imbriqués. Exportez une ressource FHIR R4.") % {"most": DEEPEST}
            )
        for key, value in found.items():
            if value is None:
                continue
            path = f"{prefix}.{key}" if prefix else key
            if (not prefix and key in OMITTED) or key == "system":
                self.omitted.add(path if not prefix else key)
            elif key == "contained":
                raise self._refuse(
                    path, _("une ressource en contient une autre. Exportez-les à part, sans « contained ».")
                )
            elif key == "modifierExtension":
                raise self._refuse(path, _("une extension change le sens de la ressource. Retirez ces ressources."))
            elif key == "extension":
                self._extensions(value, prefix, depth)
            elif key.startswith("_"):  # what is said of a plain value, beside it
                beside = _first(value) if isinstance(value, list) else value
                if isinstance(beside, dict):
                    self._object(beside, f"{prefix}.{key[1:]}" if prefix else key[1:], depth + 1)
            elif (key in IDENTITY and (isinstance(value, (dict, list)) or not prefix)) or _is_narrative(value):
                self._put(path, "présente" if key == "photo" else " | ".join(_leaves(value)))
            else:
                self._value(value, path, depth)

    def _value(self, value: Any, path: str, depth: int) -> None:
        if isinstance(value, list):
            if len(value) > 1:
                self.several.add(path)
            value = _first(value)
            if isinstance(value, list):
                raise self._refuse(
                    path, _("une liste de listes, que FHIR ne connaît pas. Exportez une ressource FHIR R4.")
                )
        if value is None:
            return
        if not isinstance(value, dict):
            self._put(path, value)
        elif "reference" in value or (
            "display" in value and not value.keys() - {"display", "type", "identifier", "id"}
        ):
            self.displays += "display" in value
            if value.get("reference"):
                self._put(f"{path}.reference", value["reference"])
        else:
            self._object(value, path, depth + 1)

    def _extensions(self, found: Any, prefix: str, depth: int) -> None:
        if not isinstance(found, list):
            raise self._refuse(
                prefix or "extension", _("« extension » n'est pas une liste. Exportez une ressource FHIR R4.")
            )
        if depth > DEEPEST:
            raise self._refuse(
                prefix, _("plus de %(most)s niveaux imbriqués. Exportez une ressource FHIR R4.") % {"most": DEEPEST}
            )
        met = set()
        for one in found:
            url = one.get("url") if isinstance(one, dict) else None
            if not isinstance(url, str) or not url:
                raise self._refuse(
                    prefix or "extension", _("une extension n'a pas d'« url ». Exportez une ressource FHIR R4.")
                )
            name = re.split(r"[/#]", url.rstrip("/"))[-1]
            path = f"{prefix}.{name}" if prefix else name
            if path in met:
                self.several.add(path)
                continue
            met.add(path)
            if IDENTITY_EXTENSION.search(name):
                self._put(path, " | ".join(_leaves({k: v for k, v in one.items() if k != "url"})))
                continue
            if "extension" in one:
                self._extensions(one["extension"], path, depth + 1)
            for key, value in one.items():
                if key.startswith("value"):
                    self._value(value, path, depth)


def _first(values: list) -> Any:
    return next((value for value in values if value is not None), None)


def _is_narrative(value: Any) -> bool:
    return isinstance(value, dict) and "div" in value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _leaves(value: Any) -> Iterable[str]:
    """Every plain value below, but those that only tell a kind."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in KIND_OF:
                yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield _text(value)


def age_in_years(born: str, on: str) -> str:
    """Whole years from `born` (a FHIR date: year, month or day) to `on`; the least that a coarse date allows."""
    try:
        birth, at = _day(born, (0, 12, 31)), _day(on, (0, 1, 1))
    except ValueError:
        return ""
    years = at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))
    return str(years) if years >= 0 else ""


def _day(told: str, coarse: tuple[int, int, int]) -> date:
    parts = tuple(int(part) for part in told[:10].split("-"))
    parts += coarse[len(parts) :]
    year, month, day = parts
    return date(year, month, min(day, monthrange(year, month)[1]) if 1 <= month <= 12 else day)
