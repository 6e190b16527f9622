"""May this zone open? Pure: no query, no clock. Every reason is returned; none means yes.

Source: legal-gate, section 3.1. A threshold that the founding report gives is marked so; the others are policy of
the project and say so to the person.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from stdnum.fr import siret

from broker.errors import Reason
from zones.geography import EDITION, Commune


@dataclass(frozen=True, slots=True)
class Thresholds:
    city_inhabitants: int = 50_000  # report: at least
    motorway_km: Decimal = Decimal("100.0")  # report: strictly more than; the two directions are not added up
    town_inhabitants: int = 2_000  # policy, for the report's "several thousand"
    care_members: int = 3  # policy: kinds of member out of four
    participation_months: int = 3  # policy, for the report's "several months"


THRESHOLDS = Thresholds()
REPORT = "Rapport fondateur, zones d'expérimentation"
POLICY = "Règle de la plateforme"

CARE_MEMBERS = ("pharmacy", "general_practice", "care_structure", "home_hospitalisation")
DISTRICT_ITEMS = (
    "intermittent_production",
    "demand_management",
    "electric_vehicles",
    "electric_public_transport",
    "smart_city",
)
PRODUCTION = frozenset({"intermittent_production"})
CONSUMPTION = frozenset({"demand_management", "electric_vehicles", "electric_public_transport", "smart_city"})
MOUNTAIN_FEATURES = ("winding", "steep", "winter")


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    name: str
    participation_from: date
    participation_until: date


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What is known of a zone on `day`. `unknown_communes` are codes that the reference does not hold."""

    kind: str
    day: date
    communes: tuple[Commune, ...] = ()
    unknown_communes: tuple[str, ...] = ()
    services: tuple[ServiceFacts, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)
    contact_email: str = ""
    dpo_email: str = ""
    general_information_on: date | None = None
    frame_adopted_on: date | None = None

    @property
    def inhabitants(self) -> int:
        """Of the most populated commune: several villages do not make a town."""
        return max((c.population or 0 for c in self.communes), default=0)


