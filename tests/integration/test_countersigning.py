"""Invariant 6: nobody decides on their own organisation; what needs two persons has two."""

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from broker.accounts.countersigning import countersign, pending
from broker.errors import NotAllowed, WrongState
from tests import factories

pytestmark = pytest.mark.django_db


def events():
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json->>'act', payload::json->>'out' FROM audit_event ORDER BY id")
        return cursor.fetchall()


def test_a_second_different_person_completes_the_decision():
    first, second = factories.user(), factories.user()

    opened = countersign("offer.publish", "offer:1", by=first, reason="prête")
    completed = countersign("offer.publish", "offer:1", by=second)

    assert not opened.is_complete
    assert completed.is_complete
    assert (completed.first_by, completed.second_by) == (first, second)
    assert pending("offer.publish", "offer:1") is None
    assert events() == [("countersign.first", "allow"), ("countersign.second", "allow")]


def test_the_first_person_may_not_be_the_second():
    first = factories.user()
    countersign("offer.publish", "offer:1", by=first)

    with pytest.raises(NotAllowed, match="deuxième personne"):
        countersign("offer.publish", "offer:1", by=first)

    assert not pending("offer.publish", "offer:1").is_complete
    assert events()[-1] == ("countersign.second", "deny")


def test_nobody_opens_a_decision_on_their_own_organisation():
    concerned = factories.organisation()
    member = factories.user(organisation=concerned)

    with pytest.raises(NotAllowed, match="Vous appartenez"):
        countersign("registry.accredit", "registry:1@1", by=member, concerned=concerned)

    assert pending("registry.accredit", "registry:1@1") is None


def test_nobody_completes_a_decision_on_their_own_organisation():
    concerned = factories.organisation()
    countersign("registry.accredit", "registry:1@1", by=factories.user(), concerned=concerned)

    with pytest.raises(NotAllowed, match="Vous appartenez"):
        countersign("registry.accredit", "registry:1@1", by=factories.user(organisation=concerned), concerned=concerned)


def test_a_decision_about_another_organisation_is_not_completed_by_mistake():
    countersign("registry.accredit", "registry:1@1", by=factories.user(), concerned=factories.organisation())

    with pytest.raises(WrongState, match="autre organisme"):
        countersign("registry.accredit", "registry:1@1", by=factories.user(), concerned=factories.organisation())


def test_who_left_the_organisation_may_decide_again():
    concerned = factories.organisation()
    former = factories.user(organisation=concerned)
    former.memberships.update(left_on="2026-01-31")

    opened = countersign("registry.accredit", "registry:1@1", by=former, concerned=concerned)

    assert opened.first_by == former


@pytest.mark.parametrize("place", ["first_by", "second_by"])
def test_the_database_itself_refuses_a_member_of_the_organisation(place):
    concerned = factories.organisation()
    member = factories.user(organisation=concerned)
    persons = {"first_by": factories.user(), "second_by": factories.user(), place: member}

    with pytest.raises(IntegrityError, match="own organisation"), transaction.atomic():
        _insert(concerned, **persons)


def test_the_database_itself_refuses_twice_the_same_person():
    person = factories.user()

    with pytest.raises(IntegrityError, match="countersign_two_persons"), transaction.atomic():
        _insert(None, first_by=person, second_by=person)


def _insert(concerned, *, first_by, second_by):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_countersign (act, object_ref, concerned_id, first_by_id, first_at, first_reason, "
            "second_by_id, second_at, second_reason) VALUES ('x', 'x:1', %s, %s, now(), '', %s, now(), '')",
            [concerned and concerned.pk, first_by.pk, second_by.pk],
        )


def test_a_complete_decision_is_not_rewritten_through_the_application():
    countersign("offer.publish", "offer:1", by=factories.user())
    done = countersign("offer.publish", "offer:1", by=factories.user())

    done.second_by = factories.user()

    with pytest.raises(ProgrammingError, match="never changed"), transaction.atomic():
        done.save()
