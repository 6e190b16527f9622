"""A data holder that is not the operator: chosen with its agreement, told everywhere, and waited for by name."""

import pytest
from django.urls import reverse

from broker.accounts import grants
from broker.audit.actor import SYSTEM
from consent import document, terms
from consent.models import Convention
from tests import factories
from tests.actors import signed_in
from tests.releasing import CURVE_COLUMNS
from zones.models import Dataset

pytestmark = pytest.mark.django_db
HOLDER = "Réseau électrique du Drac"
DESCRIBED = {
    "title": "Courbes de charge", "summary": "Une ligne par demi-heure.", "domains": ["energy_metering"],
    "is_personal": "yes", "time_step": "fine", "consent_required": "yes",
}  # fmt: skip


@pytest.fixture
def zone():
    return factories.zone("eco_district")


@pytest.fixture
def officer(zone):
    person = factories.user("Bruno", organisation=zone.operator)
    grants.give(person, "zones.operate", zone, by=SYSTEM)
    return signed_in(person)


@pytest.fixture
def holder():
    return factories.organisation("holder", name=HOLDER)


@pytest.fixture
def gilles(holder):
    return factories.user("Gilles", organisation=holder, role="legal_representative")


def convention_of(zone, holder, **facts):
    dataset = factories.dataset(
        zone, columns=CURVE_COLUMNS, domains=["energy_metering"], consent_required=True, holder=holder,
        holder_agreement="accord du 2 mars",
    )  # fmt: skip
    names = [name for name, *_rest in CURVE_COLUMNS]
    offer = factories.offer(dataset, columns=names, purposes=["energy_flexibility_rnd"])
    return factories.convention(offer, **facts)


def test_the_officer_chooses_the_holder_with_its_written_agreement(zone, officer, holder):
    address = reverse("dataset-create", args=[zone.slug])

    refused = officer.post(address, {**DESCRIBED, "holder": holder.pk})
    made = officer.post(address, {**DESCRIBED, "holder": holder.pk, "holder_agreement": "accord du 2 mars"})

    assert refused.status_code == 422 and "accord écrit" in refused.content.decode()
    assert made.status_code == 302
    assert Dataset.objects.get().holder == holder


def test_a_fine_load_curve_without_consent_is_refused_beside_its_field(zone, officer):
    address = reverse("dataset-create", args=[zone.slug])

    refused = officer.post(address, {**DESCRIBED, "consent_required": "no"})
    daily = officer.post(address, {**DESCRIBED, "consent_required": "no", "time_step": "daily"})

    assert refused.status_code == 422 and "exige le consentement de chaque usager" in refused.content.decode()
    assert daily.status_code == 302


def test_an_experimenter_or_an_agency_is_not_proposed_as_a_holder(zone, officer, holder):
    stranger = factories.organisation(name="Start-up qui n'a rien confié")

    page = officer.get(reverse("dataset-create", args=[zone.slug])).content.decode()

    assert HOLDER in page and zone.operator.name in page
    assert stranger.name not in page


def test_the_offer_its_terms_the_paper_and_the_notice_name_the_holder(zone, holder, client):
    convention = convention_of(zone, holder)

    offer = client.get(reverse("offer-detail", args=[convention.offer_id])).content.decode()
    notice = client.get(reverse("convention-notice", args=[convention.ref])).content.decode()
    paper = document.of(convention, convention.application, approved_on=convention.starts_on)

    assert HOLDER in offer and "signe chaque convention en personne" in offer
    assert HOLDER in notice and "retrait du consentement" in notice
    assert terms.of(convention.offer)["holder"] == HOLDER
    assert [party["name"] for party in paper["parties"] if HOLDER in str(party)] or HOLDER in str(paper["parties"])
    assert HOLDER in next(clause["text"] for clause in paper["clauses"] if clause["number"] == 1)


def test_the_page_and_the_desks_say_whose_turn_it_is_by_name(zone, holder, gilles):
    convention = convention_of(zone, holder, status="signing", notice_published_at=None)
    founder = convention.application.created_by

    page = signed_in(founder).get(reverse("convention-detail", args=[convention.ref])).content.decode()
    waits = signed_in(founder).get("/bureau/").content.decode()
    his = signed_in(gilles).get("/bureau/").content.decode()

    assert f"attendu : {HOLDER}" in page
    assert HOLDER in waits
    assert reverse("convention-sign", args=[convention.ref]) in his


def test_the_holders_people_see_the_conventions_on_their_data_and_no_other(zone, holder, gilles):
    mine, other = convention_of(zone, holder), factories.convention()

    seen = set(Convention.objects.for_user(gilles))

    assert seen == {mine} and other not in seen


def test_a_release_can_be_asked_for_while_the_holder_has_not_signed(zone, holder):
    convention = convention_of(zone, holder, status="signing", notice_published_at=None)
    person = convention.named_persons.get().user

    page = signed_in(person).get(reverse("convention-detail", args=[convention.ref])).content.decode()

    assert reverse("release-create", args=[convention.ref]) in page


def test_the_holders_desk_shows_the_data_it_entrusted_and_their_conventions(zone, holder, gilles):
    convention = convention_of(zone, holder)

    desk = signed_in(gilles).get("/bureau/").content.decode()

    assert "Mes données confiées" in desk and "1 convention en cours" in desk
    assert convention.offer.dataset.get_absolute_url() in desk and reverse("convention-list") in desk


def test_a_holder_with_no_data_yet_is_told_what_will_come(gilles):
    assert "Aucun jeu publié encore" in signed_in(gilles).get("/bureau/").content.decode()


def test_the_holder_reads_how_the_offer_was_decided_and_is_not_offered_to_rewrite_it(zone, holder, gilles):
    convention = convention_of(zone, holder)

    page = signed_in(gilles).get(reverse("offer-detail", args=[convention.offer_id])).content.decode()

    assert "Comment elle a été décidée" in page
    assert "Préparer une nouvelle version" not in page
