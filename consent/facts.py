"""Gathers the case of one decision: few queries, none of which grows with rows; the gate itself asks nothing.

The policy epoch is read first, the facts after it: a fact that changes in between raises the epoch, so that
`consent.record` sees the difference. The registry is a table of this very database, not a
copy of somebody else's: its age is nought, and `synced_at` is the time of the case until a zone keeps its own copy.
The register of objections is whole up to the oldest sealed request that the worker has yet to open.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Case, CharField, DateTimeField, Exists, Func, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, NullIf
from django.urls import reverse

from broker import clock
from broker.accounts.models import MachineCredential, MachineOrder, Organisation
from broker.audit.actor import of as actor_of
from broker.epoch.actions import epoch_of, switches_on
from broker.keys.models import DataKey
from consent import consents, gate, notice, terms
from consent.models import (
    Accreditation,
    Convention,
    ConventionDocument,
    Offer,
    OfferColumn,
    Opinion,
    QuotaUse,
    Signature,
    StandingMandate,
)
from consent.oppositions import sealed_requests
from zones.models import Dataset, DatasetVersion, Domain, Service, Zone

PLATFORM = ("platform", "terrain")  # the scope of a switch that cuts everything
RESUME_WITHIN = timedelta(hours=24)
KINDS = {"release_create": "release", "release_download": "download"}  # the unit of quota each action takes


def case(
    action: str,
    *,
    by,
    convention: Convention,
    version: DatasetVersion,
    columns: Iterable[str],
    purpose_kind: str,
    purpose_code: str,
    second_factor_at: datetime | None,
    address: str,
    delivery_mode: str,
    order: MachineOrder | None = None,
    release: gate.ReleaseFacts | None = None,
    measured: gate.Measured | None = None,
    first_byte: int = 0,
    object_ref: str = "",
    period: tuple[date, date] | None = None,
    now: datetime,
    with_quota: bool = True,
    overdue_orders: tuple[tuple[str, str], ...] = (),
) -> gate.Case:
    """The case of `action` under `convention`. `by` is a user, or the machine credential that executes `order`.

    `object_ref` is what is acted on, as an order names it: by default the release's own reference, or the version.
    `with_quota`: `consent.record` counts it itself, under the convention's lock. `overdue_orders`: withdrawal orders
    of the organisation past their day, told by the room that gives them.
    """
    scopes = scopes_of(convention.pk, by=by, order=order, release=release)
    epoch = epoch_of(scopes)
    row = _whole().get(pk=convention.pk)
    version = DatasetVersion.objects.select_related("dataset__service").get(pk=version.pk)
    offer_columns = list(OfferColumn.objects.filter(offer=row.offer_id).select_related("column"))
    object_ref = object_ref or (release.ref if release else f"version:{version.pk}")
    credential = by if isinstance(by, MachineCredential) else None
    order = MachineOrder.objects.select_related("person", "used_by").get(pk=order.pk) if order else None
    person = order.person if order else (None if credential else by)
    return gate.Case(
        action=action,
        now=now,
        clock_skew_seconds=_seconds_ahead_of(row.database_time),
        person=_person(person, row, second_factor_at if credential is None else None),
        token=None,
        credential=_credential(credential),
        order=_order(order),
        standing=_standing(row.organisation, now),
        request=gate.RequestFacts(
            object_ref=object_ref,
            purpose_kind=purpose_kind,
            purpose_code=purpose_code,
            columns=tuple(columns),
            delivery_mode=delivery_mode,
            address=address,
            first_byte=first_byte,
            period=period,
        ),
        convention=_convention(row, offer_columns),
        zone=_zone(row.zone),
        dataset=_dataset(version),
        switches=tuple((switch.kind, switch.ref) for switch in switches_on(scopes)),
        scopes=scopes,
        epoch=epoch,
        notice=gate.NoticeFacts(
            published_at=row.notice_published_at,
            missing=notice.missing(row, offer_columns),
            standing_published_at=row.offer.notice_published_at,
            offer_is_unchanged=row.terms_signed is not None
            and row.terms_signed == terms.sha256(row.offer, offer_columns),
        ),
        oppositions_synced_at=row.oldest_sealed_request or now,
        environment=_environment(row.environment),
        key=_key(row),
        quota=quota(row, action, by=by, object_ref=object_ref, first_byte=first_byte, now=now) if with_quota else None,
        measured=measured,
        release=release,
        agency=row.agency or NO_AGENCY,
        links=links(row.offer, row),
        basis=_basis(row.offer, row.reviewed_at, row.adds_columns),
        overdue=(*_overdue(row.organisation_id, now), *overdue_orders),
    )


def _key(row: Any) -> gate.KeyFacts | None:
    """The convention's key. The last signature makes it: before, none is missing."""
    if row.has_key:
        return gate.KeyFacts(f"convention:{row.pk}")
    return gate.KeyFacts(ref="", is_to_be_made=True) if row.status == Convention.Status.SIGNING else None


