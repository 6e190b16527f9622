"""The pages of registry, offers, applications and conventions, as each person meets them."""

import json
import time
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from django.urls import reverse

from broker import clock
from broker.accounts import grants, second_factor
from consent.models import Application, Convention, Offer, RegistryEntry
from consent.transitions import application as applications
from tests import factories
from tests.actors import signed_in, world
from tests.integration.test_same_day_path import (
    EVIDENCE,
    a_startup,
    an_operator,
    code_of,
    published_offer,
    two_clerks,
)

pytestmark = pytest.mark.django_db


def text_of(answer):
    return answer.content.decode()


def test_a_founder_asks_completes_and_two_clerks_accredit_through_the_pages():
    organisation, founder = a_startup()
    browser = signed_in(founder)
    page = reverse("registry-request")

    browser.post(page, {"domains": ["clinical"], "zone_kinds": ["hospital"]})
    incomplete = browser.post(page, {"mandate": "statuts"}, follow=True)
    complete = browser.post(page, EVIDENCE, follow=True)
    entry = organisation.registry_entries.get()
    review = reverse("registry-review", args=[entry.pk])
    for clerk in two_clerks():
        signed_in(clerk).post(review, {"act": "accredit", "reason": "complet"})

    assert "attestation d" in text_of(incomplete)
    assert "Tous les contrôles sont passés" in text_of(complete)
    entry.refresh_from_db()
    assert entry.status == RegistryEntry.Status.ACCREDITED
    assert "Glycéa" in text_of(browser.get(reverse("registry-list")))


def test_the_scope_decides_which_evidence_is_asked():
    _organisation, founder = a_startup()
    browser, page = signed_in(founder), reverse("registry-request")

    roads = browser.post(page, {"domains": ["road_infrastructure"], "zone_kinds": ["av_motorway"]}, follow=True)
    health = browser.post(page, {"domains": ["clinical"], "zone_kinds": ["hospital"]}, follow=True)

    assert 'name="hds_until"' not in text_of(roads)
    assert 'name="dpo_contact"' not in text_of(roads)
    assert 'name="hds_until"' in text_of(health)


def test_a_clerk_of_the_organisation_sees_no_decision_to_take():
    organisation, _founder = a_startup()
    entry = factories.registry_entry(organisation, status="under_review")
    agency = factories.organisation("agency")
    clerk = factories.user("Cumularde", organisation=agency, role="registry_officer")
    clerk.memberships.create(organisation=organisation, role="member", joined_on=clock.today())

    answer = signed_in(clerk).get(reverse("registry-review", args=[entry.pk]))

    assert 'name="act"' not in text_of(answer)


def test_the_public_list_costs_the_same_whatever_its_length(client, django_assert_num_queries):
    for _ in range(3):
        factories.registry_entry()
    client.get(reverse("registry-list"))

    with django_assert_num_queries(5):
        client.get(reverse("registry-list"))
    for _ in range(20):
        factories.registry_entry()
    with django_assert_num_queries(5):
        client.get(reverse("registry-list"))


def test_the_list_in_json_follows_its_schema_and_publishes_no_evidence(client):
    convention = factories.convention()
    entry = convention.organisation.registry_entries.get()
    RegistryEntry.objects.filter(pk=entry.pk).update(evidence={"insurer": "Mutuelle secrète"}, decided_at=clock.now())

    answer = client.get(reverse("registry-json"))

    schema = json.loads(Path("docs/reference/registre.schema.json").read_text())
    jsonschema.validate(answer.json(), schema)
    assert answer.json()["entries"][0]["live_conventions"] == 1
    assert "Mutuelle secrète" not in text_of(answer)
    assert "max-age=300" in answer["Cache-Control"]


