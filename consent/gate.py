"""The legal gate. Pure: no query, no clock, no request; `consent.facts` gathers the case, `consent.record` keeps it.

`evaluate(case, rules)` is the only function that permits access to data. Every rule that applies to the action is
judged, in the order of the rule set, without short circuit. One deny refuses; every reason is reported; an obligation
survives only in a permit. What is missing, stale or breaks a judge is indeterminate, and indeterminate refuses.
Source: legal-gate, section 6; messages, legal sources and certainty come from the rule set alone.
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from string import Formatter
from typing import Any

from consent import lessons, signatures
from consent.places import EEA
from consent.rules import Rule, RuleSet

# ------------------------------------------------------------------------------------------------ the case, as values


@dataclass(frozen=True, slots=True)
class NamedFacts:
    """The person's line in the convention, both days included."""

    role: str
    from_day: date
    until_day: date | None
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """Who acts, or who gave the order that a machine executes. `is_member`: of the convention's organisation today.

    `trainings`: the last day each family of domains was learnt; `undertook_on`: the day of the confidentiality
    undertaking under this convention."""

    ref: str
    is_active: bool
    is_member: bool
    second_factor_at: datetime | None
    named: NamedFacts | None
    trainings: tuple[tuple[str, date], ...] = ()
    undertook_on: date | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A person's API token. No page makes one yet; the rule is judged for whoever brings one."""

    person_ref: str
    scopes: tuple[str, ...]
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """The machine credential that sent the request."""

    ref: str
    environment_id: int
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """A named person's one-use order; `used_by` is the reference of the credential that spent it."""

    person_ref: str
    environment_id: int
    action: str
    object_ref: str
    second_factor_at: datetime
    given_at: datetime
    expires_at: datetime
    used_at: datetime | None
    used_by: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The organisation on the registry, both days included; `synced_at` is the age of the copy that was read."""

    status: str
    valid_from: date
    valid_until: date
    domains: tuple[str, ...]
    zone_kinds: tuple[str, ...]
    synced_at: datetime


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is asked. `first_byte` > 0 resumes a download; `address` is where the bytes go; `period` None = whole."""

    object_ref: str
    purpose_kind: str
    purpose_code: str
    columns: tuple[str, ...]
    delivery_mode: str
    address: str
    first_byte: int = 0
    period: tuple[date, date] | None = None


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """`signed_on` is the Paris day of the act."""

    party: str
    sha256: str
    level: str
    mandate: str
    mandate_until: date | None
    signed_on: date


@dataclass(frozen=True, slots=True)
class ApprovedColumn:
    """A column that the convention supplies, why, and whether its reinforced sensitivity was approved apart."""

    name: str
    justification: str
    approves_sensitive: bool


@dataclass(frozen=True, slots=True)
class ConventionFacts:
    ref: str
    org: str
    status: str
    purpose_kind: str
    purpose_codes: tuple[str, ...]
    starts_on: date
    ends_on: date
    document_sha256: str
    required_level: str
    required_parties: tuple[str, ...]
    signatures: tuple[SignatureFacts, ...]
    dataset_ids: tuple[int, ...]
    service_ids: tuple[int, ...]
    period: tuple[date, date] | None
    columns: tuple[ApprovedColumn, ...]
    dpo_is_favourable: bool
    minors_covered: bool
    minors_evidence: bool
    environment_klass: str
    party_names: tuple[tuple[str, str], ...] = ()  # ("holder", "Réseau électrique du Drac")
    recipient_category: str = ""  # what consents call the experimenter
    linkage: str = ""  # other files about persons that the experimenter says it would match


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    id: int
    name: str
    participation_from: date
    participation_until: date


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    id: int
    name: str
    kind: str
    status: str
    general_information_on: date | None
    contact: str
    dpo: str


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    name: str
    role: str
    sensitive_class: str


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    id: int
    title: str
    status: str
    version: int
    version_status: str
    is_personal: bool
    domains: tuple[str, ...]
    domain_labels: tuple[str, ...]
    columns: tuple[ColumnFacts, ...]
    service: ServiceFacts | None
    consent_required: bool = False


@dataclass(frozen=True, slots=True)
class NoticeFacts:
    """The public page of the convention and the standing notice of the offer. `missing`: fields that are empty."""

    published_at: datetime | None
    missing: tuple[str, ...]
    standing_published_at: datetime | None
    offer_is_unchanged: bool


@dataclass(frozen=True, slots=True)
class BasisFacts:
    """What the holder's side rests on, as the offer says it. `reviewed_on`: the day of its DPO's opinion;
    `restricted_sources`: kinds of upstream sources that are blocked by default; `sources_agreement`: what lifts it;
    `substantial_on`: the day a new version of the offer added a column, if it did."""

    article_6: str
    article_9: str
    compatibility: str
    secrecy: str
    formality: str
    reviewed_on: date | None
    restricted_sources: tuple[str, ...]
    sources_agreement: str
    dpia_validated_on: date | None
    residual_risk: str
    substantial_on: date | None


@dataclass(frozen=True, slots=True)
class EnvironmentFacts:
    """`access_countries`: where its people connect from, as declared; `host_contract`: the art. 28 contract with
    `host`, or the statement that the experimenter hosts itself."""

    id: int
    klass: str
    networks: tuple[str, ...]
    attested_on: date | None
    country: str = ""
    access_countries: tuple[str, ...] = ()
    host: str = ""
    host_contract: str = ""
    hds_until: date | None = None


