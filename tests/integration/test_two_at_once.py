"""Two persons, or two machines, in the same instant: one acts, the other is told."""

from broker import clock
from broker.accounts import machines
from broker.accounts.actions import create_credential
from broker.accounts.countersigning import countersign, pending
from broker.accounts.models import Countersign, User
from broker.epoch.actions import epoch_of, raise_epoch
from broker.errors import WrongState
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from tests import factories
from tests.together import together


def test_two_officers_who_open_at_once_open_one_decision(committed):
    officers = [factories.user().pk for _ in range(2)]

    def decide(pk):
        return lambda: countersign("offer.publish", "offer:1", by=User.objects.get(pk=pk))

    answers = together(*map(decide, officers))

    # The slower one either completes what the other opened, or is told to reload.
    rows = Countersign.objects.all()
    assert len(rows) == 1
    assert rows[0].first_by_id in officers
    assert rows[0].is_complete or [isinstance(answer, WrongState) for answer in answers].count(True) == 1
    assert rows[0].second_by_id != rows[0].first_by_id


def test_two_officers_who_complete_at_once_complete_one_decision(committed):
    countersign("offer.publish", "offer:1", by=factories.user())
    opened = pending("offer.publish", "offer:1")
    officers = [factories.user().pk for _ in range(2)]

    def complete(pk):
        return lambda: countersign("offer.publish", "offer:1", by=User.objects.get(pk=pk))

    together(*map(complete, officers))

    opened.refresh_from_db()
    assert opened.is_complete
    assert opened.second_by_id in officers
    assert Countersign.objects.filter(second_by__isnull=False).count() == 1


def test_an_order_used_twice_at_once_serves_once(committed):
    org = factories.organisation()
    person, place = factories.user(organisation=org), factories.environment(org)
    credential, _secret = create_credential(place, by=person, name="extraction")
    given = machines.give_order(
        by=person, environment=place, action="data.download", object_ref="release:1", second_factor_at=clock.now()
    )

    answers = together(*[lambda: machines.use_order(given, credential)] * 4)

    assert sum(isinstance(answer, WrongState) for answer in answers) == 3


def test_a_key_asked_for_twice_at_once_is_made_once(committed, tmp_path):
    (folder := tmp_path / "keys").mkdir(mode=0o700)

    answers = together(*[lambda: KeyStore(folder).create("pseudonym", "convention:1").pk] * 4)

    assert set(answers) == {DataKey.objects.get().pk}
    assert len(list(folder.iterdir())) == 1


def test_no_raise_is_lost_when_epochs_rise_at_once(committed):
    scopes = [("zone", "1"), ("convention", "1")]

    together(
        *[lambda: [raise_epoch(*scopes) for _ in range(10)]] * 2,
        *[lambda: [raise_epoch(*reversed(scopes)) for _ in range(10)]] * 2,
    )

    assert epoch_of(scopes) == 80
