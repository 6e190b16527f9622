"""The papers' whole path by its verbs, on the database: registry, offer, application, signatures."""

import time
from datetime import timedelta

import pytest

from broker import clock
from broker.accounts import grants, second_factor
from broker.errors import BadInput, NotAllowed, Refused, WrongState
from consent import terms
from consent.models import Convention, DirectoryCompany, RegistryEntry
from consent.transitions import application as applications
from consent.transitions import convention as conventions
from consent.transitions import offer as offers
from consent.transitions import registry
from tests import factories

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
EVIDENCE = {
    "mandate": "statuts, article 12", "insurer": "Mutuelle", "insurance_policy": "RC-1",
    "insurance_until": (clock.real_now().date() + timedelta(days=900)).isoformat(), "dpo_contact": "dpo@exemple.fr",
    "record_extract": "fiche 7", "questionnaire": ["two_factors", "encryption", "access_review", "backups", "incident"],
    "hosting_country": "FR", "hosting_name": "Hébergeur certifié", "commitment": True,
    "hds_until": (clock.real_now().date() + timedelta(days=900)).isoformat(),
}  # fmt: skip


def a_startup(**facts):
    """An organisation of the directory with its legal representative, who holds a second factor."""
    organisation = factories.organisation(name="Glycéa", siren="900000076", **facts)
    DirectoryCompany.objects.create(
        siren="900000076", siret="90000007600019", name="GLYCEA SAS", representative="Julie CARON"
    )
    founder = factories.user("Julie Caron", organisation=organisation, role="legal_representative")
    second_factor.enrol(founder, SECRET)
    return organisation, founder


def two_clerks():
    agency = factories.organisation("agency")
    return [factories.user(name, organisation=agency, role="registry_officer") for name in ("Sophie", "Karim")]


def code_of(user):
    return second_factor.code_at(user, time.time())


def an_operator(dataset):
    """Two officers (the second its legal representative), the DPO and the head of service of the dataset's zone."""
    zone, by = dataset.zone, factories.user("Qui Donne")
    claire = factories.user("Claire", organisation=zone.operator)
    hugo = factories.user("Hugo", organisation=zone.operator, role="legal_representative")
    nadia = factories.user("Nadia", organisation=zone.operator)
    paul = factories.user("Paul", organisation=zone.operator)
    for person, role in ((claire, "operate"), (hugo, "operate"), (nadia, "advise"), (paul, "steward")):
        grants.give(person, f"zones.{role}", zone, by=by)
    second_factor.enrol(hugo, SECRET)
    return claire, hugo, nadia, paul


def draft_of(dataset, by, **facts):
    columns = [
        (column, f"{column.name} sert à l'essai", {}, column.role == "sensitive")
        for column in dataset.columns.exclude(role="direct_identifier")
    ]
    today = clock.today()
    facts = {
        "title": "Séjours", "purposes": ["diagnosis_support_rnd"], "models_fate": "kept_with_attestation",
        "results_owner": "l'Expérimentateur", "delivery_mode": "environment", "dpia_reference": "AIPD-1",
        "dpia_validated_on": today - timedelta(days=60), "record_reference": "fiche 3",
        "holder_basis": factories.HOLDER_BASIS, "mr_reference": "MR-004",
        "notice": dict.fromkeys(offers.NOTICE_FIELDS, "dit"), "starts_on": today,
        "ends_on": today + timedelta(days=365),
        **facts,
    }  # fmt: skip
    return offers.draft(dataset, by=by, columns=columns, **facts)


def published_offer(dataset):
    claire, hugo, nadia, paul = an_operator(dataset)
    offer = draft_of(dataset, claire)
    offers.submit(offer, by=claire)
    offers.give_opinion(offer, by=nadia, kind="dpo", is_favourable=True, text="Bien.")
    offers.give_opinion(offer, by=paul, kind="head_of_service", is_favourable=True, text="Oui.")
    offers.sign_mandate(offer, by=hugo, party="operator", code=code_of(hugo), terms_sha256=terms.sha256(offer))
    offers.decide(offer, by=claire)
    return offers.decide(offer, by=hugo), claire, hugo


def accredited(organisation, founder):
    entry = registry.draft(organisation, by=founder, domains=["clinical"], zone_kinds=["hospital"])
    entry = registry.submit(entry, by=founder, evidence=EVIDENCE)
    first, second = two_clerks()
    registry.accredit(entry, by=first)
    return registry.accredit(entry, by=second)


