"""Inscriptions in words: who did what, about what, and the page of each thing when the reader may open it."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import Organisation, User
from broker.audit import search
from broker.desk.journal import phrases
from consent.models import GateDecision, Offer
from zones.models import Dataset, Zone

CONVENTION = re.compile(r"[A-Z]{2}-\d{4}-\d{4,}")  # a reference, as the log and the addresses write it


def tell(entries: list[search.Entry], *, reader) -> list[dict[str, Any]]:
    """Entries as a reader sees them; a constant number of queries whatever their number."""
    events = [entry.event for entry in entries if entry.event and entry.event["v"] == 1]
    tokens = [event["actor"]["id"] for event in events] + [event["on_behalf"] for event in events]
    references = search.references_of(tokens)
    people = {
        f"user:{user.pk}": user.get_full_name() or user.email
        for user in User.objects.filter(pk__in=[r[5:] for r in references.values() if r.startswith("user:")])
    }
    details = search.details_of([entry.event_id for entry in entries])
    objects = [event["obj"] for event in events if event["obj"]]
    asked = [obj["id"] for obj in objects if obj["type"] == "gatedecision" and _is_uuid(obj["id"])]
    known = GateDecision.objects.filter(pk__in=asked).values_list("pk", "ruleset_version")
    decisions = {str(pk): version for pk, version in known}
    named = _names(events, reader)
    journal = reverse("audit-search")
    lines = [_line(entry, references, people, details, decisions, named) for entry in entries]
    for line in lines:
        line["url"] = f"{journal}{line['entry'].leaf_index}/"
        if at := line["at"]:  # written here: a template formats the same day twenty-five times
            local = at.astimezone(clock.PARIS)
            line |= {"day": _day(local.date(), get_language()), "time": f"{local:%H:%M:%S}", "iso": local.isoformat()}
    return lines


@lru_cache(maxsize=256)
def _day(day: date, language: str | None) -> str:
    """The day in the words of the language in force."""
    return date_format(day, "j F Y")


@dataclass(frozen=True, slots=True)
class Named:
    """A thing of the log in words, with its page when the reader may open it."""

    name: str
    link: str = ""


def _names(events: list[dict], reader) -> dict[str, Named]:
    """What the events name ("zone:slug", "org:siren", "dataset:1"…) -> its words; four queries whatever the number."""
    objects = {(event["obj"]["type"], event["obj"]["id"]) for event in events if event["obj"]}

    def numbers(kind: str) -> list[int]:
        return [int(ident) for named, ident in objects if named == kind and ident.isdecimal() and len(ident) < 10]

    slugs = {event["zone"].removeprefix("zone:") for event in events if event["zone"]}
    sirens = {event["org"].removeprefix("org:") for event in events if event["org"]}
    found = {f"org:{siren}": Named(name) for siren, name in
             Organisation.objects.filter(siren__in=sirens).values_list("siren", "name")}  # fmt: skip
    for zone in Zone.objects.filter(Q(slug__in=slugs) | Q(pk__in=numbers("zone"))).only("slug", "name", "status"):
        public = zone.status in (Zone.Status.OPEN, Zone.Status.SUSPENDED)
        named = Named(zone.name, reverse("zone-detail", args=[zone.slug]) if public else "")
        found |= {f"zone:{zone.slug}": named, f"zone:{zone.pk}": named}
    for dataset in Dataset.objects.for_user(reader).filter(pk__in=numbers("dataset")).only("slug", "title"):
        found[f"dataset:{dataset.pk}"] = Named(dataset.title, reverse("dataset-detail", args=[dataset.slug]))
    for offer in Offer.objects.for_user(reader).filter(pk__in=numbers("offer")).only("title"):
        found[f"offer:{offer.pk}"] = Named(offer.title, reverse("offer-detail", args=[offer.pk]))
    return found


def _object(obj: dict | None, named: dict[str, Named]) -> Named:
    """What an event is about, in words."""
    if not obj:
        return Named("")
    kind, ident = obj["type"], obj["id"]
    told = f"={kind}:{ident}"  # no reference of the log begins so: what was told once is kept for the other lines
    if told not in named:
        named[told] = _in_words(kind, ident, named)
    return named[told]


def _in_words(kind: str, ident: str, named: dict[str, Named]) -> Named:
    word = str(phrases.OBJECTS.get(kind, kind))
    known = named.get(f"{kind}:{ident}")
    if known:
        return Named(f"{word} « {known.name} »", known.link)
    if kind == "convention" and CONVENTION.fullmatch(ident):
        return Named(f"{word} {ident}", reverse("convention-detail", args=[ident]))
    if kind == "release" and _is_uuid(ident):
        return Named(f"{word} {ident[:8]}", reverse("release-detail", args=[ident]))
    if kind == "gatedecision" and _is_uuid(ident):
        return Named(f"{word} {ident[:8]}", f"{reverse('audit-search')}?question=decision&decision={ident}")
    return Named(f"{word} {ident}")


def _is_uuid(text: str) -> bool:
    """A leaf holds what it was given: a page must not fail on it."""
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _line(entry, references, people, details, decisions, named) -> dict[str, Any]:
    event = entry.event
    if event is None:
        return {"entry": entry, "who": "", "did": _("inscription illisible"), "at": None, "out": "error"}
    at = datetime.fromisoformat(event["at"])
    if event["v"] == 0:
        return {
            "entry": entry,
            "who": "",
            "did": phrases.phrase(event["act"]),
            "at": at,
            "out": "allow",
            "on": Named(event["origin"]),
        }
    reference = references.get(event["actor"]["id"], "")
    detail = details.get(entry.event_id, {})
    obj = event["obj"]
    return {
        "entry": entry,
        "at": at,
        "who": people.get(reference) or _who(reference, event["actor"]["kind"]),
        "behalf": people.get(references.get(event["on_behalf"], ""), ""),
        "did": phrases.phrase(event["act"]),
        "on": Named("") if obj and f"user:{obj['id']}" == reference else _object(obj, named),  # not oneself twice
        "out": event["out"],
        "reasons": event["reason"] if event["out"] != "allow" else [],
        "why": detail.get("message", ""),
        "org": named.get(event["org"]) or Named(event["org"].removeprefix("org:")),
        "conv": _object({"type": "convention", "id": event["conv"].removeprefix("cv:").partition("@")[0]}, named)
        if event["conv"] and not (obj and obj["type"] == "convention")
        else Named(""),
        "zone": named.get(event["zone"]) or Named(event["zone"].removeprefix("zone:")),
        "rules": decisions.get(obj["id"], "") if obj else "",
        "rows": event["n"],
        "id": event["id"],
    }


def _who(reference: str, kind: str) -> str:
    if reference.startswith("credential:"):
        return _("une machine déclarée")
    if reference.startswith("service:"):
        return {"service:terrain": _("Terrain"), "service:worker": _("Le poste de préparation")}.get(
            reference, reference.removeprefix("service:")
        )
    if reference == "person:anonymous":
        return _("un visiteur")
    return reference if reference else _("une personne dont le nom a été effacé")
