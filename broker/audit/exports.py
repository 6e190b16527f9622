"""Inscriptions in the formats that other systems read. Each line is a function of a leaf's bytes and of its place.

| form | what | verifies |
|---|---|---|
| `jsonl` | the leaf's bytes, one a line | yes: the only one; its proofs are in the bundle or at /log/preuve |
| `csv` | RFC 4180, one column a key of the leaf; no cell starts a formula | no |
| `fhir` | FHIR R4 `AuditEvent`, one a line (application/fhir+ndjson), for zones of health | no |
| `syslog` | RFC 5424, facility 13 (log audit); the message is the leaf | once its message is taken out |

The three derived forms carry `leaf_index`, by which the leaf that verifies is found again.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from broker.audit import search, state
from broker.audit.search import Entry
from broker.errors import BadInput, WrongState

COLUMNS = (
    "leaf_index", "id", "at", "zone", "actor", "actor_kind", "auth", "org", "on_behalf", "conv", "obj_type", "obj_id",
    "obj_ver", "act", "purp", "basis", "out", "reason", "policy", "req", "ip", "sub", "n", "d", "tool",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute. Source: OWASP, CSV injection
ENTERPRISE = 32473  # the number that RFC 5612 reserves for those who have none
FACILITY = 13
SEVERITIES = {"allow": 6, "deny": 4, "error": 3}  # informational, warning, error
OUTCOMES = {"allow": "0", "deny": "4", "error": "8"}  # http://hl7.org/fhir/R4/valueset-audit-event-outcome.html
ACTIONS = {"create": "C", "add": "C", "remove": "D", "destroy": "D", "amend": "U", "download": "R", "read": "R"}
DCM = "http://dicom.nema.org/resources/ontology/DCM"
TYPES = {
    "data": ("110106", "Export"), "release": ("110106", "Export"), "log": ("110101", "Audit Log Used"),
    "user": ("110114", "User Authentication"),
}  # fmt: skip
ANY_TYPE = ("110100", "Application Activity")


def jsonl(entries: Iterable[Entry], origin: str) -> Iterator[str]:
    for entry in entries:
        yield f"{entry.payload}\n"


def table(entries: Iterable[Entry], origin: str) -> Iterator[str]:
    yield row(COLUMNS)
    for entry in entries:
        yield row(_cells(entry))


def row(cells: Iterable[Any]) -> str:
    """One line of a table (RFC 4180), in which no cell starts a formula."""
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if str(cell).startswith(FORMULA) else cell for cell in cells])
    return out.getvalue()


def _cells(entry: Entry) -> list[Any]:
    facts: dict[str, Any] = {**(entry.event or {"act": "unparsed"}), "leaf_index": entry.leaf_index}
    actor, obj = facts.get("actor") or {}, facts.get("obj") or {}
    facts |= {"actor": actor.get("id", ""), "actor_kind": actor.get("kind", ""), "auth": actor.get("auth", "")}
    facts |= {f"obj_{name}": obj.get(name, "") for name in ("type", "id", "ver")}
    facts["reason"] = " ".join(facts.get("reason") or ())
    return ["" if facts.get(name) is None else facts[name] for name in COLUMNS]


def syslog(entries: Iterable[Entry], origin: str) -> Iterator[str]:
    for entry in entries:
        event = entry.event or {}
        priority = FACILITY * 8 + SEVERITIES.get(event.get("out", "allow"), 5)
        facts = {
            "leaf_index": entry.leaf_index,
            "origin": origin,
            "id": event.get("id", ""),
            "out": event.get("out", ""),
        }
        data = " ".join(f'{name}="{_escaped(str(value))}"' for name, value in facts.items())
        header = (
            f"<{priority}>1 {event.get('at', '-')} {origin.partition('/')[0]} terrain - {event.get('act', '-')[:32]}"
        )
        yield f"{header} [leaf@{ENTERPRISE} {data}] \ufeff{entry.payload}\n"


def _escaped(value: str) -> str:
    """RFC 5424, section 6.3.3."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def fhir(entries: Iterable[Entry], origin: str) -> Iterator[str]:
    for entry in entries:
        if entry.event and entry.event["v"] == 1:
            resource = audit_event(entry.leaf_index, entry.event, origin)
            yield json.dumps(resource, ensure_ascii=False, separators=(",", ":")) + "\n"


