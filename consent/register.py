"""The public list of authorised experimenters: what is published, and nothing else (legal-gate, section 4).

Never published: evidence, named persons, reasons for a suspension under way.
"""

from datetime import timedelta
from typing import Any

from django.db.models import Count, OuterRef, Prefetch, Q, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import Organisation
from consent import checks
from consent.deadlines import add_months
from consent.forms import EvidenceForm
from consent.models import Accreditation, Convention, RegistryEntry
from consent.transitions.registry import PUBLIC
from zones.models import Domain, Zone

HISTORY_MONTHS = 36  # public history of ended accreditations
LIVE = (Convention.Status.ACTIVE, Convention.Status.SUSPENDED)


def public(query: str = ""):
    """The lines of the list that match `query` (name or SIREN), by name; the last accreditation with each."""
    oldest = add_months(clock.today(), -HISTORY_MONTHS)
    conventions = Convention.objects.filter(organisation=OuterRef("organisation"), status__in=LIVE).order_by()
    entries = (
        RegistryEntry.objects.filter(status__in=PUBLIC)
        .filter(Q(status__in=("accredited", "suspended")) | Q(decided_at__date__gte=oldest))
        .select_related("organisation")
        .prefetch_related(Prefetch("accreditations", Accreditation.objects.order_by("-period"), to_attr="periods"))
        .annotate(live_conventions=Subquery(conventions.values("organisation").annotate(n=Count("pk")).values("n")))
        .order_by("organisation__name", "pk")
    )
    if query:
        digits = query.replace(" ", "")
        entries = entries.filter(Q(organisation__name__icontains=query) | Q(organisation__siren=digits))
    return entries


def status_today(entry: RegistryEntry) -> str:
    """The state as it is today: a validity that has passed shows as expired, whatever a late job wrote."""
    until = valid_until(entry)
    if entry.status == RegistryEntry.Status.ACCREDITED and until is not None and until < clock.today():
        return RegistryEntry.Status.EXPIRED
    return entry.status


def valid_until(entry: RegistryEntry):
    """The last day, included, of the latest accreditation."""
    return entry.periods[0].period.upper - timedelta(days=1) if entry.periods else None


def line(entry: RegistryEntry) -> dict[str, Any]:
    """One line as the page shows it."""
    status = status_today(entry)
    return {
        "name": entry.organisation.name,
        "siren": entry.organisation.siren,
        "domains": [str(Domain(d).label) for d in entry.domains],
        "zone_kinds": [str(Zone.Kind(k).label) for k in entry.zone_kinds],
        "from": entry.periods[0].period.lower if entry.periods else None,
        "until": valid_until(entry),
        "status": RegistryEntry.Status(status).label,
        "tone": {"accredited": "ok", "suspended": "wait"}.get(status, "no"),
        "decided_at": entry.decided_at,
        "dpo": entry.organisation.dpo_email or entry.evidence.get("dpo_contact", ""),
        "live_conventions": entry.live_conventions or 0,
    }


def as_json(entry: RegistryEntry, request) -> dict[str, Any]:
    """One line as JSON; the schema is docs/reference/registre.schema.json."""
    shown = line(entry)
    return {
        "id": entry.pk,
        "name": shown["name"],
        "siren": shown["siren"],
        "status": status_today(entry),
        "status_date": entry.decided_at.astimezone(clock.PARIS).date().isoformat() if entry.decided_at else None,
        "domains": entry.domains,
        "zone_kinds": entry.zone_kinds,
        "valid_from": shown["from"].isoformat() if shown["from"] else None,
        "valid_until": shown["until"].isoformat() if shown["until"] else None,
        "dpo_contact": shown["dpo"],
        "live_conventions": shown["live_conventions"],
        "page": request.build_absolute_uri(f"{reverse('registry-list')}?q={shown['siren'] or shown['name']}"),
    }


def agency_name() -> str:
    agency = Organisation.objects.filter(kind=Organisation.Kind.AGENCY).order_by("pk").first()
    return agency.name if agency else ""


def scope_in_words(entry: RegistryEntry) -> dict[str, list[str]]:
    """The domains and kinds of zone asked for, by their French names."""
    return {
        "domains": [str(Domain(d).label) for d in entry.domains],
        "zone_kinds": [str(Zone.Kind(k).label) for k in entry.zone_kinds],
    }


def evidence_in_words(entry: RegistryEntry) -> list[tuple[str, str]]:
    """What was declared, label and value, for the clerk alone."""
    form = EvidenceForm(domains=entry.domains)
    found = []
    for name, field in form.fields.items():
        value = entry.evidence.get(name)
        if value is None:
            continue
        if name == "questionnaire":
            value = " ; ".join(str(checks.QUESTIONNAIRE[key]) for key in value if key in checks.QUESTIONNAIRE)
        found.append((str(field.label), _("oui") if value is True else str(value)))
    return found