@dataclass(frozen=True, slots=True)
class QuotaFacts:
    """Units used of the convention's quota. `resumes`: this request goes on with a download already counted."""

    releases_this_month: int
    releases_per_month: int
    downloads: int
    downloads_per_release: int
    resumes: bool


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The pseudonym key: which convention it serves. `is_to_be_made`: a simulation, before there is a convention."""

    ref: str
    is_to_be_made: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """Disclosure figures: smallest class found, smallest class after treatment, share of rows that costs (%)."""

    k_found: int
    k_reached: int
    suppressed_pct: float


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    obligation: str
    is_done: bool
    digest: str


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """A built release, as `broker.releases` tells it. `opposed_inside`: an opposition of a subject who is in it took
    effect after its snapshot; never how many. `key_ref`: what its pseudonym key serves ("convention:12")."""

    ref: str
    kind: str
    status: str
    convention_ref: str
    columns: tuple[str, ...]
    key_ref: str
    opposition_snapshot_at: datetime | None
    opposed_inside: bool | None
    identifiers_found: bool | None
    k_min: int | None
    receipts: tuple[ReceiptFacts, ...]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    # Somebody in it no longer consents to this use; None where the release does not rest on consent. Never how many.
    unconsented_inside: bool | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Everything one decision rests on. `now` is read once, in UTC. `links`: where to act, by rule id.

    `overdue`: duties of the organisation whose day has passed, (French, English)."""

    action: str
    now: datetime
    clock_skew_seconds: float | None
    person: PersonFacts | None
    token: TokenFacts | None
    credential: CredentialFacts | None
    order: OrderFacts | None
    standing: Standing | None
    request: RequestFacts
    convention: ConventionFacts
    zone: ZoneFacts
    dataset: DatasetFacts | None
    switches: tuple[tuple[str, str], ...]
    scopes: tuple[tuple[str, str], ...]
    epoch: int
    notice: NoticeFacts | None
    oppositions_synced_at: datetime | None
    environment: EnvironmentFacts | None
    key: KeyFacts | None
    quota: QuotaFacts | None
    measured: Measured | None = None
    release: ReleaseFacts | None = None
    agency: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    basis: BasisFacts | None = None
    overdue: tuple[tuple[str, str], ...] | None = None


# ------------------------------------------------------------------------------------------------ the decision

PERMIT = "permit"
PERMIT_WITH_OBLIGATIONS = "permit_with_obligations"
DENY = "deny"
OBLIGE = "oblige"
INDETERMINATE = "indeterminate"
NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Obligation:
    """A treatment that must be proved done before access; `parameters` are its thresholds."""

    name: str
    rule: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule refuses or obliges, what to do next, on which text it rests and how sure that is."""

    rule: str
    key: str
    title: str
    effect: str
    message_fr: str
    message_en: str
    sources: tuple[str, ...]
    to_confirm: tuple[str, ...]
    certainty: str
    link: str
    route: str = ""

    @property
    def code(self) -> str:
        return self.rule

    @property
    def message(self) -> str:
        return self.message_fr

    def message_in(self, language: str) -> str:
        return self.message_en if language.startswith("en") else self.message_fr

    @property
    def source(self) -> str:
        return self.source_in("fr")

    def source_in(self, language: str) -> str:
        """The texts it rests on; what counsel has yet to confirm is never shown as settled law."""
        english = language.startswith("en")
        parts = list(self.sources)
        if self.certainty == "policy":
            parts.append("choice of this project" if english else "choix de ce projet")
        if self.certainty == "check":
            parts.append("wording to be confirmed by counsel" if english else "rédaction à confirmer par un juriste")
        doubt = "to be confirmed" if english else "à confirmer"
        return " ; ".join(parts + [f"{text} [{doubt}]" for text in self.to_confirm])

    @property
    def refuses(self) -> bool:
        return self.effect in (DENY, INDETERMINATE)


@dataclass(frozen=True, slots=True)
class Decision:
    """`verdicts` tells the effect of every rule that was judged, in order; `reasons` those that refuse or oblige."""

    effect: str
    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...]
    verdicts: tuple[tuple[str, str], ...]
    ruleset_version: str
    ruleset_sha256: str

    @property
    def is_permit(self) -> bool:
        return self.effect != DENY

    @property
    def refusals(self) -> tuple[Reason, ...]:
        return tuple(reason for reason in self.reasons if reason.refuses)


class Unknown(Exception):
    """What a judge needs is missing or stale: (French, English)."""

    def __init__(self, fr: str, en: str):
        super().__init__(fr)
        self.said = (fr, en)


@dataclass(frozen=True, slots=True)
class Verdict:
    effect: str
    said: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


MET = Verdict(PERMIT)
NOT_CONCERNED = Verdict(NOT_APPLICABLE)


def _refuse(**said) -> Verdict:
    """Not met. `said`: values of the message's placeholders, a text or a (French, English) pair."""
    return Verdict(DENY, said)


def _treat(parameters: Mapping[str, Any], **said) -> Verdict:
    """Met by a treatment: an obligation when building, a receipt of the build when downloading."""
    return Verdict(OBLIGE, said, parameters)


# ------------------------------------------------------------------------------------------------ shared notions

DOWNLOADS = frozenset({"release_download", "challenge_download"})
LEAVES_BYTES = frozenset({"release_download", "challenge_download", "feed_read"})
SERVED = frozenset({"release_create", "release_download"})  # the others wait for G40, G41 and the feeds' own rules
HEALTH = frozenset({"clinical", "imaging", "community_care", "biological", "genetic", "medico_economic"})
SECURE_ONLY = HEALTH | {"video_scene", "energy_metering", "mobility_trace"}
K_ENERGY = frozenset({"energy_metering"})
K_MOBILITY = frozenset({"mobility_trace", "ev_charging"})
K_STAFF = frozenset({"equipment_status", "maintenance"})
# Purposes that no convention authorises (G07): for every domain, then by domain. No form offers any of them.
PROHIBITED = frozenset(
    {
        "individual_decision", "insurance_exclusion", "insurance_pricing", "credit_scoring", "hiring", "dismissal",
        "advertising", "marketing_targeting", "reidentification", "subliminal_manipulation",
        "exploitation_of_vulnerability", "social_scoring", "crime_prediction_by_profile", "facial_database",
        "emotion_recognition_at_work_or_school", "biometric_categorisation", "remote_biometric_identification",
    }
)  # fmt: skip
PROHIBITED_IN = {domain: frozenset({"health_product_promotion"}) for domain in HEALTH}
# Upstream sources blocked by default (G18): (French, English); some open with the agreement of the person entitled.
SOURCES = {
    "snds": ("données du SNDS, à demander au Health Data Hub", "SNDS data, to be asked of the Health Data Hub"),
    "vehicle_l1514": (
        "données de véhicules reçues pour une mission publique (code des transports, L.1514-1)",
        "vehicle data received for a public task (code des transports, L.1514-1)",
    ),
    "connected_product": (
        "données d'un produit connecté sans le contrat de son utilisateur",
        "connected-product data without its user's contract",
    ),
    "trade_secret": ("secret des affaires sans l'accord de son détenteur", "trade secret without its holder's consent"),
}
SOURCES_BY_AGREEMENT = frozenset({"connected_product", "trade_secret"})
ROLES_THAT_ACT = frozenset({"analyst", "lead"})
CLOCK_SKEW_MAX_SECONDS = 2
# Refusals of a simulation that later steps of the path settle (legal-gate, section 5.1, approve).
SETTLED_LATER = frozenset({"G02", "G03", "G10", "G11", "G12", "G20"})
PARTIES = {
    "operator": ("l'opérateur de la zone", "the zone operator"),
    "experimenter": ("l'expérimentateur", "the experimenter"),
    "holder": ("le détenteur des données", "the data holder"),
}