def months_after(day: date, months: int) -> date:
    """The same day `months` later, or the last day of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for candidate in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, candidate)
        except ValueError:
            continue
    raise AssertionError("every month has a 28th day")


def check_due(last: date) -> date:
    """The day of the next check of a zone whose conditions were looked at on `last`."""
    return months_after(last, 12)


def _has(facts: ZoneFacts, name: str) -> bool:
    value = facts.evidence.get(name)
    return bool(value.strip() if isinstance(value, str) else value)


def _is_past(facts: ZoneFacts, value: Any) -> bool:
    """Whether `value` is a day, in ISO form, that is not in the future."""
    try:
        return date.fromisoformat(str(value or "")) <= facts.day
    except ValueError:
        return False


def _is_past_day(facts: ZoneFacts, name: str) -> bool:
    return _is_past(facts, facts.evidence.get(name))


# What every zone needs


def _frame(facts: ZoneFacts) -> Iterator[Reason]:
    if not facts.contact_email:
        yield Reason("Z01", _("Aucun contact nommé. Indiquez l'adresse à laquelle on peut écrire."), REPORT)
    if not facts.dpo_email:
        yield Reason("Z02", _("Aucun délégué à la protection des données. Indiquez son adresse."), "RGPD, article 37")
    if facts.frame_adopted_on is None or facts.frame_adopted_on > facts.day:
        yield Reason(
            "Z03",
            _("La convention type n'est pas encore adoptée. Indiquez le jour de son adoption, déjà passé."),
            REPORT,
        )
    if not facts.communes and not facts.unknown_communes:
        yield Reason("Z04", _("Aucune commune. Ajoutez le code Insee d'au moins une commune."), REPORT)
    for code in facts.unknown_communes:
        yield Reason(
            "Z05",
            _("Le code %(code)s n'est pas celui d'une commune actuelle (liste %(edition)s). Cherchez la commune par "
              "son nom.") % {"code": code, "edition": EDITION},
            "Insee, code officiel géographique",
        )  # fmt: skip
    if not _has(facts, "information_system"):
        yield Reason(
            "Z06",
            _("Le système qui recueille les données n'est pas décrit. Dites lequel en une phrase."),
            REPORT,
        )


def _inhabitants(facts: ZoneFacts, code: str, least: int, source: str, what: str) -> Iterator[Reason]:
    if facts.inhabitants >= least:
        return
    largest = max(facts.communes, key=lambda c: c.population or 0, default=None)
    yield Reason(
        code,
        _("%(what)s : au moins %(least)s habitants sont demandés, et %(commune)s en compte %(count)s (Insee, liste "
          "%(edition)s). Choisissez une commune plus peuplée ou une autre nature de zone.") % {
            "what": what,
            "least": number_format(least, force_grouping=True, use_l10n=True),
            "commune": largest.name if largest else _("la zone sans commune"),
            "count": number_format(facts.inhabitants, force_grouping=True, use_l10n=True),
            "edition": EDITION,
        },
        source,
    )  # fmt: skip


# One function a kind


def _hospital(facts: ZoneFacts) -> Iterator[Reason]:
    finess = str(facts.evidence.get("finess") or "").replace(" ", "").upper()
    if len(finess) != 9 or not finess[2:].isdigit() or not (finess[:2].isdigit() or finess[:2] in ("2A", "2B")):
        yield Reason(
            "Z10",
            _("Le numéro FINESS manque ou n'a pas neuf caractères. Recopiez celui de l'établissement de santé."),
            "Répertoire FINESS",
        )
    open_services = [s for s in facts.services if s.participation_until >= facts.day]
    if not open_services:
        yield Reason(
            "Z11",
            _("Aucun service n'accueille d'expérimentation. Ajoutez au moins un service avec ses dates."),
            REPORT,
        )
    for service in open_services:
        if service.participation_until < months_after(service.participation_from, THRESHOLDS.participation_months):
            yield Reason(
                "Z12",
                _("Le service « %(name)s » accueille moins de %(months)s mois. Prolongez sa participation ou retirez "
                  "ce service.") % {"name": service.name, "months": THRESHOLDS.participation_months},
                f"{REPORT} ; durée : {POLICY.lower()}",
            )  # fmt: skip
    if not _has(facts, "dpia"):
        yield Reason(
            "Z13",
            _("L'analyse d'impact n'est pas citée. Indiquez sa référence et sa date."),
            "RGPD, article 35",
        )
    if facts.general_information_on is None or facts.general_information_on > facts.day:
        yield Reason(
            "Z14",
            _("L'information générale des personnes n'est pas publiée. Indiquez le jour de sa publication, "
              "aujourd'hui au plus tard."),
            "RGPD, articles 13 et 14",
        )  # fmt: skip


def _care_network(facts: ZoneFacts) -> Iterator[Reason]:
    yield from _inhabitants(
        facts, "Z20", THRESHOLDS.town_inhabitants, f"{REPORT} ; seuil : {POLICY.lower()}", _("Réseau de soins")
    )
    members, joined = (facts.evidence.get(name) or {} for name in ("members", "joined"))
    present = [name for name in CARE_MEMBERS if str(members.get(name) or "").strip()]
    if len(present) < THRESHOLDS.care_members:
        yield Reason(
            "Z21",
            _("%(count)s sorte(s) de membre sur quatre (pharmacie, médecine générale, structure de soins, "
              "hospitalisation à domicile) : il en faut au moins %(least)s.")
            % {"count": len(present), "least": THRESHOLDS.care_members},
            POLICY,
        )  # fmt: skip
    for name in present:
        if not _is_past(facts, joined.get(f"{name}_joined_on")):
            yield Reason(
                "Z22",
                _("« %(member)s » n'a pas d'adhésion écrite datée. Indiquez le jour, déjà passé.")
                % {"member": members[name]},
                REPORT,
            )


def _eco_district(facts: ZoneFacts) -> Iterator[Reason]:
    yield from _inhabitants(
        facts, "Z30", THRESHOLDS.town_inhabitants, f"{REPORT} ; seuil : {POLICY.lower()}", _("Écoquartier")
    )
    items = facts.evidence.get("items") or {}
    missing = [name for name in DISTRICT_ITEMS if items.get(name) not in ("operational", "planned")]
    if missing:
        yield Reason(
            "Z31",
            _("Il manque l'état (en service ou prévu) de %(count)s équipement(s) sur cinq. Complétez la liste.")
            % {"count": len(missing)},
            REPORT,
        )
    operational = {name for name, state in items.items() if state == "operational"}
    if not operational & PRODUCTION or not operational & CONSUMPTION:
        yield Reason(
            "Z32",
            _("Au moins une production et une consommation doivent être en service dès l'ouverture."),
            POLICY,
        )


def _av_city(facts: ZoneFacts) -> Iterator[Reason]:
    yield from _inhabitants(facts, "Z40", THRESHOLDS.city_inhabitants, REPORT, _("Ville"))
    if not _has(facts, "infrastructure"):
        yield Reason("Z41", _("L'infrastructure communicante n'est pas décrite. Donnez la liste."), REPORT)
    if not _has(facts, "hd_map"):
        yield Reason("Z42", _("La carte de très haute précision n'est pas citée. Indiquez-la."), REPORT)


def length_km(evidence: dict[str, Any]) -> Decimal:
    """The measured length of a section as its file says it; 0 when it says none."""
    try:
        length = Decimal(str(evidence.get("length_km") or "0").replace(",", "."))
    except InvalidOperation:
        return Decimal(0)
    return length if length.is_finite() else Decimal(0)


def _av_motorway(facts: ZoneFacts) -> Iterator[Reason]:
    length = length_km(facts.evidence)
    if length <= THRESHOLDS.motorway_km:
        yield Reason(
            "Z50",
            _("Section d'autoroute de %(length)s km : il faut plus de %(least)s km d'un seul tenant, les deux sens "
              "n'étant pas additionnés. Prolongez la section.") % {
                "length": number_format(length.normalize() if length == 0 else length),
                "least": number_format(THRESHOLDS.motorway_km.to_integral_value()),
            },
            REPORT,
        )  # fmt: skip
    if not _has(facts, "section"):
        yield Reason("Z51", _("La section n'est pas désignée. Indiquez l'autoroute et ses deux bouts."), REPORT)
    if not _is_past_day(facts, "agreement_on"):
        yield Reason(
            "Z52",
            _("L'accord du concessionnaire n'est pas daté. Indiquez le jour de sa signature, déjà passé."),
            REPORT,
        )


def _av_mountain(facts: ZoneFacts) -> Iterator[Reason]:
    if not any(_has(facts, name) for name in MOUNTAIN_FEATURES):
        yield Reason(
            "Z60",
            _("Rien ne dit que la route est de montagne. Indiquez au moins un trait : lacets, forte pente, hiver."),
            REPORT,
        )
    if not _has(facts, "road_profile"):
        yield Reason("Z61", _("Le profil de la route (pente, courbure) n'est pas cité. Indiquez-le."), REPORT)
    if _has(facts, "winter") and not _has(facts, "winter_data"):
        yield Reason(
            "Z62",
            _("L'hiver est invoqué sans données. Citez les relevés de neige, de gel ou de fermeture."),
            REPORT,
        )


def _industrial_site(facts: ZoneFacts) -> Iterator[Reason]:
    if not siret.is_valid(str(facts.evidence.get("siret") or "")):
        yield Reason("Z70", _("Le SIRET du site manque ou est faux. Recopiez ses quatorze chiffres."), "Insee, Sirene")
    if not (_has(facts, "predictive_maintenance") or _has(facts, "emissions")):
        yield Reason("Z71", _("Dites ce que l'usine mesure : maintenance prédictive, émissions, ou les deux."), REPORT)
    if not _is_past_day(facts, "employees_informed_on"):
        yield Reason(
            "Z72",
            _("L'information des représentants du personnel n'est pas datée. Indiquez le jour, déjà passé."),
            "Code du travail, articles L.1222-4 et L.2312-38",
        )


BY_KIND: dict[str, Callable[[ZoneFacts], Iterator[Reason]]] = {
    "hospital": _hospital,
    "care_network": _care_network,
    "eco_district": _eco_district,
    "av_city": _av_city,
    "av_motorway": _av_motorway,
    "av_mountain": _av_mountain,
    "industrial_site": _industrial_site,
}


def refusals(facts: ZoneFacts) -> tuple[Reason, ...]:
    """Every reason not to open this zone, in the order of their codes; empty means that it may open."""
    return (*_frame(facts), *BY_KIND[facts.kind](facts))
