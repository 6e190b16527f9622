"""Two questions that the zone's worker alone can answer: where did a person's data go, whose lines are these.

What is asked (a local identifier, lines found outside) is sealed to the zone's public key in the web process, opened
by the worker, and erased with the answer. Both are logged and limited; no experimenter learns of either
(legal-gate, section 8 and scenario 9).
"""

import re
from datetime import timedelta

import pyrage
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Role
from broker.audit.actions import describe, recorded
from broker.errors import BadInput, NotAllowed, WrongState
from broker.keys import subject
from broker.keys.store import WORKER, KeyStore
from broker.releases import matching
from broker.releases.models import Inquiry, Release, TraceEntry
from consent import intake
from consent.models import Convention
from zones.models import DatasetVersion, Zone

K = Inquiry.Kind
AN_HOUR = 20  # questions one person may ask in an hour
LINES = 100  # lines of a leak looked at; the answer takes seconds
KEPT_DAYS = 31  # an answer is read within the legal month, then goes
PSEUDONYM = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def may_trace(user, zone: Zone) -> bool:
    """Who meets the persons: the operator, its DPO, the head of service."""
    return any(grants.may(user, f"zones.{role}", zone) for role in ("operate", "steward", "advise"))


def may_look_for_leaks(user, zone: Zone) -> bool:
    """Whoever may trace a person, and auditors."""
    return may_trace(user, zone) or grants.may(user, "zones.audit", zone) or user.holds(Role.AUDITOR)


def visible(user):
    return Inquiry.objects.filter(asked_by=user)


@sensitive_variables("local_id")
def trace(zone: Zone, *, by, local_id: str) -> Inquiry:
    """Ask where the data of the person known here as `local_id` went."""
    text = local_id.strip()
    if not text or len(text) > intake.LONGEST_ID:
        raise BadInput(_("Indiquez le numéro par lequel votre établissement connaît cette personne."))
    return _ask(zone, kind=K.SUBJECT, sealed=intake.sealed(zone, text.encode()), by=by)


def look_for_leak(zone: Zone, *, by, text: str) -> Inquiry:
    """Ask which convention the lines of `text` come from. Only what looks like a pseudonym or a mark is kept."""
    lines = list(dict.fromkeys(PSEUDONYM.findall(text.lower())))
    if not lines:
        raise BadInput(_("Aucun pseudonyme dans ce texte : collez des lignes entières, avec leur première colonne."))
    if len(lines) > LINES:
        raise BadInput(_("Cent lignes suffisent à trouver une origine : n'en collez pas davantage."))
    return _ask(zone, kind=K.LEAK, sealed=intake.sealed(zone, "\n".join(lines).encode()), by=by)


@recorded("trace.ask")
def _ask(zone: Zone, *, by, kind: str, sealed: bytes) -> Inquiry:
    from broker.releases.tasks import answer_inquiry

    describe(obj=zone, zone=zone.reference, org=zone.operator, detail={"kind": kind})
    if not (may_trace if kind == K.SUBJECT else may_look_for_leaks)(by, zone):
        raise NotAllowed(_("Cette recherche revient à l'opérateur de %s, à son DPO ou à un auditeur.") % zone)
    asked = Inquiry.objects.filter(asked_by=by, asked_at__gt=clock.now() - timedelta(hours=1)).count()
    if asked >= AN_HOUR:
        raise WrongState(_("Vingt recherches par heure et par personne : reprenez dans une heure."))
    inquiry = Inquiry.objects.create(zone=zone, kind=kind, sealed=sealed, asked_by=by)
    describe(obj=inquiry)
    answer_inquiry.defer(inquiry_id=str(inquiry.pk))
    return inquiry


@recorded("trace.answer")
def keep(inquiry: Inquiry, *, found: dict, sub: str | None = None, by=WORKER) -> Inquiry:
    """Write the answer and forget the question; `sub` is the erasable reference of whom it was about."""
    row = Inquiry.objects.select_for_update(of=("self",)).select_related("zone__operator").get(pk=inquiry.pk)
    describe(obj=row, zone=row.zone.reference, org=row.zone.operator, sub=sub, detail={"kind": row.kind})
    row.status = Inquiry.Status.FAILED if "problem" in found else Inquiry.Status.ANSWERED
    row.found, row.sealed, row.answered_at = found, b"", clock.now()
    row.save(update_fields=["status", "found", "sealed", "answered_at"])
    return row


def forget_old() -> int:
    """Remove answers nobody needs any more; the log keeps that they were asked."""
    return Inquiry.objects.filter(asked_at__lt=clock.now() - timedelta(days=KEPT_DAYS)).delete()[0]


# ------------------------------------------------------------------------------------------------ the worker's part


@sensitive_variables()
def answer(inquiry: Inquiry) -> tuple[dict, str | None]:
    """What the worker finds, and the reference of the person it was about. The clear question lives in this frame
    alone."""
    keys, ref = KeyStore(), f"zone:{inquiry.zone_id}"
    secret = keys.open("source", ref, covered_by="trace.answer").decode()
    text = pyrage.decrypt(bytes(inquiry.sealed), [pyrage.x25519.Identity.from_str(secret.strip())]).decode()
    if inquiry.kind == K.SUBJECT:
        token = subject.token(keys.open("token", ref, covered_by="trace.answer"), text)
        held = TraceEntry.objects.filter(token=token, release__convention__zone=inquiry.zone_id)
        found = {"releases": [str(pk) for pk in held.values_list("release", flat=True).order_by("release")]}
        return found, subject.reference(inquiry.zone_id, token)
    return _origin(inquiry.zone, text.splitlines()), None


def _origin(zone: Zone, lines: list[str]) -> dict:
    """By convention: how many of the lines are its own, and which releases held those persons."""
    built = Release.objects.filter(convention__zone=zone, built_at__isnull=False, recipe__personal=True)
    marks = {
        str(mark): (convention, str(pk))
        for mark, convention, pk in built.values_list("manifest__watermark", "convention", "pk")
        if mark in lines
    }
    conventions = list(Convention.objects.filter(pk__in=built.values("convention")).order_by("pk"))
    alive = matching.with_a_key(conventions)
    matched: dict[int, dict[str, str]] = {}
    for version in DatasetVersion.objects.filter(pk__in=built.values("dataset_version")).select_related("dataset"):
        for pk, tokens in matching.tokens_of(version, lines, alive, covered_by="trace.answer").items():
            matched.setdefault(pk, {}).update(tokens)
    found = []
    for convention in conventions:
        tokens = matched.get(convention.pk, {})
        marked = [release for pk, release in marks.values() if pk == convention.pk]
        if not tokens and not marked:
            continue
        held = (
            TraceEntry.objects.filter(
                release__convention=convention, token__in=[bytes.fromhex(one) for one in tokens.values()]
            )
            .values_list("release", flat=True)
            .distinct()
        )
        found.append(
            {
                "convention": convention.pk,
                "lines": len(tokens),
                "by_mark": bool(marked),
                "releases": sorted({str(pk) for pk in held} | set(marked)),
            }
        )
    known = {line for tokens in matched.values() for line in tokens} | marks.keys()
    return {
        "lines": len(lines),
        "unknown": len(set(lines) - known),
        "origins": sorted(found, key=lambda one: -one["lines"]),
        "destroyed": [one.pk for one in conventions if one not in alive],
    }