def _today(case: Case, rules: RuleSet) -> date:
    return case.now.astimezone(rules.timezone).date()


def add_months(day: date, months: int) -> date:
    """The same day `months` later, or the last day of that month when it has none."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def _need(value, fr: str, en: str):
    """`value`, or the rule is indeterminate."""
    if value is None:
        raise Unknown(fr, en)
    return value


def _dataset(case: Case) -> DatasetFacts:
    return _need(case.dataset, "le jeu de données", "the dataset")


def _release(case: Case) -> ReleaseFacts:
    return _need(case.release, "la remise demandée", "the release asked for")


def _columns(case: Case) -> tuple[str, ...]:
    """The columns asked, and those that the built file holds."""
    built = case.release.columns if case.release else ()
    columns = tuple(dict.fromkeys((*case.request.columns, *built)))
    return _need(columns or None, "les colonnes demandées", "the columns asked for")


def k_threshold(domains, delivery_mode: str, rules: RuleSet, *, consented: bool = False) -> int:
    """The smallest class of subjects allowed; the strictest domain wins. Source: legal-gate, section 7.2.

    Load curves of those who consented stay at record level inside the environment: a class of one."""
    if consented and delivery_mode == "environment" and domains and set(domains) <= K_ENERGY:
        return 1
    wanted = [rules.parameters["k_other_personal"]]
    for domain in domains:
        if domain in HEALTH:
            inside = delivery_mode == "environment"
            wanted.append(rules.parameters["k_health_inside" if inside else "k_health_outside"])
        elif domain in K_ENERGY:
            wanted.append(rules.parameters["k_energy_points"])
        elif domain in K_MOBILITY:
            wanted.append(rules.parameters["k_mobility"])
        elif domain in K_STAFF:
            wanted.append(rules.parameters["k_staff"])
    return max(wanted)


# ------------------------------------------------------------------------------------------------ judges, in order


def strong_authentication(case: Case, rules: RuleSet) -> Verdict:
    """G01. Three doors: a session, an API token of one person, a machine that executes a person's one-use order."""
    longest = timedelta(hours=rules.parameters["mfa_max_age_hours"])
    if case.credential is not None or case.order is not None:
        return MET if _order_holds(case, longest) else _refuse()
    person = _need(case.person, "la personne qui demande", "the person who asks")
    if not person.is_active:
        return _refuse()
    if case.token is not None:
        token = case.token
        holds = (
            token.person_ref == person.ref
            and case.action in token.scopes
            and case.now < token.expires_at
            and (token.revoked_at is None or case.now < token.revoked_at)
        )
        return MET if holds else _refuse()
    return MET if _is_recent(person.second_factor_at, case.now, longest) else _refuse()


def _is_recent(second_factor_at: datetime | None, at: datetime, longest: timedelta) -> bool:
    return second_factor_at is not None and timedelta() <= at - second_factor_at < longest


def _order_holds(case: Case, longest: timedelta) -> bool:
    """The order is this credential's, this action's, this object's; unused, or its own download goes on."""
    credential, order = case.credential, case.order
    if credential is None or order is None or credential.revoked_at is not None:
        return False
    if case.person is None or not case.person.is_active:
        return False
    unused = order.used_at is None or (case.request.first_byte > 0 and order.used_by == credential.ref)
    return (
        unused
        and order.person_ref == case.person.ref
        and order.environment_id == credential.environment_id
        and case.environment is not None
        and order.environment_id == case.environment.id
        and order.action == case.action
        and order.object_ref == case.request.object_ref
        and case.now < order.expires_at
        and _is_recent(order.second_factor_at, order.given_at, longest)
    )


def _is_unordered_machine(case: Case) -> bool:
    return case.credential is not None and case.order is None


def named_person(case: Case, rules: RuleSet) -> Verdict:
    """G02. A machine that nobody ordered acts for no person: G01 refuses it, there is nobody to judge here."""
    if _is_unordered_machine(case):
        return NOT_CONCERNED
    person = _need(case.person, "la personne qui demande", "the person who asks")
    named, today = person.named, _today(case, rules)
    if (
        named is None
        or not person.is_member
        or not named.is_confirmed
        or named.role not in ROLES_THAT_ACT
        or today < named.from_day
        or (named.until_day is not None and today > named.until_day)
    ):
        return _refuse()
    return MET


def trained_and_bound(case: Case, rules: RuleSet) -> Verdict:
    """G03. Personal data alone: each family of domains learnt recently enough, and this convention's undertaking."""
    dataset = _dataset(case)
    if not dataset.is_personal or _is_unordered_machine(case):
        return NOT_CONCERNED
    person = _need(case.person, "la personne qui demande", "the person who asks")
    lacks = what_is_missing(person.trainings, person.undertook_on, dataset.domains, _today(case, rules), rules)
    if not lacks:
        return MET
    return _refuse(missing=(", ".join(fr for fr, _en in lacks), ", ".join(en for _fr, en in lacks)))