def test_an_offer_is_drafted_on_a_page_with_a_reason_for_each_column():
    dataset = factories.dataset()
    claire, *_others = an_operator(dataset)
    browser, page = signed_in(claire), reverse("offer-create", args=[dataset.slug])
    column = dataset.columns.get(name="age")
    today = clock.today()
    conditions = {
        "title": "Séjours", "purposes": ["diagnosis_support_rnd"], "delivery_mode": "environment",
        "environment_klass": "secure", "models_fate": "destroyed", "results_owner": "x", "price": "gratuit",
        "expert_hours": 8, "releases_per_month": 10, "downloads_per_release": 5, "starts_on": today.isoformat(),
        "ends_on": (today + timedelta(days=90)).isoformat(),
    }  # fmt: skip

    shown = browser.get(page)
    wrong = browser.post(page, {**conditions, f"c{column.pk}-include": "on"})
    right = browser.post(
        page, {**conditions, f"c{column.pk}-include": "on", f"c{column.pk}-justification": "facteur de risque"}
    )

    assert "par tranches" in text_of(shown)
    assert wrong.status_code == 422
    assert "pourquoi cette colonne" in text_of(wrong)
    offer = Offer.objects.get()
    assert right["Location"] == reverse("offer-detail", args=[offer.pk])
    assert offer.columns.get().treatment["kind"] == "band_age"


def test_a_draft_offer_is_seen_by_the_operators_people_alone(client):
    dataset = factories.dataset()
    claire, *_others = an_operator(dataset)
    offer = factories.offer(dataset, status="draft", published_at=None, notice_published_at=None)
    page = reverse("offer-detail", args=[offer.pk])

    assert client.get(page).status_code == 404
    assert signed_in(factories.user(organisation=factories.organisation())).get(page).status_code == 404
    assert signed_in(claire).get(page).status_code == 200


def test_a_published_offer_says_delay_cost_owner_and_fate_of_models_to_anybody(client):
    offer = factories.offer(price="gratuit")

    page = text_of(client.get(reverse("offer-detail", args=[offer.pk])))

    assert all(word in page for word in ("Délai", "gratuit", "conservés, avec attestation", "ils appartiennent à"))


def test_the_whole_decision_of_an_offer_goes_through_its_pages():
    dataset = factories.dataset()
    claire, hugo, nadia, paul = an_operator(dataset)
    offer = factories.offer(
        dataset, status="draft", published_at=None, notice_published_at=None, record_reference="fiche 3",
        notice=dict.fromkeys(("who", "what", "why", "basis", "until", "where", "rights", "contact"), "dit"),
    )  # fmt: skip

    def page(name):
        return reverse(f"offer-{name}", args=[offer.pk])

    signed_in(claire).post(page("submit"))
    for person, kind in ((nadia, "dpo"), (paul, "head_of_service")):
        signed_in(person).post(page("opinion"), {"kind": kind, "is_favourable": "yes", "text": "Favorable."})
    browser = signed_in(hugo)
    shown = browser.get(page("mandate")).context["sha256"]
    browser.post(page("mandate"), {"sha256": shown, "code": code_of(hugo)})
    signed_in(claire).post(page("publish"), {"reason": "oui"})
    browser.post(page("publish"), {"reason": "oui"})

    offer.refresh_from_db()
    assert offer.status == Offer.Status.PUBLISHED
    assert offer.notice_published_at is not None
    assert "dit" in text_of(browser.get(page("notice")))


def test_the_simulation_says_every_reason_and_takes_nothing_up():
    offer, _claire, _hugo = published_offer(factories.dataset())
    _organisation, founder = a_startup()
    today = clock.today()

    answer = signed_in(founder).post(
        reverse("offer-simulate", args=[offer.pk]),
        {"purpose_code": "diagnosis_support_rnd", "starts_on": today.isoformat(), "ends_on": today.isoformat()},
    )

    page = text_of(answer)
    assert answer.status_code == 200
    assert all(rule in page for rule in ("G04", "G33", "G20", "G12"))
    assert not Application.objects.exists()


