"""FHIR resources, one a line, laid flat: a dotted path a column. Pure. Source: HL7 FHIR R4, JSON format and datatypes.

    Patient.birthDate                               birthDate
    Patient.address[0].postalCode                   address.postalCode
    extension "…/us-core-race", ombCategory         us-core-race.ombCategory.code
    subject.reference "Patient/12"                  subject.reference, the key "12" of table Patient
    "Practitioner?identifier=npi|99", or identifier {system, value}:  the value "99" of Practitioner.identifier

Only the fields of `ALLOWED` enter a table, by type of resource: what is not on the list is dropped and counted, and a
type without a list is refused. At any depth narratives, display strings, free texts, names, telephones, street lines
and contained resources are dropped. Of a list the first value is kept, and the lines that hold more are counted. What
cannot be laid flat is refused with its line.
"""

import re
from calendar import monthrange
from collections import Counter
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from broker.errors import BadInput

DEEPEST = 12  # levels; the deepest published resource holds eight
OMITTED = frozenset({"meta", "implicitRules"})  # of the record, not of the person
# The fields of each type that may enter a table, beside `id`; an extension is called by the end of its address.
ALLOWED: dict[str, frozenset[str]] = {
    resource: frozenset(fields.split())
    for resource, fields in {
        "Patient": "active gender birthDate deceasedBoolean deceasedDateTime address maritalStatus "
        "multipleBirthBoolean multipleBirthInteger communication generalPractitioner managingOrganization "
        "us-core-race us-core-ethnicity us-core-birthsex disability-adjusted-life-years quality-adjusted-life-years",
        "AllergyIntolerance": "clinicalStatus verificationStatus type category criticality code patient encounter "
        "onsetDateTime onsetAge recordedDate recorder asserter lastOccurrence reaction",
        "CarePlan": "status intent category subject encounter period created careTeam addresses activity",
        "Claim": "status type use patient billablePeriod created insurer provider priority total",
        "Condition": "clinicalStatus verificationStatus category severity code bodySite subject encounter "
        "onsetDateTime onsetAge onsetPeriod abatementDateTime abatementAge abatementPeriod recordedDate recorder "
        "asserter stage",
        "Device": "status type manufactureDate expirationDate patient owner location",
        "DiagnosticReport": "status category code subject encounter effectiveDateTime effectivePeriod issued performer "
        "result conclusionCode",
        "Encounter": "status class type serviceType priority subject period length participant reasonCode "
        "reasonReference diagnosis hospitalization location serviceProvider partOf",
        "ExplanationOfBenefit": "status type use patient billablePeriod created insurer provider outcome total payment",
        "Immunization": "status statusReason vaccineCode patient encounter occurrenceDateTime recorded primarySource "
        "location site route doseQuantity performer",
        "Location": "status mode type physicalType identifier address managingOrganization partOf",
        "Medication": "code status form amount",
        "MedicationAdministration": "status category medicationCodeableConcept medicationReference subject context "
        "effectiveDateTime effectivePeriod performer reasonCode reasonReference dosage",
        "MedicationRequest": "status intent category priority medicationCodeableConcept medicationReference subject "
        "encounter authoredOn requester performer reasonCode reasonReference dosageInstruction dispenseRequest",
        "Observation": "status category code subject encounter effectiveDateTime effectivePeriod issued performer "
        "valueQuantity valueCodeableConcept valueBoolean valueInteger valueDateTime interpretation bodySite method "
        "referenceRange component dataAbsentReason",
        "Organization": "active type identifier address partOf utilization-encounters-extension "
        "utilization-procedures-extension utilization-labs-extension utilization-prescriptions-extension "
        "bed-count-extension",
        "Practitioner": "active identifier gender qualification utilization-encounters-extension",
        "PractitionerRole": "active identifier period practitioner organization code specialty location",
        "Procedure": "status statusReason category code subject encounter performedDateTime performedPeriod recorder "
        "asserter performer location reasonCode reasonReference bodySite outcome",
    }.items()
}
KEYED = frozenset({"Location", "Organization", "Practitioner", "PractitionerRole"})  # found by their identifier
# What names a person or tells freely, dropped at any depth below an allowed field.
DROPPED = frozenset(
    ("text", "display", "div", "name", "telecom", "contact", "photo", "line", "position", "geolocation", "identifier",
     "note", "comment", "description", "patientInstruction", "valueString", "valueAttachment", "contained", "issuer")
)  # fmt: skip
LOGICAL = frozenset({"identifier", "display", "type", "id"})  # of a reference without an address
TARGETS = {  # the type meant by a field whose references say only an identifier (R4, each field's definition)
    "managingOrganization": "Organization", "organization": "Organization", "serviceProvider": "Organization",
    "practitioner": "Practitioner", "location": "Location",
}  # fmt: skip
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
        self.dropped: Counter[str] = Counter()  # field -> lines where it was not let in
        self.targets: dict[str, Counter[tuple[str, str]]] = {}  # path -> (type, id or identifier) -> references

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
        if kind not in ALLOWED:
            raise BadInput(
                _("Ligne %(line)s : les ressources %(kind)s n'ont pas de liste de champs qui peuvent entrer dans une "
                  "table. Retirez ce fichier.") % {"line": line, "kind": kind}
            )  # fmt: skip
        self.cells: dict[str, str] = {}
        self.several: set[str] = set()
        self.left: set[str] = set()
        self.allowed = ALLOWED[kind] | {"id"}
        self._object({k: v for k, v in found.items() if k != "resourceType"}, "", 0)
        if self.age_on and kind == "Patient" and AGE not in self.cells:
            self.cells[AGE] = age_in_years(
                self.cells.get("birthDate", ""), self.cells.get("deceasedDateTime", "") or self.age_on
            )
        self.lists.update(self.several)
        self.dropped.update(self.left)
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
        if self.dropped:
            told["dropped"] = dict(sorted(self.dropped.items()))
        if self.targets:
            told["keys"] = {path: list(counts.most_common(1)[0][0]) for path, counts in sorted(self.targets.items())}
        return told

    def _drop(self, path: str) -> None:
        self.left.add(path)

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
            elif key == "modifierExtension":
                raise self._refuse(path, _("une extension change le sens de la ressource. Retirez ces ressources."))
            elif key == "extension":
                self._extensions(value, prefix, depth)
            elif not self._may_enter(key.removeprefix("_"), prefix):
                self._drop(path.replace("._", ".").removeprefix("_"))
            elif key.startswith("_"):  # what is said of a plain value, beside it
                beside = _first(value) if isinstance(value, list) else value
                if isinstance(beside, dict):
                    self._object(beside, f"{prefix}.{key[1:]}" if prefix else key[1:], depth + 1)
            elif key == "identifier":
                self._identifier(value)
            else:
                self._value(value, path, depth)

    def _may_enter(self, key: str, prefix: str) -> bool:
        return key not in DROPPED if prefix else key in self.allowed

    def _identifier(self, value: Any) -> None:
        """The first identifier of a resource that others find by it: its value alone."""
        values = value if isinstance(value, list) else [value]
        if len(values) > 1:
            self.several.add("identifier")
        first = _first(values)
        if isinstance(first, dict) and first.get("value") is not None and self.resource in KEYED:
            self._put("identifier", first["value"])

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
        elif "reference" in value or ("identifier" in value and not value.keys() - LOGICAL):
            self.displays += "display" in value
            self._reference(value, f"{path}.reference")
        elif "display" in value and not value.keys() - LOGICAL:  # a reference that only names somebody
            self.displays += 1
        else:
            self._object(value, path, depth + 1)

    def _reference(self, value: dict, path: str) -> None:
        """The key of the resource that is meant: its id, or its identifier where it is found by it."""
        told, identifier = value.get("reference"), value.get("identifier")
        target, by, key = str(value.get("type") or TARGETS.get(path.split(".")[-2], "")), "identifier", ""
        if isinstance(told, str) and "?" in told:
            target, _sign, asked = told.partition("?")
            key = asked.partition("identifier=")[2].split("&")[0].rpartition("|")[2]
        elif isinstance(told, str) and told:
            if told.startswith("#"):
                self._drop(path)  # a resource contained in this one
                return
            parts = told.removeprefix("urn:uuid:").split("/")
            key, by = parts[parts.index("_history") - 1 if "_history" in parts else -1], "id"
            target = parts[parts.index(key) - 1] if len(parts) > 1 else target
        elif isinstance(identifier, dict):
            key = str(identifier.get("value") or "")
        if not key:
            self._drop(path)
            return
        if path not in self.cells:
            self.targets.setdefault(path, Counter())[target, by] += 1
        self._put(path, key)

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
            if not self._may_enter(name, prefix):
                self._drop(path)
                continue
            if "extension" in one:
                self._extensions(one["extension"], path, depth + 1)
            for key, value in one.items():
                if key.startswith("value"):
                    self._value(value, path, depth)


def _first(values: list) -> Any:
    return next((value for value in values if value is not None), None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


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