def prospective(
    offer: Offer,
    *,
    by,
    organisation: Organisation,
    environment,
    purpose_kind: str,
    purpose_code: str,
    starts_on: date,
    ends_on: date,
    second_factor_at: datetime | None = None,
    address: str = "",
    columns: Iterable[str] | None = None,
    linkage: str = "",
    now: datetime | None = None,
) -> gate.Case:
    """What a first release under a convention not yet made would be judged on: the simulation, and the approval.

    Nothing is invented: there is no signature and no named person yet, so that the rules of `gate.SETTLED_LATER`
    refuse and say so. The key and the convention's public page are what the signature itself makes.
    """
    now = now or clock.now()
    offer = Offer.objects.select_related("dataset__service", "dataset__holder", "dataset__zone__operator").get(
        pk=offer.pk
    )
    dataset, zone = offer.dataset, offer.dataset.zone
    version = dataset.versions.exclude(status="draft").select_related("dataset__service").order_by("-number").first()
    offer_columns = list(OfferColumn.objects.filter(offer=offer).select_related("column"))
    if columns is None:
        columns = [c.column.path for c in offer_columns if c.treatment.get("kind") != "drop"]
    scopes = _scopes(
        zone=zone.pk, service=dataset.service_id, dataset=dataset.pk, offer=offer.pk, organisation=organisation.pk,
        environment=environment.pk if environment else None, user=by.pk,
    )  # fmt: skip
    return gate.Case(
        action="release_create",
        now=now,
        clock_skew_seconds=clock_skew(),
        person=gate.PersonFacts(
            ref=actor_of(by).ref, is_active=by.is_active, is_member=by.belongs_to(organisation),
            second_factor_at=second_factor_at, named=None, trainings=trainings_of(by),
        ),
        token=None,
        credential=None,
        order=None,
        standing=_standing(organisation, now),
        request=gate.RequestFacts(
            object_ref=f"offer:{offer.pk}", purpose_kind=purpose_kind, purpose_code=purpose_code,
            columns=tuple(columns), delivery_mode=offer.delivery_mode, address=address,
        ),
        convention=gate.ConventionFacts(
            ref="", org=organisation.name, status="simulated", purpose_kind=purpose_kind,
            purpose_codes=tuple(offer.purposes), starts_on=starts_on, ends_on=ends_on, document_sha256="",
            required_level="strengthened" if dataset.is_personal else "simple",
            required_parties=required_parties(dataset, zone), signatures=(), dataset_ids=(dataset.pk,),
            service_ids=(dataset.service_id,) if dataset.service_id else (), period=None,
            columns=_approved(offer_columns), dpo_is_favourable=_dpo_is_favourable(offer.pk), minors_covered=False,
            minors_evidence=False, environment_klass=offer.environment_klass,
            party_names=party_names(dataset, zone, organisation),
            recipient_category=consents.category_of(organisation),
            linkage=linkage,
        ),
        zone=_zone(zone),
        dataset=_dataset(version) if version else None,
        switches=tuple((switch.kind, switch.ref) for switch in switches_on(scopes)),
        scopes=scopes,
        epoch=epoch_of(scopes),
        notice=gate.NoticeFacts(
            published_at=now,  # the last signature puts the convention's page online
            missing=(),
            standing_published_at=offer.notice_published_at,
            offer_is_unchanged=_is_as_signed(offer),
        ),
        oppositions_synced_at=now,
        environment=_environment(environment),
        key=gate.KeyFacts(ref="", is_to_be_made=True),
        quota=gate.QuotaFacts(0, offer.releases_per_month, 0, offer.downloads_per_release, resumes=False),
        agency=AGENCY_CONTACT.first() or NO_AGENCY,
        links=links(offer, None),
        basis=_basis(offer, *_reviewed(offer)),
        overdue=_overdue(organisation.pk, now),
    )  # fmt: skip