def test_taking_up_and_signing_go_through_the_pages():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()
    factories.registry_entry(organisation)
    place = factories.environment(organisation)
    browser, today = signed_in(founder), clock.today()

    taken = browser.post(
        reverse("application-create", args=[offer.pk]),
        {
            "purpose_kind": "experimentation", "solution": "Alerte", "purpose_code": "diagnosis_support_rnd",
            "environment": place.pk, "mode": "observe", "starts_on": today.isoformat(),
            "ends_on": (today + timedelta(days=90)).isoformat(), "basis_article_6": "legitimate_interests",
            "basis_article_9": "9(2)(j)",
        },
    )  # fmt: skip
    convention = Convention.objects.get()
    sign = reverse("convention-sign", args=[convention.ref])
    shown = browser.get(sign).context["paper"].sha256
    browser.post(sign, {"sha256": shown, "code": code_of(founder)})

    assert taken["Location"] == reverse("convention-detail", args=[convention.ref])
    convention.refresh_from_db()
    assert convention.status == Convention.Status.ACTIVE
    page = text_of(browser.get(reverse("convention-detail", args=[convention.ref])))
    assert shown in page
    assert "par mandat permanent" in page
    pdf = browser.get(reverse("convention-pdf", args=[convention.ref]))
    assert pdf.content.startswith(b"%PDF-1.7")


def test_a_commercial_use_is_sent_to_the_licence_track():
    offer, _claire, _hugo = published_offer(factories.dataset())
    _organisation, founder = a_startup()

    answer = signed_in(founder).post(
        reverse("application-create", args=[offer.pk]), {"purpose_kind": "commercial", "solution": "Vendre"}
    )

    assert answer.status_code == 403
    assert "/licences/LC-" in answer.content.decode()
    assert not Application.objects.exists()


def test_conventions_of_others_do_not_exist_for_me():
    here = world()
    page = reverse("convention-detail", args=[here.objects["convention"].ref])

    assert here.browser("outsider").get(page).status_code == 404
    assert here.browser("clerk").get(page).status_code == 404
    for actor in ("member", "representative", "named", "operator", "steward", "dpo", "auditor"):
        assert here.browser(actor).get(page).status_code == 200, actor


def test_the_list_of_conventions_costs_the_same_whatever_its_length(django_assert_max_num_queries):
    here = world()
    offer = here.objects["offer"]
    browser, page = here.browser("operator"), reverse("convention-list")
    browser.get(page)

    def queries():
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            assert browser.get(page).status_code == 200
        return len(captured)

    few = queries()
    for _ in range(12):
        factories.convention(offer)

    assert queries() == few


def test_people_are_named_and_confirmed_on_the_page():
    here = world()
    convention = here.objects["convention"]
    page = reverse("convention-people", args=[convention.ref])
    member = here.users["member"]

    here.browser("representative").post(page, {"user": member.pk, "role": "analyst"})
    named = convention.named_persons.get(user=member)
    shown = here.browser("operator").get(page)
    here.browser("operator").post(page, {"confirm": named.pk})

    assert f'value="{named.pk}"' in text_of(shown)
    named.refresh_from_db()
    assert named.confirmed_at is not None


def test_the_operator_suspends_and_two_officers_give_access_back():
    here = world()
    convention, zone = here.objects["convention"], here.objects["zone"]
    other = factories.user("Hugo", organisation=zone.operator)
    grants.give(other, "zones.operate", zone, by=other)
    suspend, resume = (reverse(f"convention-{act}", args=[convention.ref]) for act in ("suspend", "resume"))

    here.browser("operator").post(suspend, {"reason": "doute sur l'environnement"})
    convention.refresh_from_db()
    suspended = convention.status
    here.browser("operator").post(resume, {"reason": "levé"})
    signed_in(other).post(resume, {"reason": "levé"})

    convention.refresh_from_db()
    assert suspended == Convention.Status.SUSPENDED
    assert convention.status == Convention.Status.ACTIVE


