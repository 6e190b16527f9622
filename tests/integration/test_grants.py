"""Staff roles: direct, on one object, given and taken by one module, each time an event."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from guardian.shortcuts import assign_perm  # noqa: TID251  what a careless hand could do

from broker.accounts import grants
from broker.accounts.models import User
from broker.audit.actor import SYSTEM
from broker.errors import BadInput
from tests import factories
from zones.models import ZoneGrant

pytestmark = pytest.mark.django_db


def acts():
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act', payload::json->>'zone' FROM audit_event ORDER BY id")
        return cursor.fetchall()


def test_a_role_holds_on_its_zone_and_nowhere_else():
    here, there, person = factories.zone(), factories.zone(), factories.user()

    grants.give(person, "zones.operate", here, by=SYSTEM)

    assert grants.may(person, "zones.operate", here)
    assert not grants.may(person, "zones.operate", there)
    assert not grants.may(person, "zones.steward", here)
    assert grants.held(person, "zones.operate") == [here.pk]
    assert acts() == [("grant.add", here.reference)]


def test_a_role_taken_back_is_gone():
    zone, person = factories.zone(), factories.user()
    grants.give(person, "zones.steward", zone, by=SYSTEM)

    grants.take(person, "zones.steward", zone, by=SYSTEM)

    assert not grants.may(person, "zones.steward", zone)
    assert [act for act, _ in acts()] == ["grant.add", "grant.remove"]


def test_a_permission_given_globally_opens_nothing():
    zone, person = factories.zone(), factories.user()
    person.user_permissions.add(Permission.objects.get(codename="operate", content_type__app_label="zones"))

    assert not grants.may(person, "zones.operate", zone)
    assert grants.held(person, "zones.operate") == []


def test_a_permission_given_to_a_group_opens_nothing():
    zone, person, group = factories.zone(), factories.user(), Group.objects.create(name="tous")
    person.groups.add(group)
    assign_perm("zones.operate", group, zone)

    assert not grants.may(person, "zones.operate", zone)
    assert grants.held(person, "zones.operate") == []


def test_a_closed_account_holds_nothing():
    zone, person = factories.zone(), factories.user()
    grants.give(person, "zones.operate", zone, by=SYSTEM)
    person.is_active = False

    assert not grants.may(person, "zones.operate", zone)
    assert grants.held(person, "zones.operate") == []


def test_a_closed_account_receives_nothing():
    with pytest.raises(BadInput, match="compte est fermé"):
        grants.give(factories.user(is_active=False), "zones.operate", factories.zone(), by=SYSTEM)


def test_a_role_that_does_not_exist_is_a_fault_of_the_code():
    with pytest.raises(ValueError, match="is not a grant"):
        grants.give(factories.user(), "zones.delete_zone", factories.zone(), by=SYSTEM)


def test_grants_go_with_their_zone():
    zone, person = factories.zone(), factories.user()
    grants.give(person, "zones.operate", zone, by=SYSTEM)

    zone.delete()

    assert not ZoneGrant.objects.exists()


def test_a_page_reads_a_person_s_grants_once_and_sees_what_it_changes(django_assert_num_queries):
    zone, other, person = factories.zone(), factories.zone(), factories.user()
    grants.give(person, "zones.operate", zone, by=SYSTEM)

    with grants.read_once():
        with django_assert_num_queries(1):
            asked = [grants.may(person, "zones.operate", zone), grants.may(person, "zones.advise", zone)]
            held = grants.held(person, "zones.operate")
        grants.take(person, "zones.operate", zone, by=SYSTEM)
        grants.give(User.objects.get(pk=person.pk), "zones.operate", other, by=SYSTEM)
        after = grants.held(person, "zones.operate")

    assert (asked, held, after) == ([True, False], [zone.pk], [other.pk])


def test_outside_a_request_a_grant_is_read_each_time():
    zone, person = factories.zone(), factories.user()
    before = grants.may(person, "zones.operate", zone)

    grants.give(User.objects.get(pk=person.pk), "zones.operate", zone, by=SYSTEM)

    assert (before, grants.may(person, "zones.operate", zone)) == (False, True)