def scopes_of(convention_id: int, *, by=None, order=None, release=None) -> tuple[tuple[str, str], ...]:
    """Every object whose switch or epoch ends this access. Only keys that never change are read here."""
    zone, organisation, environment, offer, dataset, service = Convention.objects.values_list(
        "zone_id", "organisation_id", "environment_id", "offer_id", "offer__dataset_id", "offer__dataset__service_id"
    ).get(pk=convention_id)
    user = order.person_id if order else (by.pk if by is not None and not isinstance(by, MachineCredential) else None)
    return _scopes(
        zone=zone, service=service, dataset=dataset, offer=offer, organisation=organisation, convention=convention_id,
        environment=environment, user=user, release=release.ref.partition(":")[2] if release else None,
    )  # fmt: skip


def _scopes(**refs) -> tuple[tuple[str, str], ...]:
    return (PLATFORM, *((kind, str(ref)) for kind, ref in refs.items() if ref))


def quota(
    convention: Convention, action: str, *, by, object_ref: str, first_byte: int, now: datetime
) -> gate.QuotaFacts | None:
    """Units that count today: a month is Paris's; a download begun by the same actor less than 24 h ago goes on."""
    kind = KINDS.get(action)
    if kind is None:
        return None
    offer, uses = convention.offer, QuotaUse.objects.filter(convention=convention, kind=kind, given_back_at=None)
    releases = downloads = 0
    resumes = False
    if kind == "release":
        first = datetime.combine(now.astimezone(clock.PARIS).date().replace(day=1), time(), clock.PARIS)
        releases = uses.filter(reserved_at__gte=first).count()
    else:
        uses = uses.filter(object_ref=object_ref)
        downloads = uses.count()
        resumes = (
            first_byte > 0
            and uses.filter(decision__actor_ref=actor_of(by).ref, reserved_at__gt=now - RESUME_WITHIN).exists()
        )
    return gate.QuotaFacts(releases, offer.releases_per_month, downloads, offer.downloads_per_release, resumes)


@cache
def _whole():
    """Conventions with everything of theirs that a case needs and that is one value, read in one query."""
    mine = {"convention": OuterRef("pk")}
    offered = {"offer": OuterRef("offer")}
    key_ref = Concat(Value("convention:"), Cast(OuterRef("pk"), CharField()))
    keys = DataKey.objects.filter(purpose=DataKey.Purpose.PSEUDONYM, ref=key_ref, destroyed_at=None)
    papers = ConventionDocument.objects.filter(**mine).order_by("-number")
    mandates = StandingMandate.objects.filter(**offered, party="operator")
    return Convention.objects.select_related(
        "organisation",
        "zone__operator",
        "offer__dataset__service",
        "offer__dataset__holder",
        "offer__dataset__zone__operator",
        "environment",
        "application",
    ).annotate(
        document_sha256=Subquery(papers.values("sha256")[:1]),
        has_key=Exists(keys),
        terms_signed=Subquery(mandates.values("terms_sha256")[:1]),
        reviewed_at=Subquery(Opinion.objects.filter(**offered, kind=Opinion.Kind.DPO).values("given_at")[:1]),
        adds_columns=Case(When(_added_columns("offer__"), then=True), default=False),
        dpo_is_favourable=Exists(Opinion.objects.filter(**offered, kind=Opinion.Kind.DPO, is_favourable=True)),
        oldest_sealed_request=Subquery(sealed_requests(OuterRef("zone")).values("created_at")[:1]),
        agency=Subquery(AGENCY_CONTACT),
        database_time=Func(function="clock_timestamp", output_field=DateTimeField()),
    )


def clock_skew() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return _seconds_ahead_of(cursor.fetchone()[0])


def _seconds_ahead_of(database_time: datetime) -> float:
    """How far the application's clock is from the database's: real clocks, never the demo's."""
    return round((clock.real_now() - database_time).total_seconds(), 3)