def what_is_missing(
    trainings: Iterable[tuple[str, date]],
    undertook_on: date | None,
    domains: Iterable[str],
    today: date,
    rules: RuleSet,
) -> list[tuple[str, str]]:
    """What stands between a person and personal data of `domains`: (French, English), nothing when all is there.
    The pages of the person read the same answer as the gate."""
    learnt, longest = dict(trainings), rules.parameters["training_max_age_months"]
    lacks = []
    if undertook_on is None or undertook_on > today:
        lacks.append(("l'engagement de confidentialité", "the confidentiality undertaking"))
    for family in lessons.families_of(domains):
        day = learnt.get(family)
        if day is None or day > today or today >= add_months(day, longest):
            fr, en = lessons.name_of(family), lessons.name_of(family, "en")
            lacks.append((f"la formation « {fr} »", f'the "{en}" training'))
    return lacks


def accreditation_valid(case: Case, rules: RuleSet) -> Verdict:
    """G04. Absent from the registry refuses; a registry copy too old to know is indeterminate."""
    standing = case.standing
    if standing is None:
        return _refuse()
    if case.now - standing.synced_at > timedelta(hours=rules.parameters["registry_copy_max_age_hours"]):
        raise Unknown("la copie du registre est trop ancienne", "the copy of the registry is too old")
    valid = standing.valid_from <= _today(case, rules) <= standing.valid_until
    return MET if standing.status == "accredited" and valid else _refuse()


def accreditation_scope(case: Case, rules: RuleSet) -> Verdict:
    """G05."""
    standing = case.standing
    if standing is None:
        return _refuse()
    covered = case.zone.kind in standing.zone_kinds
    if case.action == "expert_appointment":
        return MET if covered else _refuse()
    outside = [domain for domain in _dataset(case).domains if domain not in standing.domains]
    if outside:
        labels = dict(zip(case.dataset.domains, case.dataset.domain_labels, strict=True))
        fr, en = ", ".join(labels[d] for d in outside), ", ".join(d.replace("_", " ") for d in outside)
        return _refuse(domain=(fr, en))
    return MET if covered else _refuse()


def experimentation_only(case: Case, rules: RuleSet) -> Verdict:
    """G06. No role can waive it."""
    both = {case.request.purpose_kind, case.convention.purpose_kind}
    return MET if both == {"experimentation"} else _refuse()


def purpose_not_prohibited(case: Case, rules: RuleSet) -> Verdict:
    """G07. What the convention signed and what the request says; nobody authorises a purpose of this table."""
    codes = {*case.convention.purpose_codes, case.request.purpose_code}
    domains = case.dataset.domains if case.dataset else ()
    return _refuse() if codes & prohibited_purposes(domains) else MET


def prohibited_purposes(domains: Iterable[str]) -> frozenset[str]:
    """The purpose codes prohibited for data of `domains`."""
    return PROHIBITED.union(*(PROHIBITED_IN.get(domain, frozenset()) for domain in domains))


def purpose_in_convention(case: Case, rules: RuleSet) -> Verdict:
    """G08."""
    return MET if case.request.purpose_code in case.convention.purpose_codes else _refuse()


def convention_active(case: Case, rules: RuleSet) -> Verdict:
    """G10."""
    return MET if case.convention.status == "active" else _refuse()


def convention_period(case: Case, rules: RuleSet) -> Verdict:
    """G11. Whatever the stored status: a late job never lengthens access. Clocks that disagree prove no day."""
    skew = _need(case.clock_skew_seconds, "l'écart des horloges", "the skew of the clocks")
    if abs(skew) > CLOCK_SKEW_MAX_SECONDS:
        raise Unknown("les horloges du service ne concordent pas", "the clocks of the service disagree")
    held = case.convention.starts_on <= _today(case, rules) <= case.convention.ends_on
    return MET if held else _refuse()


def signatures_complete(case: Case, rules: RuleSet) -> Verdict:
    """G12. Each required party, the same bytes, the level, a mandate valid on the day of the act."""
    convention = case.convention
    if not convention.required_parties:
        raise Unknown("les parties qui doivent signer", "the parties who must sign")
    required = convention.required_level
    if (case.dataset is None or case.dataset.is_personal) and not signatures.reaches(required, "strengthened"):
        required = "strengthened"
    signed = {
        signature.party
        for signature in convention.signatures
        if convention.document_sha256
        and signatures.is_valid(signature, document_sha256=convention.document_sha256, required_level=required)
    }
    missing = [party for party in convention.required_parties if party not in signed]
    if missing:
        fr, en = zip(*(_party(party, dict(convention.party_names)) for party in missing), strict=True)
        return _refuse(missing=(", ".join(fr), ", ".join(en)))
    return MET


def _party(party: str, names: Mapping[str, str]) -> tuple[str, str]:
    """The party and who it is, when the case says so: a reminder is sent to somebody."""
    fr, en = PARTIES[party]
    return (f"{fr} ({names[party]})", f"{en} ({names[party]})") if party in names else (fr, en)


def zone_and_service_open(case: Case, rules: RuleSet) -> Verdict:
    """G13."""
    if case.zone.status != "open":
        return _refuse()
    service = case.dataset.service if case.dataset else None
    if service and not service.participation_from <= _today(case, rules) <= service.participation_until:
        return _refuse()
    return MET


def kill_switch(case: Case, rules: RuleSet) -> Verdict:
    """G14."""
    return _refuse() if case.switches else MET


def dataset_in_scope(case: Case, rules: RuleSet) -> Verdict:
    """G16. Published, in the annex, of a listed service, within the period signed; the version needs a profile."""
    dataset, convention = _dataset(case), case.convention
    inside = (
        dataset.status == "published"
        and dataset.version_status == "profiled"
        and dataset.id in convention.dataset_ids
        and (dataset.service is None or dataset.service.id in convention.service_ids)
    )
    if convention.period is not None:
        asked = case.request.period
        inside = inside and asked is not None and convention.period[0] <= asked[0] <= asked[1] <= convention.period[1]
    return MET if inside else _refuse()


def dataset_legal_basis(case: Case, rules: RuleSet) -> Verdict:
    """G17. The holder's own: art. 6, compatibility of the reuse, its DPO's review; for health, art. 9, the ground for
    lifting secrecy and the formality."""
    dataset = _dataset(case)
    if not dataset.is_personal:
        return NOT_CONCERNED
    basis = _need(case.basis, "les bases du détenteur", "the holder's bases")
    needed = [basis.article_6, basis.compatibility]
    if any(domain in HEALTH for domain in dataset.domains):
        needed += [basis.article_9, basis.secrecy, basis.formality]
    reviewed = basis.reviewed_on is not None and basis.reviewed_on <= _today(case, rules)
    return MET if all(needed) and reviewed else _refuse()


