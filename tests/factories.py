"""Functions that make the valid thing and take what the test is about. They write rows directly: tests only."""

import itertools
from datetime import date, timedelta

from broker import clock
from broker.accounts.models import Membership, Organisation, SecureEnvironment, User
from zones import tables
from zones.models import Column, Dataset, DatasetVersion, Service, Table, VersionFile, Zone
from zones.sealing import Sealed

_numbers = itertools.count(1)


def user(full_name="Camille Test", *, organisation=None, role="member", mandate="", **facts) -> User:
    number = next(_numbers)
    made = User.objects.create_user(
        f"personne{number}@exemple.fr", "un mot de passe long", full_name=full_name, **facts
    )
    if organisation is not None:
        if role == "legal_representative" and not mandate:
            mandate = "statuts, article 12"
        Membership.objects.create(
            user=made, organisation=organisation, role=role, mandate=mandate, joined_on=date(2020, 1, 1)
        )
    return made


def organisation(kind="experimenter", **facts) -> Organisation:
    number = next(_numbers)
    facts.setdefault("name", f"Organisation {number}")
    facts.setdefault("dpo_email", "dpo@exemple.fr")
    return Organisation.objects.create(kind=kind, **facts)


def environment(of=None, **facts) -> SecureEnvironment:
    of = of or organisation()
    facts.setdefault("name", f"Bulle {next(_numbers)}")
    facts.setdefault("klass", "secure")
    facts.setdefault("host", "Hébergeur certifié")
    facts.setdefault("networks", ["127.0.0.1/32"])
    facts.setdefault("access_countries", ["FR"])
    facts.setdefault("host_contract", "contrat d'hébergement du 5 janvier 2026")
    facts.setdefault("hds_certificate_until", clock.today() + timedelta(days=900))
    facts.setdefault("age_recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
    facts.setdefault("attested_on", clock.today() - timedelta(days=30))
    facts.setdefault("attestation", "questionnaire de sécurité")
    if "attested_by" not in facts:
        facts["attested_by"] = user(organisation=of)
    return SecureEnvironment.objects.create(organisation=of, **facts)


def zone(kind="hospital", *, operator=None, **facts) -> Zone:
    number = next(_numbers)
    facts.setdefault("slug", f"zone-{number}")
    facts.setdefault("name", f"Zone {number}")
    facts.setdefault("status", "open")
    facts.setdefault("communes", ["76540"])
    facts.setdefault("contact_email", "contact@exemple.fr")
    facts.setdefault("dpo_email", "dpo@exemple.fr")
    facts.setdefault("general_information_on", date(2026, 1, 5))
    facts.setdefault("frame_adopted_on", date(2026, 1, 5))
    if facts["status"] == "open":
        facts.setdefault("opened_at", countersigned("zone.open", f"zone:{facts['slug']}").second_at)
        facts.setdefault("checked_on", clock.today())
    return Zone.objects.create(kind=kind, operator=operator or organisation("operator"), **facts)


def service(of=None, **facts) -> Service:
    facts.setdefault("name", f"Service {next(_numbers)}")
    facts.setdefault("head_name", "Dr Girard")
    facts.setdefault("participation_from", clock.today() - timedelta(days=30))
    facts.setdefault("participation_until", clock.today() + timedelta(days=400))
    return Service.objects.create(zone=of or zone(), **facts)


# name, type, role, sensitive class
STAY_COLUMNS = (
    ("encounter_id", "integer", "direct_identifier", ""),
    ("patient_nbr", "integer", "subject_key", ""),
    ("race", "text", "sensitive", "origin"),
    ("gender", "text", "quasi_identifier", ""),
    ("age", "text", "quasi_identifier", ""),
    ("time_in_hospital", "integer", "measure", ""),
    ("diag_1", "text", "measure", ""),
    ("readmitted", "text", "measure", ""),
)


def dataset(of=None, *, columns=STAY_COLUMNS, in_service=None, **facts) -> Dataset:
    """A published dataset with confirmed columns and one profiled version."""
    of = of or zone()
    number = next(_numbers)
    facts.setdefault("slug", f"jeu-{number}")
    facts.setdefault("title", f"Jeu {number}")
    facts.setdefault("summary", "Séjours")
    facts.setdefault("domains", ["clinical"])
    facts.setdefault("is_personal", True)
    facts.setdefault("status", "published")
    published = {"status": facts.pop("status"), "published_at": facts.pop("published_at", clock.now())}
    made = Dataset.objects.create(zone=of, service=in_service, holder=facts.pop("holder", of.operator), **facts)
    steward = user(organisation=of.operator)
    table = Table.objects.create(dataset=made, name="stays", position=0)
    for position, (name, kind, role, klass) in enumerate(columns):
        Column.objects.create(
            dataset=made, table=table, name=name, path=name, position=position, type=kind, role=role,
            sensitive_class=klass, suggested_role=role, confirmed_by=steward, confirmed_at=clock.now(),
        )  # fmt: skip
    version(made, {"stays": Sealed("stays.csv", "absent", "0" * 64, 1)}, rows={"stays": 10}, by=steward)
    if published["status"] != "draft":
        made.status, made.published_at = published["status"], published["published_at"]
        made.save()
    return made


def version(of, files, *, rows, readings=None, by=None) -> DatasetVersion:
    """The next version of a dataset, examined: `files` are Sealed by table; `rows` and `readings` are by table too."""
    made = DatasetVersion.objects.create(
        dataset=of, number=of.versions.count() + 1, status="draft", received_by=by or user()
    )
    named = {table.name: table for table in of.tables.all()}
    for name, sealed in files.items():
        reading = (readings or {}).get(name, {})
        VersionFile.objects.create(
            version=made, table=named[name], file_name=sealed.file_name, sha256=sealed.sha256, size=sealed.size,
            stored_as=sealed.stored_as, format=reading.get("format", "csv"), reading=reading, rows=rows[name],
        )  # fmt: skip
    in_order = [name for name in named if name in files]
    made.sha256 = tables.sha256_of((name, files[name].sha256) for name in in_order)
    made.size, made.rows = sum(one.size for one in files.values()), sum(rows.values())
    made.status, made.profiled_at = "profiled", clock.now()
    made.save()
    return made


def linked_dataset(of=None, **facts) -> Dataset:
    """Data that are open elsewhere: a published line with its link."""
    of = of or zone("av_motorway")
    facts = {
        "slug": f"ailleurs-{next(_numbers)}", "title": "Accidents de la route", "summary": "Une ligne par accident.",
        "domains": ["road_infrastructure"], "is_personal": False, "open_url": "https://www.data.gouv.fr/accidents",
        "origin": "ONISR", "licence": "Licence Ouverte 2.0", "status": "published", "published_at": clock.now(),
        **facts,
    }  # fmt: skip
    return Dataset.objects.create(zone=of, holder=of.operator, **facts)


def countersigned(act, object_ref, *, concerned=None):
    """A decision of two different persons, complete."""
    from broker.accounts.models import Countersign

    return Countersign.objects.create(
        act=act, object_ref=object_ref, concerned=concerned, first_by=user("Première Personne"),
        second_by=user("Seconde Personne"), second_at=clock.now(),
    )  # fmt: skip


def registry_entry(of=None, **facts):
    """An accredited entry with its accreditation, valid from a month ago for 24 months."""
    from django.db.backends.postgresql.psycopg_any import DateRange

    from consent.models import Accreditation, RegistryEntry

    of = of or organisation()
    domains = facts.setdefault("domains", ["clinical", "road_infrastructure"])
    kinds = facts.setdefault("zone_kinds", ["hospital", "av_motorway"])
    status = facts.pop("status", "accredited")
    entry = RegistryEntry.objects.create(
        organisation=of, requested_by=user(organisation=of), status="under_review", **facts
    )
    if status == "accredited":
        countersigned("registry.accredit", f"registry:{entry.pk}@{entry.version}", concerned=of)
    entry.status = status
    entry.save()
    today = clock.today()
    Accreditation.objects.create(
        entry=entry, organisation=of, domains=domains, zone_kinds=kinds,
        period=DateRange(today - timedelta(days=30), today + timedelta(days=700)),
    )  # fmt: skip
    return entry


def adversarial_step(entry, *, days_ago=16):
    """Observations invited long enough ago that the organisation's silence lets the withdrawal be decided."""
    from consent.models import AdversarialStep

    opened = clock.now() - timedelta(days=days_ago)
    return AdversarialStep.objects.create(
        entry=entry, grounds="assurance résiliée", opened_by=user(), opened_at=opened,
        answer_by=clock.today() - timedelta(days=days_ago - 15),
    )  # fmt: skip


HOLDER_BASIS = {
    "article_6": "public_task", "article_9": "9(2)(j)", "compatibility": "research",
    "secrecy": "research_transmission", "residual_risk": "acceptable",
}  # fmt: skip


def offer(
    of=None,
    *,
    columns=("patient_nbr", "gender", "age", "time_in_hospital", "readmitted"),
    treatments=None,
    approved=(),
    **facts,
):
    """A published offer on the named columns, its standing notice 30 days old. `treatments`: by column's path."""
    from consent.models import Offer, OfferColumn

    of = of or dataset()
    today = clock.today()
    for name, value in {
        "title": "Offre", "purposes": ["diagnosis_support_rnd"], "models_fate": "kept_with_attestation",
        "results_owner": "l'Expérimentateur", "delivery_mode": "environment", "status": "published",
        "published_at": clock.now() - timedelta(days=30), "notice_published_at": clock.now() - timedelta(days=30),
        "notice": {"who": "x"}, "dpia_reference": "AIPD-1", "dpia_validated_on": today - timedelta(days=60),
        "holder_basis": HOLDER_BASIS, "mr_reference": "MR-004",
        "starts_on": today - timedelta(days=30), "ends_on": today + timedelta(days=335),
    }.items():  # fmt: skip
        facts.setdefault(name, value)
    status = facts.pop("status")
    made = Offer.objects.create(dataset=of, created_by=user(organisation=of.zone.operator), **facts)
    for column in of.columns.filter(path__in=columns):
        OfferColumn.objects.create(
            offer=made, column=column, justification=f"{column.path} sert à l'essai",
            treatment=(treatments or {}).get(column.path, {}), approves_sensitive=column.path in approved,
        )  # fmt: skip
    if status == "published":
        give_opinion(made)
        countersigned("offer.publish", f"offer:{made.pk}")
    made.status = status
    made.save()
    return made


def convention(of=None, *, organisation_=None, named=None, signed=True, trained=True, **facts):
    """An active convention that takes up an offer: accredited organisation, attested environment, both signatures.

    `named` is its named person (made when absent, reachable as `convention.named_persons.first().user`);
    `trained`: with their training and undertaking.
    """
    from consent import terms as offer_terms
    from consent.models import (
        Application,
        Convention,
        ConventionDocument,
        NamedPerson,
        Signature,
        StandingMandate,
    )

    of = of or offer()
    org = organisation_ or organisation()
    if not org.registry_entries.filter(status="accredited").exists():
        registry_entry(org)
    place = environment(org)
    representative = user("Julie Représentante", organisation=org, role="legal_representative")
    today = clock.today()
    starts, ends = (
        facts.pop("starts_on", today - timedelta(days=1)),
        facts.pop("ends_on", today + timedelta(days=180)),
    )
    application = Application.objects.create(
        offer=of, organisation=org, environment=place, status="approved", solution="Alerte glycémique",
        purpose_kind="experimentation", purpose_code=of.purposes[0], basis_article_6="legitimate_interests",
        basis_article_9="9(2)(j)", starts_on=starts, ends_on=ends, created_by=representative,
    )  # fmt: skip
    facts.setdefault("status", "active")
    if facts["status"] != "signing":
        facts.setdefault("activated_at", clock.now())
    facts.setdefault("notice_published_at", clock.now() - timedelta(days=8))
    made = Convention.objects.create(
        ref=f"CV-2026-{next(_numbers):04d}", application=application, offer=of, zone=of.dataset.zone, organisation=org,
        environment=place, purpose_code=of.purposes[0], starts_on=starts, ends_on=ends, **facts,
    )  # fmt: skip
    import hashlib

    pdf = f"%PDF-1.7 {made.ref}".encode()
    digest = hashlib.sha256(pdf).hexdigest()
    ConventionDocument.objects.create(convention=made, pdf=pdf, sha256=digest, template_version="2026.11.0")
    if signed:
        operator = user("Hugo Opérateur", organisation=of.dataset.zone.operator, role="legal_representative")
        terms = {
            "terms_sha256": offer_terms.sha256(of),
            "signer": operator,
            "mandate": "délibération",
            "level": "strengthened",
        }
        standing, _ = StandingMandate.objects.get_or_create(offer=of, party="operator", defaults=terms)
        Signature.objects.create(
            convention=made, party="operator", document_sha256=digest, signer=standing.signer, mandate=standing.mandate,
            level="strengthened", standing_mandate=standing,
        )  # fmt: skip
        Signature.objects.create(
            convention=made, party="experimenter", document_sha256=digest, signer=representative,
            mandate="statuts, article 12", level="strengthened",
        )  # fmt: skip
    person = named or user("Samir Analyste", organisation=org)
    NamedPerson.objects.create(
        convention=made, user=person, from_day=today - timedelta(days=1), named_by=representative,
        confirmed_by=user(organisation=of.dataset.zone.operator), confirmed_at=clock.now(),
    )  # fmt: skip
    if trained:
        make_ready(made, person)
    return made


def give_opinion(of, *, kind="dpo", is_favourable=True):
    """An opinion on an offer, as before its publication."""
    from consent.models import Opinion

    return Opinion.objects.create(
        offer=of, kind=kind, is_favourable=is_favourable, text="Conforme.",
        given_by=user(organisation=of.dataset.zone.operator),
    )  # fmt: skip


def licence(organisation_, of, *, by, **facts):
    """A request for a commercial licence, filed and waiting for the operator's answer."""
    from consent.models import CommercialLicence

    facts = {
        "status": "submitted", "product": "Alerte glycémique", "market": "hôpitaux", "intended_on": clock.today(),
        "contact_email": by.email, "submitted_at": clock.now(), "submitted_by": by,
        "due_on": clock.today() + timedelta(days=45), **facts,
    }  # fmt: skip
    return CommercialLicence.objects.create(
        ref=f"LC-2026-{next(_numbers):04d}", organisation=organisation_, dataset=of, created_by=by, **facts
    )


def make_ready(convention, person):
    """`person` learnt what the dataset's domains ask for, and signed the undertaking of `convention` (rule G03)."""
    from consent import lessons
    from consent.models import Training, Undertaking
    from consent.transitions import training

    for family in lessons.families_of(convention.offer.dataset.domains):
        course = lessons.load()
        Training.objects.create(
            user=person, family=family, lessons_version=course.version, lessons_sha256=course.sha256
        )
    text = training.undertaking_text(convention, person)
    Undertaking.objects.create(
        convention=convention, user=person, text=text, text_sha256=lessons.sha256(text), typed=training.FORMULA
    )


def signed_by_holder(convention):
    """The signature of a data holder distinct from the operator, given in person."""
    from consent.models import Signature

    holder = convention.offer.dataset.holder
    return Signature.objects.create(
        convention=convention, party="holder", level="strengthened", mandate="délégation du directoire",
        document_sha256=convention.documents.get().sha256,
        signer=user("Gilles Détenteur", organisation=holder, role="legal_representative"),
    )  # fmt: skip