# How to write to the registry agency: its address, or its name while it has given none.
NO_AGENCY = "l'agence du registre"
AGENCY_CONTACT = (
    Organisation.objects.filter(kind=Organisation.Kind.AGENCY)
    .order_by("pk")
    .values_list(Coalesce(NullIf("contact_email", Value("")), "name", output_field=CharField()), flat=True)[:1]
)


def required_parties(dataset: Dataset, zone: Zone) -> tuple[str, ...]:
    """Operator, experimenter, and the data holder where it is somebody else."""
    return (
        ("operator", "experimenter", "holder")
        if dataset.holder_id != zone.operator_id
        else ("operator", "experimenter")
    )


def _person(user, convention: Convention, second_factor_at: datetime | None) -> gate.PersonFacts | None:
    if user is None:
        return None
    person, organisation = user.pk, convention.organisation_id
    with connection.cursor() as cursor:
        cursor.execute(PERSON, {"user": person, "convention": convention.pk, "organisation": organisation,
                                "today": clock.today()})  # fmt: skip
        is_member, role, from_day, until_day, is_confirmed, undertook_at, trainings = cursor.fetchone()
    return gate.PersonFacts(
        ref=actor_of(user).ref,
        is_active=user.is_active,
        is_member=is_member,
        second_factor_at=second_factor_at,
        named=gate.NamedFacts(role, from_day, until_day, is_confirmed=is_confirmed) if role is not None else None,
        trainings=_learnt(trainings),
        undertook_on=undertook_at.astimezone(clock.PARIS).date() if undertook_at else None,
    )


def _learnt(trainings: list[list[str]] | None) -> tuple[tuple[str, date], ...]:
    return tuple((family, date.fromisoformat(day)) for family, day in trainings or ())


TRAININGS = """
    SELECT json_agg(json_build_array(family, completed_on) ORDER BY family) FROM (
        SELECT family, max(completed_on) AS completed_on FROM consent_training WHERE user_id = %(user)s GROUP BY family
    ) AS learnt"""
# A person under a convention: one row, always.
PERSON = f"""
    SELECT
        EXISTS (SELECT FROM accounts_membership WHERE user_id = %(user)s AND organisation_id = %(organisation)s
                AND joined_on <= %(today)s AND (left_on IS NULL OR left_on >= %(today)s)),
        named.role, named.from_day, named.until_day, named.confirmed_at IS NOT NULL,
        (SELECT signed_at FROM consent_undertaking WHERE convention_id = %(convention)s AND user_id = %(user)s),
        ({TRAININGS})
    FROM (SELECT) AS one
    LEFT JOIN consent_namedperson AS named ON named.convention_id = %(convention)s AND named.user_id = %(user)s"""


def trainings_of(user) -> tuple[tuple[str, date], ...]:
    """The last day `user` learnt each family of domains."""
    with connection.cursor() as cursor:
        cursor.execute(TRAININGS, {"user": user.pk})
        return _learnt(cursor.fetchone()[0])


def _credential(credential: MachineCredential | None) -> gate.CredentialFacts | None:
    if credential is None:
        return None
    row = MachineCredential.objects.get(pk=credential.pk)
    return gate.CredentialFacts(actor_of(credential).ref, row.environment_id, row.revoked_at)


def _order(order: MachineOrder | None) -> gate.OrderFacts | None:
    if order is None:
        return None
    return gate.OrderFacts(
        person_ref=actor_of(order.person).ref,
        environment_id=order.environment_id,
        action=order.action,
        object_ref=order.object_ref,
        second_factor_at=order.second_factor_at,
        given_at=order.given_at,
        expires_at=order.expires_at,
        used_at=order.used_at,
        used_by=f"credential:{order.used_by_id}" if order.used_by_id else "",
    )


def _standing(organisation: Organisation, now: datetime) -> gate.Standing | None:
    """The period that holds today, or the last one that began."""
    today = now.astimezone(clock.PARIS).date()
    held = (
        Accreditation.objects.filter(organisation=organisation)
        .filter(Q(period__contains=today) | Q(period__fully_lt=(today, None)))
        .select_related("entry")
        .order_by("-period")
        .first()
    )
    if held is None:
        return None
    return gate.Standing(
        status=held.entry.status,
        valid_from=held.period.lower,
        valid_until=held.period.upper - timedelta(days=1),  # PostgreSQL keeps a period with its end left out
        domains=tuple(held.domains),
        zone_kinds=tuple(held.zone_kinds),
        synced_at=now,
    )