def source_terms(case: Case, rules: RuleSet) -> Verdict:
    """G18. Sources blocked by default: two for good, two until the agreement of the person entitled is on file."""
    if case.basis is None and not _dataset(case).is_personal:
        return MET
    basis = _need(case.basis, "les conditions des sources", "the terms of the sources")
    blocked = [
        SOURCES[kind]
        for kind in basis.restricted_sources
        if kind not in SOURCES_BY_AGREEMENT or not basis.sources_agreement.strip()
    ]
    if blocked:
        return _refuse(missing=(", ".join(fr for fr, _en in blocked), ", ".join(en for _fr, en in blocked)))
    return MET


def impact_assessment(case: Case, rules: RuleSet) -> Verdict:
    """G19. Required here for every personal dataset: recent, later than the last added column, consultation closed."""
    if not _dataset(case).is_personal:
        return NOT_CONCERNED
    basis = _need(case.basis, "l'analyse d'impact", "the impact assessment")
    day, today = basis.dpia_validated_on, _today(case, rules)
    if day is None or day > today or today >= add_months(day, rules.parameters["dpia_max_age_months"]):
        return _refuse()
    if basis.substantial_on is not None and day < basis.substantial_on:
        return _refuse()
    return _refuse() if basis.residual_risk == "high_open" else MET


def notice_published(case: Case, rules: RuleSet) -> Verdict:
    """G20. The page is online and complete; information has run by it, or by the standing notice of the offer."""
    if not _dataset(case).is_personal:
        return NOT_CONCERNED
    notice = _need(case.notice, "la notice publique", "the public notice")
    delay = timedelta(days=rules.parameters["notice_days_personal"])
    sources = [notice.published_at] if notice.published_at else []
    if notice.standing_published_at and notice.offer_is_unchanged:
        sources.append(notice.standing_published_at)
    ready = min(sources) + delay if sources else None
    online = notice.published_at is not None and notice.published_at <= case.now
    general = case.zone.general_information_on
    dated = general is not None and general <= _today(case, rules)
    if online and not notice.missing and dated and ready is not None and ready <= case.now:
        return MET
    later = ready if ready is not None else case.now + delay
    if later > case.now:
        return _refuse(retry_at=_moment(later, rules))
    return _refuse(retry_at=("jour où elle sera complète et en ligne", "the day it is complete and online"))


def columns_justified(case: Case, rules: RuleSet) -> Verdict:
    """G21. There is no "all columns"."""
    justified = {column.name for column in case.convention.columns if column.justification.strip()}
    known = {column.name for column in _dataset(case).columns}
    unjustified = [name for name in _columns(case) if name not in justified or name not in known]
    return _refuse(columns=", ".join(unjustified)) if unjustified else MET


def no_direct_identifier(case: Case, rules: RuleSet) -> Verdict:
    """G23. By role of the columns; on download, by the scan of the built file too."""
    roles = {column.name: column.role for column in _dataset(case).columns}
    direct = [name for name in _columns(case) if roles.get(name) == "direct_identifier"]
    if direct:
        return _refuse(columns=", ".join(direct))
    unset = [name for name in _columns(case) if name in roles and not roles[name]]
    if unset:
        raise Unknown(f"le rôle des colonnes {', '.join(unset)}", f"the role of columns {', '.join(unset)}")
    if case.action in DOWNLOADS and case.dataset.is_personal:
        found = _need(_release(case).identifiers_found, "l'examen du fichier", "the scan of the file")
        if found:
            return _refuse(columns=("relevées dans le fichier", "found in the file"))
    return MET


def sensitive_variables(case: Case, rules: RuleSet) -> Verdict:
    """G24, columns; the build blanks the reinforced codes inside coded ones (`consent.codes`)."""
    classes = {column.name: column.sensitive_class for column in _dataset(case).columns}
    approved = {column.name for column in case.convention.columns if column.approves_sensitive}
    asked = [name for name in _columns(case) if classes.get(name)]
    genetic = [name for name in asked if classes[name] == "genetic"]  # no consent evidence is collected yet: refused
    refused = [
        name for name in asked if name in genetic or name not in approved or not case.convention.dpo_is_favourable
    ]
    return _refuse(columns=", ".join(refused)) if refused else MET


def free_text_and_images(case: Case, rules: RuleSet) -> Verdict:
    """G25. No scrubbing exists yet: a free text that would leave is refused, always."""
    roles = {column.name: column.role for column in _dataset(case).columns}
    return _refuse() if any(roles.get(name) == "free_text" for name in _columns(case)) else MET


def oppositions_filtered(case: Case, rules: RuleSet) -> Verdict:
    """G26. Building excludes opposed subjects; a file that holds one who opposed since is not served."""
    if not _dataset(case).is_personal:
        return NOT_CONCERNED
    hours = rules.parameters["opposition_snapshot_max_age_hours_release"]
    synced = _need(case.oppositions_synced_at, "le registre des oppositions", "the register of objections")
    if case.now - synced > timedelta(hours=hours):
        raise Unknown("le registre des oppositions est trop ancien", "the register of objections is too old")
    if case.action in DOWNLOADS:
        release = _release(case)
        _need(release.opposition_snapshot_at, "l'état du registre au calcul", "the register's state at build")
        if _need(release.opposed_inside, "l'index de la remise", "the index of the release"):
            return _refuse()
    return _treat({"snapshot_max_age_hours": hours})


def consent_where_required(case: Case, rules: RuleSet) -> Verdict:
    """G27. Building keeps those who consent to this purpose and recipient; a file that holds one who no longer does
    is not served. The register of consents is whole up to the same moment as that of objections."""
    if not _dataset(case).consent_required:
        return NOT_CONCERNED
    hours = rules.parameters["opposition_snapshot_max_age_hours_release"]
    synced = _need(case.oppositions_synced_at, "le registre des consentements", "the register of consents")
    if case.now - synced > timedelta(hours=hours):
        raise Unknown("le registre des consentements est trop ancien", "the register of consents is too old")
    if case.action in DOWNLOADS:
        release = _release(case)
        _need(release.opposition_snapshot_at, "l'état du registre au calcul", "the register's state at build")
        if _need(release.unconsented_inside, "l'index de la remise", "the index of the release"):
            return _refuse()
    return _treat({"purpose": case.request.purpose_code, "recipient": case.convention.recipient_category})


