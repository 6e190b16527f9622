"""Zones and datasets, from the draft to the publication, on a real PostgreSQL."""

from datetime import date, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from broker import clock
from broker.accounts import grants
from broker.accounts.models import Countersign
from broker.epoch.actions import epoch_of
from broker.errors import BadInput, NotAllowed, Refused, WrongState
from tests import factories
from zones import actions, facts, tasks
from zones.models import Dataset, Zone

pytestmark = pytest.mark.django_db


def acts():
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event ORDER BY id")
        return cursor.fetchall()


@pytest.fixture
def hospital():
    return factories.organisation("operator", name="Centre hospitalier")


@pytest.fixture
def claire(hospital):
    return factories.user("Claire", organisation=hospital)


@pytest.fixture
def hugo(hospital):
    return factories.user("Hugo", organisation=hospital, role="legal_representative")


def draft(by, *, kind="hospital", **change):
    presented = {
        "name": "Hôpital des Deux-Rives",
        "communes": ["76540"],
        "contact_email": "contact@exemple.fr",
        "dpo_email": "dpo@exemple.fr",
        "general_information_on": clock.today(),
        "frame_adopted_on": clock.today(),
        "evidence": {"information_system": "Entrepôt", "finess": "760780239", "dpia": "AIPD 2026-04"},
        **change,
    }
    return actions.create_zone(by=by, kind=kind, operator=by.organisation, **presented)


def ready(by):
    zone = draft(by)
    actions.add_service(
        zone, by=by, name="Diabétologie", head_name="Dr Girard", participation_from=clock.today(),
        participation_until=clock.today() + timedelta(days=365),
    )  # fmt: skip
    return zone


def opened(first, second):
    zone = ready(first)
    grants.give(second, "zones.operate", zone, by=first)
    actions.propose_opening(zone, by=first)
    return actions.open_zone(zone, by=second)


def test_a_new_zone_is_a_draft_whose_keys_are_asked_for(claire):
    zone = draft(claire)

    assert zone.status == "draft"
    assert grants.may(claire, "zones.operate", zone)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT args->>'purpose', args->>'ref' FROM procrastinate_jobs WHERE queue_name = 'keys' ORDER BY id"
        )
        asked = cursor.fetchall()
    assert asked == [
        ("source", f"zone:{zone.pk}"),
        ("token", f"zone:{zone.pk}"),
    ]


def test_two_zones_of_one_name_have_two_slugs(claire):
    assert {draft(claire).slug, draft(claire).slug} == {"hopital-des-deux-rives", "hopital-des-deux-rives-2"}


def test_only_an_operator_prepares_a_zone():
    founder = factories.user(organisation=factories.organisation("experimenter"))

    with pytest.raises(NotAllowed):
        draft(founder)

    assert acts()[-1] == ("zone.create", "deny")
    assert not Zone.objects.exists()


def test_two_persons_open_a_zone(claire, hugo):
    zone = ready(claire)
    grants.give(hugo, "zones.operate", zone, by=claire)

    actions.propose_opening(zone, by=claire)
    with pytest.raises(NotAllowed):
        actions.open_zone(zone, by=claire)
    opened = actions.open_zone(zone, by=hugo)

    assert opened.status == "open"
    signed = Countersign.objects.get(act="zone.open")
    assert (signed.first_by, signed.second_by, signed.second_at) == (claire, hugo, opened.opened_at)


def test_an_ineligible_zone_is_refused_with_every_reason_and_the_log_says_which(claire):
    zone = draft(claire, kind="av_motorway", evidence={"length_km": "100.0"}, communes=["38185"])

    with pytest.raises(Refused) as refused:
        actions.propose_opening(zone, by=claire)

    assert [r.code for r in refused.value.reasons] == ["Z06", "Z50", "Z51", "Z52"]
    assert "100" in refused.value.reasons[1].message
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->'reason' FROM audit_event ORDER BY id DESC LIMIT 1")
        assert cursor.fetchone()[0] == ["Z06", "Z50", "Z51", "Z52"]


def test_what_became_ineligible_after_the_first_signature_does_not_open(claire, hugo):
    zone = ready(claire)
    grants.give(hugo, "zones.operate", zone, by=claire)
    actions.propose_opening(zone, by=claire)

    actions.amend_zone(zone, by=claire, evidence={"information_system": "Entrepôt", "finess": "1", "dpia": "x"})

    with pytest.raises(Refused):
        actions.open_zone(zone, by=hugo)


def test_a_file_changed_after_the_first_signature_is_signed_anew(claire, hugo):
    zone = ready(claire)
    grants.give(hugo, "zones.operate", zone, by=claire)
    actions.propose_opening(zone, by=claire)

    actions.amend_zone(zone, by=claire, evidence={**zone.evidence, "dpia": "AIPD 2026-05"})

    with pytest.raises(WrongState):
        actions.open_zone(zone, by=hugo)
    actions.propose_opening(zone, by=hugo)
    assert actions.open_zone(zone, by=claire).status == "open"