def _convention(row: Any, offer_columns: list[OfferColumn]) -> gate.ConventionFacts:
    dataset = row.offer.dataset
    return gate.ConventionFacts(
        ref=row.ref,
        org=row.organisation.name,
        status=row.status,
        purpose_kind=row.purpose_kind,
        purpose_codes=(row.purpose_code,),
        starts_on=row.starts_on,
        ends_on=row.last_day,
        document_sha256=row.document_sha256 or "",
        required_level=row.required_level,
        required_parties=required_parties(dataset, row.zone),
        signatures=tuple(
            gate.SignatureFacts(
                s.party, s.document_sha256, s.level, s.mandate, s.mandate_until,
                s.signed_at.astimezone(clock.PARIS).date(),
            )
            for s in Signature.objects.filter(convention=row).order_by("signed_at", "pk")
        ),
        dataset_ids=(dataset.pk,),
        service_ids=(dataset.service_id,) if dataset.service_id else (),
        period=None,
        columns=_approved(offer_columns),
        dpo_is_favourable=row.dpo_is_favourable,
        minors_covered=row.minors_covered,
        minors_evidence=bool(row.offer.holder_basis.get("minors_evidence")),
        environment_klass=row.offer.environment_klass,
        linkage=row.application.linkage,
        party_names=party_names(dataset, row.zone, row.organisation),
        recipient_category=consents.category_of(row.organisation),
    )  # fmt: skip


def party_names(dataset: Dataset, zone: Zone, experimenter: Organisation) -> tuple[tuple[str, str], ...]:
    """Who each required party is, so that a missing signature names somebody to write to."""
    bodies = {"operator": zone.operator, "experimenter": experimenter, "holder": dataset.holder}
    return tuple((party, bodies[party].name) for party in required_parties(dataset, zone))


def _approved(offer_columns: list[OfferColumn]) -> tuple[gate.ApprovedColumn, ...]:
    return tuple(gate.ApprovedColumn(c.column.path, c.justification, c.approves_sensitive) for c in offer_columns)


def _dpo_is_favourable(offer_id: int) -> bool:
    return Opinion.objects.filter(offer=offer_id, kind=Opinion.Kind.DPO, is_favourable=True).exists()


def _is_as_signed(offer: Offer) -> bool:
    """Whether the terms are still, to the byte, those that the operator's standing mandate names."""
    signed = (
        StandingMandate.objects.filter(offer=offer, party="operator").values_list("terms_sha256", flat=True).first()
    )
    return signed is not None and signed == terms.sha256(offer)


def _zone(zone: Zone) -> gate.ZoneFacts:
    return gate.ZoneFacts(
        zone.pk, zone.name, zone.kind, zone.status, zone.general_information_on, zone.contact_email, zone.dpo_email
    )


def _dataset(version: DatasetVersion) -> gate.DatasetFacts:
    dataset = version.dataset
    return gate.DatasetFacts(
        id=dataset.pk,
        title=dataset.title,
        status=dataset.status,
        version=version.number,
        version_status=version.status,
        is_personal=dataset.is_personal,
        domains=tuple(dataset.domains),
        domain_labels=tuple(str(Domain(domain).label) for domain in dataset.domains),
        columns=tuple(gate.ColumnFacts(c.path, c.role, c.sensitive_class) for c in dataset.columns.all()),
        service=_service(dataset.service),
        consent_required=dataset.consent_required,
    )


def _service(service: Service | None) -> gate.ServiceFacts | None:
    if service is None:
        return None
    return gate.ServiceFacts(service.pk, service.name, service.participation_from, service.participation_until)


def _basis(offer: Offer, reviewed_at: datetime | None, adds_columns: bool) -> gate.BasisFacts:
    said = offer.holder_basis
    return gate.BasisFacts(
        article_6=said.get("article_6", ""),
        article_9=said.get("article_9", ""),
        compatibility=said.get("compatibility", ""),
        secrecy=said.get("secrecy", ""),
        formality=offer.mr_reference,
        reviewed_on=reviewed_at.astimezone(clock.PARIS).date() if reviewed_at else None,
        restricted_sources=tuple(said.get("restricted_sources", ())),
        sources_agreement=said.get("sources_agreement", ""),
        dpia_validated_on=offer.dpia_validated_on,
        residual_risk=said.get("residual_risk", ""),
        substantial_on=offer.created_at.astimezone(clock.PARIS).date() if adds_columns else None,
    )