def minors(case: Case, rules: RuleSet) -> Verdict:
    """G28. Excluded, unknown ages with them, unless covered with evidence."""
    if not _dataset(case).is_personal:
        return NOT_CONCERNED
    if case.convention.minors_covered and case.convention.minors_evidence:
        return MET
    return _treat({"age_below": 18})


def pseudonymisation_profile(case: Case, rules: RuleSet) -> Verdict:
    """G29. The domain's profile, under a key that serves this convention and nothing else."""
    if not _dataset(case).is_personal:
        return NOT_CONCERNED
    key = _need(case.key, "la clé de la convention, en cours de création", "the agreement's key, being made")
    if not key.is_to_be_made and key.ref not in dict_of(case.scopes, "convention"):
        return _refuse()
    return _treat({"profile": "+".join(case.dataset.domains)})


def dict_of(scopes: tuple[tuple[str, str], ...], kind: str) -> frozenset[str]:
    """The references of the scopes of one kind, as keys name them ("convention:12")."""
    return frozenset(f"{kind}:{ref}" for one, ref in scopes if one == kind)


def k_threshold_reached(case: Case, rules: RuleSet) -> Verdict:
    """G30. Judged on the plan's figures when there are some, on the built file when downloading."""
    if not _dataset(case).is_personal:
        return NOT_CONCERNED
    mode = case.request.delivery_mode
    wanted = k_threshold(case.dataset.domains, mode, rules, consented=case.dataset.consent_required)
    if wanted == 1:
        return NOT_CONCERNED
    most = rules.parameters["suppression_max_pct"]
    if case.action in DOWNLOADS:
        if _need(_release(case).k_min, "l'effectif minimal mesuré", "the smallest class measured") < wanted:
            return _refuse(k_min=str(wanted))
        return _treat({"k_min": wanted, "suppression_max_pct": most}, k_min=str(wanted))
    measured = case.measured
    if mode == "output":  # the file is the person's own: it is never treated in their place
        measured = _need(measured, "l'effectif minimal mesuré", "the smallest class measured")
        return MET if measured.k_found >= wanted else _refuse(k_min=str(wanted))
    if measured is not None:
        if measured.k_found >= wanted:
            return MET
        if measured.k_reached < wanted or measured.suppressed_pct > most:
            return _refuse(k_min=str(wanted))
    return _treat({"k_min": wanted, "suppression_max_pct": most}, k_min=str(wanted))


def no_cross_convention_linkage(case: Case, rules: RuleSet) -> Verdict:
    """G32. No matching with other files about persons; a release is built with its own convention's key only."""
    if case.convention.linkage.strip():
        return _refuse()
    sealed = case.action in DOWNLOADS and _dataset(case).is_personal
    foreign = sealed and _release(case).key_ref not in dict_of(case.scopes, "convention")
    return _refuse() if foreign else MET


def secure_environment(case: Case, rules: RuleSet) -> Verdict:
    """G33. Declared, attested, of the class agreed; where bytes leave, they go to its networks."""
    environment, today = case.environment, _today(case, rules)
    if environment is None or environment.attested_on is None or environment.attested_on > today:
        return _refuse()
    if today >= add_months(environment.attested_on, rules.parameters["environment_attestation_max_age_months"]):
        return _refuse()
    if case.convention.environment_klass == "secure" and environment.klass != "secure":
        return _refuse()
    secure_only = any(domain in SECURE_ONLY for domain in _dataset(case).domains)
    if secure_only and (case.request.delivery_mode not in ("environment", "output") or environment.klass != "secure"):
        return _refuse()
    if case.action in LEAVES_BYTES and not _within(case.request.address, environment.networks):
        return _refuse()
    return MET


def _within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise Unknown("l'adresse où vont les octets", "the address the bytes go to") from error
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)


def hds_hosting(case: Case, rules: RuleSet) -> Verdict:
    """G34. On the date that the certificate declared; the published list is checked by people (finding, not gate)."""
    if not any(domain in HEALTH for domain in _dataset(case).domains):
        return NOT_CONCERNED
    environment = case.environment
    if environment is None:
        return NOT_CONCERNED  # G33 refuses
    return MET if environment.hds_until is not None and _today(case, rules) <= environment.hds_until else _refuse()


def location_and_transfers(case: Case, rules: RuleSet) -> Verdict:
    """G35. As declared: where the machines are, where people connect from. No transfer tool is recorded yet, so that
    outside the European Economic Area the answer is no for every kind of personal data."""
    environment = case.environment
    if not _dataset(case).is_personal or environment is None:  # without one, G33 refuses
        return NOT_CONCERNED
    _need(environment.country or None, "le pays des machines", "the country of the machines")
    _need(environment.access_countries or None, "les pays d'où l'on s'y connecte", "the countries people connect from")
    outside = sorted({environment.country, *environment.access_countries} - EEA)
    return _refuse(missing=", ".join(outside)) if outside else MET


def processors_declared(case: Case, rules: RuleSet) -> Verdict:
    """G36. The host is the processor an environment declares; the operator accepted it by signing the convention."""
    environment = case.environment
    if not _dataset(case).is_personal or environment is None:  # without one, G33 refuses
        return NOT_CONCERNED
    if environment.host.strip() and environment.host_contract.strip():
        return MET
    host = environment.host or "?"
    return _refuse(missing=(f"le contrat avec l'hébergeur {host}", f"the contract with the host {host}"))


def quota(case: Case, rules: RuleSet) -> Verdict:
    """G37. Judged again under the convention's lock when the decision is recorded."""
    used = _need(case.quota, "le décompte du quota", "the quota's count")
    if case.action == "release_create":
        if used.releases_this_month < used.releases_per_month:
            return MET
        first = add_months(_today(case, rules).replace(day=1), 1)
        limit = used.releases_per_month
        return _refuse(
            limit=(f"{limit} remises par mois", f"{limit} releases a month"),
            retry_at=_moment(datetime.combine(first, time(), rules.timezone), rules),
        )
    if case.action == "release_download":
        if used.resumes or used.downloads < used.downloads_per_release:
            return MET
        limit = used.downloads_per_release
        return _refuse(
            limit=(f"{limit} téléchargements par remise", f"{limit} downloads a release"),
            retry_at=("jour d'une nouvelle remise", "the day of a new release"),
        )
    raise Unknown("le décompte du quota", "the quota's count")