def test_whoever_holds_no_role_opens_nothing(claire, hugo):
    zone = ready(claire)

    with pytest.raises(NotAllowed):
        actions.propose_opening(zone, by=hugo)


def closed(zone, *, by, reason):
    """Closed by two: `by` first, then another person of the operator."""
    actions.propose_closing(zone, by=by, reason=reason)
    second = factories.user(organisation=zone.operator)
    grants.give(second, "zones.operate", zone, by=by)
    return actions.close_zone(zone, by=second, reason=reason)


@pytest.mark.parametrize("state", Zone.Status.values)
@pytest.mark.parametrize("act", ["open", "suspend", "close"])
def test_every_act_in_every_state(claire, hugo, state, act):
    zone = opened(claire, hugo)
    if state in ("suspended", "closed"):
        zone = {"suspended": actions.suspend_zone, "closed": closed}[state](zone, by=claire, reason="essai")
    if state == "draft":
        zone = ready(claire)
    verbs = {
        "open": lambda: actions.propose_opening(zone, by=claire),
        "suspend": lambda: actions.suspend_zone(zone, by=claire, reason="essai"),
        "close": lambda: (actions.close_zone if state == "draft" else actions.propose_closing)(
            zone, by=claire, reason="essai"
        ),
    }

    if (Zone.Status(state), act) in actions.NEXT:
        verbs[act]()
    else:
        with pytest.raises(WrongState):
            verbs[act]()


def test_suspending_a_zone_raises_its_epoch(claire, hugo):
    zone = opened(claire, hugo)
    before = epoch_of([("zone", str(zone.pk))])

    actions.suspend_zone(zone, by=hugo, reason="panne du système")

    assert epoch_of([("zone", str(zone.pk))]) > before


def test_roles_go_to_the_operator_s_own_people_and_one_stays(claire, hugo):
    zone = draft(claire)
    stranger = factories.user(organisation=factories.organisation("operator"))

    with pytest.raises(BadInput):
        actions.give_role(zone, by=claire, user=stranger, role="steward")
    with pytest.raises(BadInput):
        actions.take_role(zone, by=claire, user=claire, role="operate")
    actions.give_role(zone, by=hugo, user=hugo, role="operate")  # the legal representative may without a role
    actions.take_role(zone, by=hugo, user=claire, role="operate")

    assert not grants.may(claire, "zones.operate", zone)
    with pytest.raises(NotAllowed):
        actions.give_role(zone, by=claire, user=claire, role="steward")


def test_places_belong_to_the_zone(claire):
    zone, other = ready(claire), draft(claire)
    site = actions.add_site(zone, by=claire, name="Bâtiment A", commune="76540")

    with pytest.raises(BadInput):
        actions.add_site(zone, by=claire, name="Ailleurs", commune="38185")
    with pytest.raises(BadInput):
        actions.add_site(zone, by=claire, name="Bâtiment A", commune="76540")
    with pytest.raises(BadInput):
        actions.add_sensor(other, by=claire, site=site, name="C1", kind="lecteur", measures="glycémie (mg/dl)")
    with pytest.raises(BadInput):
        actions.add_service(
            zone, by=claire, name="Court", head_name="X", participation_from=date(2027, 1, 2),
            participation_until=date(2027, 1, 1),
        )  # fmt: skip


# What each person sees


def test_a_draft_is_seen_by_its_house_only(claire, hugo):
    zone = draft(claire)
    other = factories.user(organisation=factories.organisation("experimenter"))

    from django.contrib.auth.models import AnonymousUser

    assert zone in Zone.objects.for_user(hugo)
    assert zone not in Zone.objects.for_user(other)
    assert zone not in Zone.objects.for_user(AnonymousUser())


def test_a_draft_dataset_is_seen_by_its_house_only(claire, hugo):
    zone = opened(claire, hugo)
    dataset = new_dataset(zone, claire)
    other = factories.user(organisation=factories.organisation("experimenter"))

    assert dataset in Dataset.objects.for_user(hugo)
    assert dataset not in Dataset.objects.for_user(other)
    assert factories.dataset(zone) in Dataset.objects.for_user(other)


# Datasets


def new_dataset(zone, by, **change):
    told = {"title": "Séjours", "summary": "Séjours", "domains": ["clinical"], "is_personal": True, **change}
    return actions.create_dataset(zone, by=by, **told)


def test_nothing_is_published_before_it_is_ready(claire, hugo):
    zone = opened(claire, hugo)
    dataset = new_dataset(zone, claire)

    with pytest.raises(WrongState, match="Aucun fichier examiné"):
        actions.publish_dataset(dataset, by=claire)


def chosen(role, klass=""):
    return actions.ChosenRole(role, klass)