def _added_columns(offer_ref: str):
    """Whether a version of an offer supplies a column that the one it replaces did not."""
    former = OfferColumn.objects.filter(offer=OuterRef(OuterRef(f"{offer_ref}replaces")))
    added = OfferColumn.objects.filter(offer=OuterRef(f"{offer_ref}pk")).exclude(column__in=former.values("column"))
    return Q(**{f"{offer_ref}replaces__isnull": False}) & Exists(added)


def _reviewed(offer: Offer) -> tuple[datetime | None, bool]:
    """When the holder's DPO gave an opinion on the offer, and whether it adds columns to the one it replaces."""
    row = Offer.objects.filter(pk=offer.pk).values_list(
        Subquery(Opinion.objects.filter(offer=OuterRef("pk"), kind=Opinion.Kind.DPO).values("given_at")[:1]),
        Case(When(_added_columns(""), then=True), default=False),
    )
    return row[0]


# An ended convention whose copies are not attested deleted fifteen days after its last day (clause 20).
OVERDUE = """
    SELECT ref FROM consent_convention AS c
    WHERE organisation_id = %s AND activated_at IS NOT NULL
      AND status IN ('active', 'suspended', 'expired', 'terminated')
      AND least(ends_on, terminates_on, (
            SELECT max(at AT TIME ZONE 'Europe/Paris')::date FROM consent_conventionact
            WHERE convention_id = c.id AND act IN ('expire', 'terminate'))) + 15 < %s
      AND NOT EXISTS (SELECT FROM consent_deletionattestation
                      WHERE convention_id = c.id AND is_verified IS DISTINCT FROM false)
    ORDER BY ref LIMIT 5"""


def _overdue(organisation_id: int, now: datetime) -> tuple[tuple[str, str], ...]:
    with connection.cursor() as cursor:
        cursor.execute(OVERDUE, [organisation_id, now.astimezone(clock.PARIS).date()])
        refs = [ref for (ref,) in cursor.fetchall()]
    return tuple((f"l'attestation de suppression de {ref}", f"the deletion attestation of {ref}") for ref in refs)


def _environment(environment) -> gate.EnvironmentFacts | None:
    if environment is None:
        return None
    return gate.EnvironmentFacts(
        environment.pk, environment.klass, tuple(environment.networks), environment.attested_on,
        country=environment.country, access_countries=tuple(environment.access_countries), host=environment.host,
        host_contract=environment.host_contract, hds_until=environment.hds_certificate_until,
    )  # fmt: skip


def _of_the_site(name: str, args: list | None = None) -> str:
    """A path of the site, also when the delivery server asks, whose own routes are others."""
    return reverse(name, urlconf=settings.ROOT_URLCONF, args=args)


def links(offer: Offer, convention: Convention | None) -> Mapping[str, Any]:
    """Where each reason sends the person to act. Paths of the site, so that they stay true behind any host."""
    offered = _of_the_site("offer-detail", args=[offer.pk])
    here = _of_the_site("convention-detail", args=[convention.ref]) if convention else offered
    return {
        "default": here,
        "G01": f"{_of_the_site('second-factor')}?next={here}",
        "G02": _of_the_site("convention-people", args=[convention.ref]) if convention else here,
        "G03": _of_the_site("person-ready", args=[convention.ref]) if convention else here,
        "G04": _of_the_site("registry-list"),
        "G05": _of_the_site("registry-request"),
        "G06": _of_the_site("commercial-licence"),
        "G12": _of_the_site("convention-sign", args=[convention.ref]) if convention else here,
        "G20": _of_the_site("convention-notice", args=[convention.ref])
        if convention
        else _of_the_site("offer-notice", args=[offer.pk]),
        "G21": offered,
        "G33": _of_the_site("organisation-detail"),
        "G34": _of_the_site("organisation-detail"),
        "G35": _of_the_site("organisation-detail"),
        "G36": _of_the_site("organisation-detail"),
        "G38": _of_the_site("convention-list"),
    }