def good_standing(case: Case, rules: RuleSet) -> Verdict:
    """G38. Attestations and withdrawal orders whose day has passed, of the whole organisation."""
    overdue = _need(case.overdue, "les obligations en cours", "the duties under way")
    if not overdue:
        return MET
    return _refuse(missing=(", ".join(fr for fr, _en in overdue), ", ".join(en for _fr, en in overdue)))


def marking(case: Case, rules: RuleSet) -> Verdict:
    """G39. Always an obligation; on download, the file must be marked and its manifest whole."""
    if case.action in DOWNLOADS:
        release = _release(case)
        named = all(release.manifest.get(name) for name in ("decision_id", "sha256", "licence", "recipe_sha256"))
        if release.kind != "experimental" or not named:
            return _refuse()
    return _treat({"kind": "experimental"})


Judge = Callable[[Case, RuleSet], Verdict]
JUDGES: dict[str, Judge] = {
    "G01": strong_authentication,
    "G02": named_person,
    "G03": trained_and_bound,
    "G04": accreditation_valid,
    "G05": accreditation_scope,
    "G06": experimentation_only,
    "G07": purpose_not_prohibited,
    "G08": purpose_in_convention,
    "G10": convention_active,
    "G11": convention_period,
    "G12": signatures_complete,
    "G13": zone_and_service_open,
    "G14": kill_switch,
    "G16": dataset_in_scope,
    "G17": dataset_legal_basis,
    "G18": source_terms,
    "G19": impact_assessment,
    "G20": notice_published,
    "G21": columns_justified,
    "G23": no_direct_identifier,
    "G24": sensitive_variables,
    "G25": free_text_and_images,
    "G26": oppositions_filtered,
    "G27": consent_where_required,
    "G28": minors,
    "G29": pseudonymisation_profile,
    "G30": k_threshold_reached,
    "G32": no_cross_convention_linkage,
    "G33": secure_environment,
    "G34": hds_hosting,
    "G35": location_and_transfers,
    "G36": processors_declared,
    "G37": quota,
    "G38": good_standing,
    "G39": marking,
}
JUDGED_BY_RECORD = frozenset({"G42"})
# Rules that stand in the rule set and are not judged yet, each with what it waits for. A later issue empties this.
NOT_YET_JUDGED: tuple[tuple[str, str], ...] = (
    ("G09", "l'approbation de la base du destinataire par le DPO n'est pas encore recueillie"),
    ("G15", "les autorisations externes ne sont pas encore versées ni vérifiées"),
    ("G22", "la cohorte et le volume signés ne sont pas encore dans la convention"),
    ("G31", "la comparaison avec les remises déjà détenues n'est pas encore calculée"),
    ("G40", "les défis ne sont pas encore servis"),
    ("G41", "les rendez-vous d'experts ne sont pas encore servis"),
)
WAITING = frozenset(rule for rule, _why in NOT_YET_JUDGED)

# The name of each rule for people, in French; the rule set names them by an English key.
TITLES = {
    "G01": "Authentification forte",
    "G02": "Personne habilitée",
    "G03": "Formation et engagement",
    "G04": "Agrément valide",
    "G05": "Périmètre de l'agrément",
    "G06": "Expérimentation seulement",
    "G07": "Finalité permise",
    "G08": "Finalité de la convention",
    "G09": "Base légale du destinataire",
    "G10": "Convention active",
    "G11": "Période de la convention",
    "G12": "Signatures complètes",
    "G13": "Zone et service ouverts",
    "G14": "Coupe-circuit",
    "G15": "Autorisation externe",
    "G16": "Jeu dans le périmètre",
    "G17": "Base légale du détenteur",
    "G18": "Conditions des sources",
    "G19": "Analyse d'impact",
    "G20": "Notice publique",
    "G21": "Colonnes justifiées",
    "G22": "Lignes minimisées",
    "G23": "Aucun identifiant direct",
    "G24": "Variables sensibles",
    "G25": "Textes libres et images",
    "G26": "Oppositions",
    "G27": "Consentement requis",
    "G28": "Mineurs",
    "G29": "Profil de pseudonymisation",
    "G30": "Effectif minimal",
    "G31": "Divulgation par cumul",
    "G32": "Appariement",
    "G33": "Environnement sécurisé",
    "G34": "Hébergement HDS",
    "G35": "Lieu et transferts",
    "G36": "Sous-traitants déclarés",
    "G37": "Quota",
    "G38": "Obligations à jour",
    "G39": "Marquage",
    "G40": "Règlement du défi",
    "G41": "Conditions de l'expert",
    "G42": "Décision enregistrée",
}


# ------------------------------------------------------------------------------------------------ evaluation


def evaluate(case: Case, rules: RuleSet) -> Decision:
    """Judge `case` by every rule of `rules` that applies to its action."""
    reasons: list[Reason] = []
    obligations: list[Obligation] = []
    verdicts: list[tuple[str, str]] = []
    words = _Words(case, rules)
    for rule in rules.for_action(case.action):
        if rule.id in WAITING or rule.id in JUDGED_BY_RECORD:
            continue
        effect, said, parameters = _judge(rule, case, rules)
        verdicts.append((rule.id, effect))
        if effect in (DENY, INDETERMINATE, OBLIGE):
            reasons.append(words.reason(rule, effect, said))
        if effect == OBLIGE:
            obligations.append(Obligation(rule.obligation, rule.id, parameters))
    if not verdicts or case.action not in SERVED:
        reasons.append(_by_default(case.action))
    if any(reason.refuses for reason in reasons):
        effect, obligations = DENY, []
    else:
        effect = PERMIT_WITH_OBLIGATIONS if obligations else PERMIT
    return Decision(effect, tuple(reasons), tuple(obligations), tuple(verdicts), rules.version, rules.sha256)