def test_roles_are_confirmed_by_a_steward(claire):
    zone = factories.zone(operator=claire.organisation)
    dataset = factories.dataset(zone)
    steward = factories.user(organisation=zone.operator)
    grants.give(steward, "zones.steward", zone, by=steward)
    grants.give(claire, "zones.operate", zone, by=steward)
    before = epoch_of([("dataset", str(dataset.pk))])

    with pytest.raises(NotAllowed):
        actions.set_column_roles(dataset, by=claire, roles={"gender": chosen("measure")})
    with pytest.raises(BadInput, match="sensibilité"):
        actions.set_column_roles(dataset, by=steward, roles={"gender": chosen("sensitive")})
    with pytest.raises(BadInput, match="Une seule colonne"):
        actions.set_column_roles(dataset, by=steward, roles={"gender": chosen("subject_key")})
    with pytest.raises(BadInput, match="Colonne inconnue"):
        actions.set_column_roles(dataset, by=steward, roles={"nowhere": chosen("measure")})
    actions.set_column_roles(dataset, by=steward, roles={"gender": chosen("sensitive", "origin")})

    column = dataset.columns.get(name="gender")
    assert (column.role, column.sensitive_class, column.confirmed_by) == ("sensitive", "origin", steward)
    assert epoch_of([("dataset", str(dataset.pk))]) > before, "what runs under the former role ends"


# The database refuses by itself (see also test_zones_guards.py)


def test_a_countersign_of_another_zone_opens_nothing(claire):
    zone = draft(claire)
    other = factories.countersigned("zone.open", "zone:another")

    with pytest.raises(IntegrityError), transaction.atomic():
        Zone.objects.filter(pk=zone.pk).update(status="open", opened_at=other.second_at)


def test_one_person_does_not_close_a_zone_alone(claire, hugo):
    zone = opened(claire, hugo)

    with pytest.raises(WrongState):
        actions.close_zone(zone, by=claire, reason="seule")
    actions.propose_closing(zone, by=claire, reason="fin du programme")
    with pytest.raises(NotAllowed):
        actions.close_zone(zone, by=claire, reason="encore elle")

    assert Zone.objects.get(pk=zone.pk).status == "open", "nothing ends before the second person"
    gone = actions.close_zone(zone, by=hugo, reason="d'accord")
    assert (gone.status, gone.closed_at) == ("closed", actions.Countersign.objects.get(act="zone.close").second_at)


def test_a_draft_is_dropped_by_one_person(claire):
    zone = ready(claire)

    assert actions.close_zone(zone, by=claire, reason="doublon").status == "closed"


def test_a_closed_zone_stays_closed(claire, hugo):
    zone = opened(claire, hugo)
    closed(zone, by=claire, reason="fin du programme")

    with pytest.raises(DatabaseError), transaction.atomic():
        Zone.objects.filter(pk=zone.pk).update(status="draft")
    with pytest.raises(WrongState):
        actions.create_dataset(zone, by=claire, title="T", summary="S", domains=["clinical"], is_personal=True)


def test_the_reference_of_an_opening_follows_the_file(claire):
    zone = ready(claire)
    before = facts.opening_ref(zone)

    actions.add_service(
        zone, by=claire, name="Autre", head_name="X", participation_from=clock.today(),
        participation_until=clock.today() + timedelta(days=200),
    )  # fmt: skip

    assert facts.opening_ref(zone) != before


def test_a_year_after_its_opening_a_zone_meets_its_conditions_again(claire, hugo):
    zone = opened(claire, hugo)
    year_ago = clock.today() - timedelta(days=366)
    Zone.objects.filter(pk=zone.pk).update(checked_on=year_ago)

    tasks.check_zones(0)

    zone.refresh_from_db()
    assert (zone.status, zone.checked_on) == ("open", clock.today())


def test_a_zone_that_fails_its_yearly_check_is_suspended_and_its_reasons_are_kept(claire, hugo):
    zone = opened(claire, hugo)
    Zone.objects.filter(pk=zone.pk).update(checked_on=clock.today() - timedelta(days=366), dpo_email="")
    before = epoch_of([("zone", str(zone.pk))])

    tasks.check_zones(0)

    zone.refresh_from_db()
    assert zone.status == "suspended"
    assert epoch_of([("zone", str(zone.pk))]) > before
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.body::json->'failed' FROM audit_event e JOIN audit_detail d ON d.event_id = e.id "
            "WHERE e.payload::json->>'act' = 'zone.check'"
        )
        assert cursor.fetchall() == [(["Z02"],)]


def test_a_zone_is_not_checked_before_its_year_is_over(claire, hugo):
    zone = opened(claire, hugo)
    recent = clock.today() - timedelta(days=300)
    Zone.objects.filter(pk=zone.pk).update(checked_on=recent, dpo_email="")

    tasks.check_zones(0)

    zone.refresh_from_db()
    assert (zone.status, zone.checked_on) == ("open", recent)
