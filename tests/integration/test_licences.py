"""A commercial use has its own track: the gate refuses it, a request is opened, the operator answers in its time."""

import re
from datetime import date

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.errors import BadInput, NotAllowed, WrongState
from consent import desk
from consent.deadlines import add_working_days
from consent.models import CommercialLicence
from consent.transitions import licence as licences
from tests import factories
from tests.actors import signed_in

pytestmark = pytest.mark.django_db
TERMS = {
    "product": "Alerte glycémique", "market": "cliniques", "intended_on": date(2027, 9, 1),
    "contact_email": "julie@exemple.fr",
}  # fmt: skip


@pytest.fixture
def startup():
    made = factories.organisation(name="Glycéa")
    factories.registry_entry(made)
    factories.environment(made)
    return made


@pytest.fixture
def julie(startup):
    return factories.user("Julie", organisation=startup, role="legal_representative")


def an_officer(dataset):
    claire = factories.user("Claire", organisation=dataset.zone.operator)
    grants.give(claire, "zones.operate", dataset.zone, by=SYSTEM)
    return claire


def filed(dataset, julie, startup):
    return licences.submit(licences.draft(dataset, by=julie, organisation=startup, **TERMS), by=julie)


def test_scenario_3_a_commercial_purpose_is_refused_by_g06_and_a_licence_draft_is_opened(julie, startup):
    offer = factories.offer(factories.dataset())
    browser = signed_in(julie)

    answer = browser.post(
        reverse("application-create", args=[offer.pk]),
        {"purpose_kind": "commercial", "solution": "Alerte glycémique"},
    )

    draft = CommercialLicence.objects.get()
    page = answer.content.decode()
    assert answer.status_code == 403
    assert re.findall(r'badge badge-quiet">(G\d\d)<', page) == ["G06"]
    assert reverse("licence-detail", args=[draft.ref]) in page
    assert (draft.status, draft.product, draft.dataset) == ("draft", "Alerte glycémique", offer.dataset)


@pytest.mark.parametrize("role", ["operate", "steward", "advise"])
def test_scenario_3_no_role_can_override_the_refusal(role, startup):
    offer = factories.offer(factories.dataset())
    person = factories.user(organisation=startup, role="legal_representative")
    grants.give(person, f"zones.{role}", offer.dataset.zone, by=SYSTEM)

    answer = signed_in(person).post(reverse("application-create", args=[offer.pk]), {"purpose_kind": "commercial"})

    assert answer.status_code == 403
    assert "G06" in answer.content.decode()


def test_a_filed_request_is_answered_within_thirty_working_days(julie, startup):
    dataset = factories.dataset()

    licence = filed(dataset, julie, startup)

    assert licence.status == "submitted"
    assert licence.due_on == add_working_days(clock.today(), 30)
    (task,) = [t for t in desk.waiting_for(an_officer(dataset)) if licence.ref in t.link]
    assert licence.due_on.strftime("%d/%m/%Y") in task.title and task.is_mine
    (waits,) = [t for t in desk.waiting_for(julie) if licence.ref in t.link]
    assert waits.turn == str(dataset.zone.operator)


def test_the_pages_go_from_the_dataset_to_the_answer(julie, startup):
    dataset = factories.dataset()
    applicant, officer = signed_in(julie), signed_in(an_officer(dataset))

    shown = applicant.get(reverse("dataset-detail", args=[dataset.slug])).content.decode()
    made = applicant.post(reverse("licence-create", args=[dataset.slug]), {"product": "Alerte"})
    lacking = applicant.post(made.url, {"act": "submit", "product": "Alerte"})
    applicant.post(made.url, {"act": "submit", **TERMS})
    unreasoned = officer.post(made.url, {"act": "decline", "text": " "})
    officer.post(made.url, {"act": "accept", "text": "Parlons-en."})

    assert reverse("licence-create", args=[dataset.slug]) in shown
    assert lacking.status_code == 422 and "marché visé" in lacking.content.decode()
    assert unreasoned.status_code == 422
    assert "Parlons-en." in applicant.get(made.url).content.decode()
    assert CommercialLicence.objects.get().status == "accepted"


def test_a_member_prepares_but_the_representative_files(startup):
    member = factories.user(organisation=startup)
    draft = licences.draft(factories.dataset(), by=member, organisation=startup, **TERMS)

    with pytest.raises(NotAllowed):
        licences.submit(draft, by=member)


def test_a_draft_that_lacks_a_term_is_not_filed(julie, startup):
    draft = licences.draft(factories.dataset(), by=julie, organisation=startup, product="Alerte")

    with pytest.raises(BadInput, match="marché visé"):
        licences.submit(draft, by=julie)


def test_nobody_answers_for_their_own_organisation(julie, startup):
    dataset = factories.dataset()
    licence = filed(dataset, julie, startup)
    grants.give(julie, "zones.operate", dataset.zone, by=SYSTEM)

    with pytest.raises(NotAllowed):
        licences.answer(licence, by=julie, act="accept", text="oui")


def test_an_answer_is_given_once(julie, startup):
    dataset = factories.dataset()
    licence, claire = filed(dataset, julie, startup), an_officer(dataset)
    licences.answer(licence, by=claire, act="decline", text="Le conseil ne le souhaite pas.")

    with pytest.raises(WrongState):
        licences.answer(licence, by=claire, act="accept", text="finalement oui")


def test_another_start_up_does_not_see_the_request(julie, startup):
    licence = filed(factories.dataset(), julie, startup)

    assert (
        signed_in(factories.user(organisation=factories.organisation()))
        .get(reverse("licence-detail", args=[licence.ref]))
        .status_code
        == 404
    )


@pytest.mark.parametrize("attack", ["product = 'autre chose'", "due_on = due_on + 30", "status = 'draft'"])
def test_what_was_filed_never_changes(attack, julie, startup):
    licence = filed(factories.dataset(), julie, startup)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE consent_commerciallicence SET {attack} WHERE id = %s", [licence.pk])


def test_no_foreign_key_joins_a_licence_to_an_experiment():
    """Invariant 2: commercial and experimental share no row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
            "AND conrelid = 'consent_commerciallicence'::regclass UNION "
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' "
            "AND confrelid = 'consent_commerciallicence'::regclass"
        )
        joined = {row[0] for row in cursor.fetchall()}

    assert joined == {"accounts_organisation", "accounts_user", "zones_dataset"}