def _judge(rule: Rule, case: Case, rules: RuleSet) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """The effect of one rule, what its message says, an obligation's parameters. No judge can break out: closed."""
    try:
        verdict = JUDGES[rule.id](case, rules)
        if verdict.effect == OBLIGE:
            return _treated(rule, verdict, case)
        return verdict.effect, verdict.said, {}
    except Unknown as unknown:
        return INDETERMINATE, {"unknown": unknown.said}, {}
    except Exception as error:
        name = type(error).__name__
        return INDETERMINATE, {"unknown": (f"erreur d'évaluation ({name})", f"evaluation error ({name})")}, {}


def _treated(rule: Rule, verdict: Verdict, case: Case) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """An obligation while the release is to be built. When downloading, the file exists: its receipt, or nothing."""
    if rule.on_fail != OBLIGE:
        return DENY, verdict.said, {}
    if case.action in DOWNLOADS:
        done = any(r.obligation == rule.obligation and r.is_done and r.digest for r in _release(case).receipts)
        return (PERMIT if done else DENY), verdict.said, {}
    return OBLIGE, verdict.said, verdict.parameters


def _by_default(action: str) -> Reason:
    """Zero applicable rule, or an action whose own rules are not judged yet: refused."""
    return Reason(
        rule="default",
        key="default_effect",
        title="Refus par défaut",
        effect=DENY,
        message_fr=f"L'accès « {action} » n'est pas encore ouvert sur la plateforme. Demandez plutôt une remise.",
        message_en=f'The access "{action}" is not open on the platform yet. Ask for a release instead.',
        sources=(),
        to_confirm=(),
        certainty="policy",
        link="",
    )


class _Words:
    """Fills the messages of one case. The common values are worked out once, when a first reason needs them."""

    def __init__(self, case: Case, rules: RuleSet):
        self.case, self.rules = case, rules
        self._common: tuple[dict[str, str], dict[str, str]] | None = None

    def common(self) -> tuple[dict[str, str], dict[str, str]]:
        if self._common is None:
            case, convention, dataset = self.case, self.case.convention, self.case.dataset
            service = dataset.service.name if dataset and dataset.service else ""
            both = {
                "ref": convention.ref or "à venir",
                "org": convention.org,
                "zone": case.zone.name,
                "service": service or "concerné",
                "dataset": dataset.title if dataset else "",
                "domain": ", ".join(dataset.domain_labels) if dataset else "",
                "contact": case.zone.contact,
                "dpo": case.zone.dpo,
                "agency": case.agency,
                "start_date": f"{convention.starts_on:%d/%m/%Y}",
                "end_date": f"{convention.ends_on:%d/%m/%Y}",
                "columns": "à préciser",
                "missing": "information indisponible",
                "k_min": "à mesurer",
                "limit": "à préciser",
                "retry_at": "prochain essai",
            }
            english = {
                **both,
                "ref": convention.ref or "to come",
                "service": service or "concerned",
                "domain": ", ".join(d.replace("_", " ") for d in dataset.domains) if dataset else "",
                "start_date": convention.starts_on.isoformat(),
                "end_date": convention.ends_on.isoformat(),
                "columns": "to be named",
                "missing": "information unavailable",
                "k_min": "to be measured",
                "limit": "to be named",
                "retry_at": "the next attempt",
            }
            self._common = (both, english)
        return self._common

    def reason(self, rule: Rule, effect: str, said: Mapping[str, Any]) -> Reason:
        fr, en = self.common()
        link = self.case.links.get(rule.id, self.case.links.get("default", ""))
        if effect == INDETERMINATE:
            message_fr, message_en = self._unverified(rule, said["unknown"])
        else:
            said_fr = {name: v[0] if isinstance(v, tuple) else v for name, v in said.items()}
            said_en = {name: v[1] if isinstance(v, tuple) else v for name, v in said.items()}
            message_fr = rule.message_fr.format(**{**fr, "link": link, **said_fr})
            message_en = rule.message_en.format(**{**en, "link": link, **said_en})
        return Reason(
            rule.id, rule.key, TITLES.get(rule.id, rule.key), effect, message_fr, message_en, rule.legal_source,
            rule.legal_to_confirm, rule.certainty, link, rule.route,
        )  # fmt: skip

    def _unverified(self, rule: Rule, unknown: tuple[str, str]) -> tuple[str, str]:
        """An indeterminate rule has its own words: it blames nobody for what the platform could not know."""
        title, contact = TITLES.get(rule.id, rule.key), self.case.zone.contact
        return (
            f"Condition « {title} » non vérifiable pour l'instant : {unknown[0]}. Rien ne vous est "
            f"reproché ; réessayez dans quelques minutes, puis écrivez à {contact} si cela dure.",
            f'Condition "{rule.key.replace("_", " ")}" cannot be checked for now: {unknown[1]}. Nothing is held '
            f"against you; retry in a few minutes, then write to {contact} if it lasts.",
        )


def _moment(at: datetime, rules: RuleSet) -> tuple[str, str]:
    """A moment for people, in Paris: (French, English)."""
    local = at.astimezone(rules.timezone)
    return f"{local:%d/%m/%Y à %H h %M}", f"{local:%Y-%m-%d at %H:%M} (Paris)"


def placeholders_of(message: str) -> frozenset[str]:
    return frozenset(name for _text, name, _spec, _conversion in Formatter().parse(message) if name)


def reference(rules: RuleSet) -> list[tuple[str, str, str, str, str, str]]:
    """The rows of the drawn reference: rule, title, actions, if not met, certainty, judged or what it waits for."""
    waits = dict(NOT_YET_JUDGED)
    rows = []
    for rule in rules.rules:
        judged = "à l'enregistrement" if rule.id in JUDGED_BY_RECORD else "oui"
        effect = rule.on_fail + (f" {rule.obligation}" if rule.obligation else "")
        if rule.on_fail_download:
            effect += f" ; au téléchargement {rule.on_fail_download}"
        rows.append(
            (
                rule.id,
                TITLES[rule.id],
                ", ".join(rule.applies_to),
                effect,
                rule.certainty,
                f"pas encore : {waits[rule.id]}" if rule.id in waits else judged,
            )
        )
    return rows