def audit_event(leaf_index: int, event: dict[str, Any], origin: str) -> dict[str, Any]:
    """One leaf as FHIR R4 AuditEvent (hl7.org/fhir/R4/auditevent.html). Persons stay tokens; our words are codes of
    systems under the log's own name."""
    noun, _, verb = event["act"].partition(".")
    code, display = TYPES.get(noun, ANY_TYPE)
    resource: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": event["id"],
        "extension": [{"url": f"https://{origin}/leaf_index", "valueDecimal": leaf_index}],
        "type": {"system": DCM, "code": code, "display": display},
        "subtype": [{"system": f"https://{origin}/act", "code": event["act"]}],
        "action": ACTIONS.get(verb, "E"),
        "recorded": event["at"],
        "outcome": OUTCOMES[event["out"]],
        "agent": [_agent(event, origin)],
        "source": {"observer": {"identifier": {"value": origin}, "display": origin}},
        "entity": [],
    }
    if event["reason"]:
        resource["outcomeDesc"] = " ".join(event["reason"])
    if event["purp"]:
        resource["purposeOfEvent"] = [{"coding": [{"system": f"https://{origin}/purp", "code": event["purp"]}]}]
    if event["org"]:
        resource["agent"].append({"who": _what("org", event["org"], origin), "requestor": False})
    for kind, value in (
        ("obj", f"{event['obj']['type']}:{event['obj']['id']}" if event["obj"] else ""), ("conv", event["conv"]),
        ("zone", event["zone"]),
    ):  # fmt: skip
        if value:
            resource["entity"].append({"what": _what(kind, value, origin)})
    if event["sub"]:
        role = {"system": "http://terminology.hl7.org/CodeSystem/object-role", "code": "1", "display": "Patient"}
        resource["entity"].append({"what": _what("sub", event["sub"], origin), "role": role})
    if not resource["entity"]:
        del resource["entity"]  # an empty list is no FHIR
    return resource


def _agent(event: dict[str, Any], origin: str) -> dict[str, Any]:
    agent: dict[str, Any] = {"who": _what("actor", event["actor"]["id"], origin), "requestor": True}
    if event["ip"]:
        agent["network"] = {"address": event["ip"], "type": "2"}  # an IP address
    if event["policy"]:
        agent["policy"] = [f"https://{origin}/policy/{event['policy']}"]
    return agent


def _what(kind: str, value: str, origin: str) -> dict[str, Any]:
    return {"identifier": {"system": f"https://{origin}/{kind}", "value": value}}


@dataclass(frozen=True, slots=True)
class Form:
    """`name` ends the file's name; `health`: of zones of health alone."""

    name: str
    type: str
    write: Callable[[Iterable[Entry], str], Iterator[str]]
    health: bool = False


FORMS = {
    form.name: form
    for form in (
        Form("jsonl", "application/jsonl; charset=utf-8", jsonl),
        Form("csv", "text/csv; charset=utf-8", table),
        Form("fhir", "application/fhir+ndjson; charset=utf-8", fhir, health=True),
        Form("syslog", "text/plain; charset=utf-8", syslog),
    )
}


def write(out: IO[bytes], query: search.Query, form: Form, *, most: int) -> int:
    """Write what answers `query` to `out`, up to the last published checkpoint; return the size of that one.

    Raises WrongState before the first checkpoint, BadInput beyond `most` inscriptions."""
    last, verifier = state.checkpoint(), state.verifier()
    if last is None or verifier is None:
        raise WrongState("Le journal n'a encore aucun checkpoint signé : réessayez dans un instant.")
    if search.count(query, below=last.size, most=most + 1) > most:
        raise BadInput(f"Plus de {most} entrées répondent à cette question : précisez la période ou l'acteur.")
    for line in form.write(search.ascending(query, below=last.size, most=most), verifier.name):
        out.write(line.encode())
    return last.size