def wanted(**changes):
    today = clock.today()
    return {
        "solution": "Alerte glycémique", "purpose_kind": "experimentation", "purpose_code": "diagnosis_support_rnd",
        "basis_article_6": "legitimate_interests", "basis_article_9": "9(2)(j)", "mode": "observe",
        "starts_on": today, "ends_on": today + timedelta(days=180), **changes,
    }  # fmt: skip


def test_an_offer_taken_up_unchanged_becomes_an_active_convention_the_same_day():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()
    entry = accredited(organisation, founder)
    place = factories.environment(organisation)

    convention = applications.take_up(
        offer, by=founder, organisation=organisation, environment=place, second_factor_at=clock.now(), **wanted()
    )
    signed = conventions.sign(
        convention, by=founder, code=code_of(founder), sha256=conventions.current_document(convention).sha256
    )

    assert entry.status == RegistryEntry.Status.ACCREDITED
    assert signed.status == Convention.Status.ACTIVE
    assert signed.notice_published_at is not None
    assert {s.party for s in signed.signatures.all()} == {"operator", "experimenter"}
    assert {s.document_sha256 for s in signed.signatures.all()} == {conventions.current_document(signed).sha256}


def test_the_operators_signature_names_the_hash_the_offers_version_and_the_mandate():
    offer, _claire, hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()
    accredited(organisation, founder)

    convention = applications.take_up(
        offer, by=founder, organisation=organisation, environment=factories.environment(organisation),
        second_factor_at=clock.now(), **wanted(),
    )  # fmt: skip

    signature = convention.signatures.get(party="operator")
    assert signature.signer == hugo
    assert signature.standing_mandate.terms_sha256 == terms.sha256(offer)
    assert signature.evidence["offer_version"] == offer.version
    assert signature.document_sha256 == conventions.current_document(convention).sha256


def test_an_organisation_that_is_not_accredited_is_refused_with_every_reason_and_leaves_no_draft():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()

    with pytest.raises(Refused) as refused:
        applications.take_up(
            offer, by=founder, organisation=organisation,
            environment=factories.environment(organisation, attested_on=None, attested_by=None),
            second_factor_at=clock.now(), **wanted(),
        )  # fmt: skip

    assert {"G04", "G33"} <= {reason.code for reason in refused.value.reasons}
    assert not organisation.applications.exists()


def test_an_offer_whose_mandate_names_other_terms_is_not_taken_up():
    offer = factories.offer()
    signer = factories.user(organisation=offer.dataset.zone.operator, role="legal_representative")
    offer.mandates.create(
        party="operator", terms_sha256="0" * 64, signer=signer, mandate="statuts", level="strengthened"
    )
    organisation, founder = a_startup()
    accredited(organisation, founder)
    place = factories.environment(organisation)

    with pytest.raises(WrongState, match="pas être reprise"):
        applications.take_up(
            offer, by=founder, organisation=organisation, environment=place, second_factor_at=clock.now(), **wanted()
        )


def test_signing_other_bytes_than_those_shown_is_refused():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()
    accredited(organisation, founder)
    convention = applications.take_up(
        offer, by=founder, organisation=organisation, environment=factories.environment(organisation),
        second_factor_at=clock.now(), **wanted(),
    )  # fmt: skip

    with pytest.raises(WrongState):
        conventions.sign(convention, by=founder, code=code_of(founder), sha256="0" * 64)

    assert not convention.signatures.filter(party="experimenter").exists()


def test_signing_asks_for_the_second_factor_at_the_act():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()
    accredited(organisation, founder)
    convention = applications.take_up(
        offer, by=founder, organisation=organisation, environment=factories.environment(organisation),
        second_factor_at=clock.now(), **wanted(),
    )  # fmt: skip

    with pytest.raises(BadInput):
        conventions.sign(convention, by=founder, code="000000", sha256=conventions.current_document(convention).sha256)

    convention.refresh_from_db()
    assert convention.status == Convention.Status.SIGNING


def test_one_clerk_alone_does_not_accredit_and_cannot_be_their_own_second():
    organisation, founder = a_startup()
    entry = registry.draft(organisation, by=founder, domains=["clinical"], zone_kinds=["hospital"])
    entry = registry.submit(entry, by=founder, evidence=EVIDENCE)
    sophie, _karim = two_clerks()
    registry.accredit(entry, by=sophie)

    with pytest.raises(NotAllowed):
        registry.accredit(entry, by=sophie)

    entry.refresh_from_db()
    assert entry.status == RegistryEntry.Status.UNDER_REVIEW