def test_the_second_factor_is_asked_at_the_act_even_in_a_fresh_session():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()
    convention = factories.convention(offer, organisation_=organisation, signed=False, status="signing")
    second_factor.spend(founder, code_of(founder))

    answer = signed_in(founder).post(
        reverse("convention-sign", args=[convention.ref]),
        {"sha256": convention.documents.get().sha256, "code": second_factor.code_at(founder, time.time())},
    )

    assert answer.status_code == 422
    assert not convention.signatures.filter(party="experimenter").exists()


def test_a_whole_group_of_columns_leaves_for_one_shared_reason():
    dataset = factories.dataset()
    claire, *_others = an_operator(dataset)
    age = dataset.columns.get(name="age")
    today = clock.today()

    answer = signed_in(claire).post(
        reverse("offer-create", args=[dataset.slug]),
        {
            "title": "Séjours", "purposes": ["diagnosis_support_rnd"], "delivery_mode": "environment",
            "environment_klass": "secure", "models_fate": "destroyed", "results_owner": "x", "price": "gratuit",
            "expert_hours": 1, "releases_per_month": 1, "downloads_per_release": 1, "starts_on": today,
            "ends_on": today + timedelta(days=30), "g-measure-every": "on", "g-measure-why": "ce que l'essai prévoit",
            f"c{age.pk}-include": "on", f"c{age.pk}-justification": "premier facteur de risque",
        },
    )  # fmt: skip

    offer = Offer.objects.get()
    assert answer.status_code == 302
    assert {line.column.name: line.justification for line in offer.columns.all()} == {
        "age": "premier facteur de risque",
        **dict.fromkeys(("time_in_hospital", "diag_1", "readmitted"), "ce que l'essai prévoit"),
    }


def test_an_error_in_the_offer_loses_nothing_that_was_typed():
    dataset = factories.dataset()
    claire, *_others = an_operator(dataset)
    age = dataset.columns.get(name="age")

    answer = signed_in(claire).post(
        reverse("offer-create", args=[dataset.slug]),
        {"title": "Mes séjours", f"c{age.pk}-include": "on", "g-measure-why": "une raison gardée"},
    )

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "1 colonne est à compléter" in page
    assert all(kept in page for kept in ('value="Mes séjours"', 'value="une raison gardée"'))


def test_an_offer_is_suspended_then_put_back_by_two_then_ended():
    offer, claire, hugo = published_offer(factories.dataset())
    grants.give(hugo, "zones.operate", offer.dataset.zone, by=claire)
    first, second = signed_in(claire), signed_in(hugo)

    assert reverse("offer-suspend", args=[offer.pk]) in first.get(f"/offres/{offer.pk}/").content.decode()
    first.post(reverse("offer-suspend", args=[offer.pk]), {"reason": "capteur en panne"})
    suspended = Offer.objects.get(pk=offer.pk).status
    first.post(reverse("offer-resume", args=[offer.pk]), {"reason": "réparé"})
    after_one = Offer.objects.get(pk=offer.pk).status
    second.post(reverse("offer-resume", args=[offer.pk]), {"reason": "vu"})
    after_two = Offer.objects.get(pk=offer.pk).status
    first.post(reverse("offer-end", args=[offer.pk]))

    assert (suspended, after_one, after_two) == ("suspended", "suspended", "published")
    assert Offer.objects.get(pk=offer.pk).status == "ended"


def test_a_simulation_lists_the_notice_only_while_it_has_not_run():
    offer, _claire, _hugo = published_offer(factories.dataset())
    organisation, founder = a_startup()

    fresh = facts_rules(offer, founder, organisation)
    Offer.objects.filter(pk=offer.pk).update(notice_published_at=clock.now() - timedelta(days=8))
    run = facts_rules(offer, founder, organisation)

    assert ("G20" in fresh, "G20" in run) == (True, False)


def facts_rules(offer, founder, organisation):
    decision = applications.judge(
        offer, by=founder, organisation=organisation, environment=organisation.environments.first(),
        purpose_kind="experimentation", purpose_code=offer.purposes[0], starts_on=clock.today(),
        ends_on=clock.today() + timedelta(days=30),
    )  # fmt: skip
    return {reason.rule for reason in decision.refusals}
