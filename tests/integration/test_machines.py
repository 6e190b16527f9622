"""Orders of machines: from a named person, for one environment, once, within a day."""

from datetime import timedelta

import pytest
import time_machine

from broker import clock
from broker.accounts import machines
from broker.accounts.actions import create_credential, revoke_credential
from broker.errors import NotAllowed, WrongState
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def startup():
    return factories.organisation()


@pytest.fixture
def person(startup):
    return factories.user(organisation=startup)


@pytest.fixture
def environment(startup):
    return factories.environment(startup)


@pytest.fixture
def credential(environment, person):
    return create_credential(environment, by=person, name="extraction")[0]


def order(person, environment, **changes):
    facts = {"action": "data.download", "object_ref": "release:1", "second_factor_at": clock.now(), **changes}
    return machines.give_order(by=person, environment=environment, **facts)


def test_an_order_serves_the_environment_s_machine(person, environment, credential):
    given = order(person, environment)

    used = machines.use_order(given, credential)

    assert (used.used_by, used.person) == (credential, person)


def test_an_order_serves_once(person, environment, credential):
    given = order(person, environment)
    machines.use_order(given, credential)

    with pytest.raises(WrongState, match="déjà servi"):
        machines.use_order(given, credential)


def test_an_order_ends_after_a_day(person, environment, credential):
    given = order(person, environment)

    with time_machine.travel(clock.now() + timedelta(hours=24, seconds=1)):
        with pytest.raises(WrongState, match="expiré"):
            machines.use_order(given, credential)


def test_another_environment_s_machine_gets_nothing(startup, person, environment, credential):
    given = order(person, environment)
    stranger = create_credential(factories.environment(startup), by=person, name="autre")[0]

    with pytest.raises(NotAllowed, match="autre environnement"):
        machines.use_order(given, stranger)


def test_a_revoked_machine_gets_nothing(person, environment, credential):
    given = order(person, environment)
    revoked = revoke_credential(credential, by=person)

    with pytest.raises(NotAllowed, match="autre environnement"):
        machines.use_order(given, revoked)


def test_who_is_not_of_the_organisation_gives_no_order(environment, credential):
    with pytest.raises(NotAllowed, match="Seule une personne"):
        order(factories.user(), environment)


def test_an_order_needs_a_second_factor(person, environment, credential):
    with pytest.raises(NotAllowed, match="code"):
        order(person, environment, second_factor_at=None)


def test_an_environment_without_machine_takes_no_order(person, environment):
    with pytest.raises(WrongState, match="identifiant de machine"):
        order(person, environment)


@pytest.mark.parametrize(
    "header", ["", "Bearer x", "Terrain-Machine", "Terrain-Machine x", "Terrain-Machine " + "é" * 43]
)
def test_a_header_that_says_nothing_is_nobody(header):
    assert machines.credential_of(header) is None


def test_an_unknown_secret_is_nobody(credential):
    assert machines.credential_of("Terrain-Machine " + machines.new_secret()) is None