def test_a_member_who_is_not_the_legal_representative_cannot_submit():
    organisation, _founder = a_startup()
    member = factories.user("Samir", organisation=organisation)
    entry = registry.draft(organisation, by=member, domains=["clinical"], zone_kinds=["hospital"])

    with pytest.raises(NotAllowed):
        registry.submit(entry, by=member, evidence=EVIDENCE)


def test_an_incomplete_file_says_everything_at_once_and_can_be_completed():
    organisation, founder = a_startup()
    entry = registry.draft(organisation, by=founder, domains=["clinical"], zone_kinds=["hospital"])

    entry = registry.submit(entry, by=founder, evidence={"mandate": "statuts"})
    lacking = {check["key"] for check in entry.checks if not check["ok"]}
    completed = registry.complete(entry, by=founder, evidence=EVIDENCE)

    assert lacking == {"insurance", "dpo", "record", "security", "country", "commitment", "hds"}
    assert completed.status == RegistryEntry.Status.UNDER_REVIEW
    assert completed.due_on > clock.today()


def test_the_accreditation_never_outlives_the_insurance():
    organisation, founder = a_startup()
    entry = registry.draft(organisation, by=founder, domains=["road_infrastructure"], zone_kinds=["av_motorway"])
    until = clock.today() + timedelta(days=100)
    entry = registry.submit(entry, by=founder, evidence={**EVIDENCE, "insurance_until": until.isoformat()})
    sophie, karim = two_clerks()

    registry.accredit(entry, by=sophie)
    registry.accredit(entry, by=karim)

    assert entry.accreditations.get().period.upper == until + timedelta(days=1)


def test_withdrawing_the_accreditation_suspends_the_live_conventions():
    convention = factories.convention()
    entry = convention.organisation.registry_entries.get()
    factories.adversarial_step(entry)
    sophie, karim = two_clerks()

    registry.withdraw(entry, by=sophie, reason="assurance échue")
    registry.withdraw(entry, by=karim, reason="assurance échue")

    convention.refresh_from_db()
    assert convention.status == Convention.Status.SUSPENDED


def test_a_person_named_by_the_representative_acts_once_an_officer_confirms():
    convention = factories.convention()
    zone, organisation = convention.zone, convention.organisation
    founder = factories.user(organisation=organisation, role="legal_representative")
    samir = factories.user("Samir", organisation=organisation)
    officer = factories.user(organisation=zone.operator)
    grants.give(officer, "zones.operate", zone, by=officer)

    named = conventions.name_person(convention, by=founder, user=samir)
    with pytest.raises(NotAllowed):
        conventions.confirm_person(named, by=founder)
    confirmed = conventions.confirm_person(named, by=officer)

    assert confirmed.confirmed_by == officer


def test_an_officer_cannot_name_somebody_for_the_experimenter():
    convention = factories.convention()
    officer = factories.user(organisation=convention.zone.operator)
    grants.give(officer, "zones.operate", convention.zone, by=officer)

    with pytest.raises(NotAllowed):
        conventions.name_person(convention, by=officer, user=factories.user(organisation=convention.organisation))


def test_the_offer_waits_for_opinions_and_signature_before_two_officers_publish():
    dataset = factories.dataset()
    claire, _hugo, _nadia, _paul = an_operator(dataset)
    offer = draft_of(dataset, claire)
    offers.submit(offer, by=claire)

    with pytest.raises(WrongState) as wrong:
        offers.decide(offer, by=claire)

    assert all(word in str(wrong.value) for word in ("DPO", "responsable de service", "représentant légal"))


def test_a_sensitive_column_is_supplied_only_when_approved_by_itself():
    dataset = factories.dataset()
    claire, *_others = an_operator(dataset)
    race = dataset.columns.get(name="race")

    with pytest.raises(BadInput):
        offers.draft(
            dataset, by=claire, columns=[(race, "équité du modèle", {"kind": "category"}, False)], title="x",
            purposes=["diagnosis_support_rnd"], models_fate="destroyed", results_owner="x",
            delivery_mode="environment", starts_on=clock.today(), ends_on=clock.today(),
        )  # fmt: skip


def test_a_direct_identifier_is_never_offered():
    dataset = factories.dataset()
    claire, *_others = an_operator(dataset)
    column = dataset.columns.get(name="encounter_id")

    with pytest.raises(BadInput):
        offers.draft(
            dataset, by=claire, columns=[(column, "x", {"kind": "drop"}, False)], title="x",
            purposes=["diagnosis_support_rnd"], models_fate="destroyed", results_owner="x",
            delivery_mode="environment", starts_on=clock.today(), ends_on=clock.today(),
        )  # fmt: skip
