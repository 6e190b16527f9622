"""Epochs and switches: anything that ends an access is seen by whoever compares."""

import pytest
from django.db import IntegrityError, connection, transaction

from broker.epoch.actions import epoch_of, lift_switch, raise_epoch, set_switch, switches_on
from broker.errors import BadInput, WrongState
from tests import factories

pytestmark = pytest.mark.django_db

SCOPES = [("zone", "12"), ("convention", "3"), ("organisation", "7")]


def test_raising_any_scope_changes_the_sum():
    seen = [epoch_of(SCOPES)]
    for scope in SCOPES:
        raise_epoch(scope)
        seen.append(epoch_of(SCOPES))

    assert seen == [0, 1, 2, 3]


def test_a_scope_apart_changes_nothing():
    raise_epoch(("zone", "13"))

    assert epoch_of(SCOPES) == 0


def test_a_scope_named_twice_is_raised_once():
    raise_epoch(("zone", "12"), ("zone", 12))

    assert epoch_of([("zone", "12")]) == 1


def test_no_scope_is_no_epoch_and_no_switch():
    assert epoch_of([]) == 0
    assert switches_on([]) == []


def test_a_switch_cuts_and_raises_the_epoch_at_once():
    person = factories.user()

    made = set_switch("zone", "12", by=person, reason="doute sur un capteur")

    assert switches_on(SCOPES) == [made]
    assert epoch_of(SCOPES) == 1


def test_a_switch_that_is_rolled_back_raised_nothing():
    with pytest.raises(RuntimeError), transaction.atomic():
        set_switch("zone", "12", by=factories.user(), reason="doute")
        raise RuntimeError

    assert epoch_of(SCOPES) == 0


def test_a_switch_that_is_on_is_not_set_again():
    person = factories.user()
    set_switch("zone", "12", by=person, reason="doute")

    with pytest.raises(WrongState, match="déjà enclenché"):
        set_switch("zone", "12", by=person, reason="doute encore")


def test_a_switch_says_why():
    with pytest.raises(BadInput, match="motif"):
        set_switch("zone", "12", by=factories.user(), reason="  ")

    assert switches_on(SCOPES) == []


def lifted_by_two(switch):
    decision = factories.countersigned("switch.lift", f"switch:{switch.pk}")
    return lift_switch(switch, by=decision.second_by, decision=decision, reason="capteur changé")


def test_a_lifted_switch_is_off_and_may_be_set_again():
    person = factories.user()

    lifted_by_two(set_switch("zone", "12", by=person, reason="doute"))

    assert switches_on(SCOPES) == []
    assert set_switch("zone", "12", by=person, reason="encore").lifted_at is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act' FROM audit_event ORDER BY id")
        assert [row[0] for row in cursor.fetchall()] == ["switch.set", "switch.lift", "switch.set"]


def test_a_switch_is_lifted_once():
    switch = set_switch("zone", "12", by=factories.user(), reason="doute")
    lifted_by_two(switch)

    with pytest.raises(WrongState, match="déjà levé"):
        lifted_by_two(switch)


def test_a_decision_about_another_switch_lifts_nothing():
    switch = set_switch("zone", "12", by=factories.user(), reason="doute")
    decision = factories.countersigned("switch.lift", f"switch:{switch.pk + 1}")

    with pytest.raises(IntegrityError, match="two different persons"), transaction.atomic():
        lift_switch(switch, by=decision.second_by, decision=decision, reason="capteur changé")

    assert switches_on(SCOPES) == [switch]
