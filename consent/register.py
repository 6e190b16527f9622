"""The public list of authorised experimenters: what is published, and nothing else (legal-gate, section 4).

Never published: evidence, named persons, reasons for a suspension under way.
"""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from broker import clock
from broker.accounts.models import Countersign, Organisation
from consent import checks
from consent.deadlines import add_months
from consent.forms import EvidenceForm
from consent.models import Accreditation, Convention, RegistryEntry
from consent.transitions.registry import PUBLIC
from zones.models import Domain, Zone

DECIDED = {
    "registry.accredit": gettext_lazy("Agréer"),
    "registry.refuse": gettext_lazy("Refuser"),
    "registry.suspend": gettext_lazy("Suspendre"),
    "registry.reinstate": gettext_lazy("Rétablir"),
    "registry.withdraw": gettext_lazy("Retirer l'agrément"),
}
HISTORY_MONTHS = 36  # public history of ended accreditations
LIVE = (Convention.Status.ACTIVE, Convention.Status.SUSPENDED)


def public(query: str = "", domain: str = "", kind: str = "", status: str = ""):
    """The lines of the list that match `query` (name or SIREN), a domain, a kind of zone, a state as it is today; by
    name, the last accreditation with each."""
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
    if domain:
        entries = entries.filter(domains__contains=[domain])
    if kind:
        entries = entries.filter(zone_kinds__contains=[kind])
    if status:
        lives = Exists(Accreditation.objects.filter(entry=OuterRef("pk"), period__endswith__gt=clock.today()))
        if status == RegistryEntry.Status.EXPIRED:
            entries = entries.filter(Q(status=status) | Q(status="accredited") & ~lives)
        else:
            entries = entries.filter(status=status)
            entries = entries.filter(lives) if status == RegistryEntry.Status.ACCREDITED else entries
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


def dpo_of(entry: RegistryEntry) -> str:
    return entry.organisation.dpo_email or entry.evidence.get("dpo_contact", "")


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
        "dpo": dpo_of(entry),
        "live_conventions": entry.live_conventions or 0,
    }


def lines(page) -> list[dict[str, Any]]:
    """The lines of one page, each with its past periods and the notices of its live conventions, in one query."""
    shown = [line(entry) for entry in page]
    online = Convention.objects.filter(
        organisation__in=[entry.organisation_id for entry in page], status__in=LIVE
    ).exclude(notice_published_at=None)
    notices: dict[int, list[str]] = {}
    for organisation, ref in online.order_by("ref").values_list("organisation_id", "ref")[:500]:
        notices.setdefault(organisation, []).append(ref)
    for entry, one in zip(page, shown, strict=True):
        one["notices"] = notices.get(entry.organisation_id, [])[:10]
        one["past"] = _days(entry.periods[1:])
    return shown


def counts() -> dict[str, int]:
    """How many lines stand today, as the head of the list tells it."""
    listed = RegistryEntry.objects.filter(status__in=("accredited", "suspended"))
    return listed.aggregate(
        accredited=Count("pk", filter=Q(status="accredited")), suspended=Count("pk", filter=Q(status="suspended"))
    )


def _days(periods) -> list[tuple[Any, Any]]:
    """First and last day, both included."""
    return [(one.period.lower, one.period.upper - timedelta(days=1)) for one in periods]


def periods(entry: RegistryEntry) -> list[tuple[Any, Any]]:
    return _days(entry.accreditations.order_by("-period"))


def age(entry: RegistryEntry) -> int | None:
    """Days since the request was filed."""
    return (clock.now() - entry.submitted_at).days if entry.submitted_at else None


def files(page, user) -> list[dict[str, Any]]:
    """The lines of a clerk's list: age, checks that failed, whose opinion is given already. One query more."""
    opened = {
        decision.object_ref: decision
        for decision in Countersign.objects.filter(
            object_ref__in=[f"registry:{entry.pk}@{entry.version}" for entry in page], second_by=None
        ).select_related("first_by")
    }
    today = clock.today()
    return [
        {
            "entry": entry, "age": age(entry), "is_late": entry.due_on is not None and today > entry.due_on,
            "failed": sum(not check["ok"] for check in entry.checks), "checks": len(entry.checks),
            "first": (decision := opened.get(f"registry:{entry.pk}@{entry.version}")),
            "is_mine": decision is None or decision.first_by_id != user.pk,
        }
        for entry in page
    ]  # fmt: skip


def decisions(entry: RegistryEntry) -> list[Countersign]:
    """Every decision ever opened on this file, the newest first, with its two persons and their reasons."""
    rows = Countersign.objects.filter(object_ref__startswith=f"registry:{entry.pk}@")
    found = list(rows.select_related("first_by", "second_by").order_by("-first_at")[:50])
    for one in found:
        one.said = DECIDED.get(one.act, one.act)
    return found


def live_conventions(entry: RegistryEntry) -> list[Convention]:
    """What a suspension or a withdrawal would stop."""
    rows = Convention.objects.filter(organisation=entry.organisation_id, status__in=LIVE)
    return list(rows.select_related("zone").order_by("ref")[:50])


def as_json(entry: RegistryEntry, listed: str) -> dict[str, Any]:
    """One line as JSON; the schema is docs/reference/registre.schema.json. `listed` is the address of the list."""
    organisation, until = entry.organisation, valid_until(entry)
    return {
        "id": entry.pk,
        "name": organisation.name,
        "siren": organisation.siren,
        "status": status_today(entry),
        "status_date": entry.decided_at.astimezone(clock.PARIS).date().isoformat() if entry.decided_at else None,
        "domains": entry.domains,
        "zone_kinds": entry.zone_kinds,
        "valid_from": entry.periods[0].period.lower.isoformat() if entry.periods else None,
        "valid_until": until.isoformat() if until else None,
        "dpo_contact": dpo_of(entry),
        "live_conventions": entry.live_conventions or 0,
        "page": f"{listed}?q={quote(organisation.siren or organisation.name)}",
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
