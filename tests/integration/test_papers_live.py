"""The lives of an accreditation and of a convention, in any order of acts: Hypothesis tries what nobody thought of."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from broker import clock
from broker.accounts import grants
from broker.epoch.actions import epoch_of
from broker.errors import TerrainError
from consent.models import Convention, RegistryEntry
from consent.transitions import convention as conventions
from consent.transitions import registry
from tests import factories

pytestmark = pytest.mark.django_db

BOOL = st.booleans()
WHO = st.integers(0, 3)
GROUND = st.sampled_from(["wish", "breach", "accreditation"])
FEW = settings(
    max_examples=20, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


class Machine(RuleBasedStateMachine):
    """Acts by whoever tries; what is refused changes nothing; what passes follows the table."""

    NEXT: dict = {}

    def tried(self, act, verb, *args, **facts):
        before = self.row()
        epoch = self.epoch()
        try:
            verb(before, *args, **facts)
        except TerrainError:
            after = self.row()
            assert after.status == before.status, f"a refused {act} moved {before.status} to {after.status}"
            return
        after = self.row()
        if after.status != before.status:
            assert self.NEXT[before.status, act] == after.status
            assert self.epoch() > epoch, f"{act} ended or opened access without raising the epoch"


class ConventionLife(Machine):
    NEXT = {(str(a), b): str(c) for (a, b), c in conventions.NEXT.items()}

    @initialize()
    def begin(self):
        self.made = factories.convention()
        zone = self.made.zone
        self.claire, self.hugo = (factories.user(name, organisation=zone.operator) for name in ("Claire", "Hugo"))
        for officer in (self.claire, self.hugo):
            grants.give(officer, "zones.operate", zone, by=officer)
        self.founder = self.made.application.created_by
        self.stranger = factories.user(organisation=factories.organisation())

    def row(self):
        return Convention.objects.get(pk=self.made.pk)

    def epoch(self):
        return epoch_of([("convention", str(self.made.pk))])

    def someone(self, who):
        return [self.claire, self.hugo, self.founder, self.stranger][who]

    @rule(who=BOOL, reason=BOOL)
    def suspend(self, who: bool, reason: bool):
        self.tried("suspend", conventions.suspend, by=self.claire if who else self.stranger, reason="doute" * reason)

    @rule(who=BOOL)
    def resume(self, who: bool):
        self.tried("resume", conventions.resume, by=self.claire if who else self.hugo, reason="levé")

    @rule(who=BOOL)
    def resume_by_a_stranger(self, who: bool):
        self.tried("resume", conventions.resume, by=self.founder if who else self.stranger)

    @rule(who=WHO, ground=GROUND)
    def terminate(self, who: int, ground: str):
        warned = clock.today() - timedelta(days=11)
        self.tried(
            "terminate", conventions.terminate, by=self.someone(who), reason="fin", ground=ground, warned_on=warned
        )

    @rule()
    def expire(self):
        self.tried("expire", conventions.expire)

    @invariant()
    def an_end_is_an_end(self):
        if hasattr(self, "made"):
            assert self.row().ends_on == self.made.ends_on, "no act moves the last day"


class EntryLife(Machine):
    NEXT = {(str(a), b): str(c) for (a, b), c in registry.NEXT.items()}

    @initialize()
    def begin(self):
        self.organisation = factories.organisation()
        entry = factories.registry_entry(self.organisation, status="under_review")
        entry.evidence = {"insurance_until": (clock.today() + timedelta(days=90)).isoformat()}
        entry.save()
        self.pk = entry.pk
        agency = factories.organisation("agency")
        self.clerks = [factories.user(n, organisation=agency, role="registry_officer") for n in ("Sophie", "Karim")]

    def row(self):
        return RegistryEntry.objects.select_related("organisation").get(pk=self.pk)

    def epoch(self):
        # A refusal of a file that never opened anything has nothing to cut.
        touched = self.row().status not in ("refused",)
        return epoch_of([("organisation", str(self.organisation.pk))]) + (not touched)

    @rule(who=BOOL)
    def accredit(self, who: bool):
        entry = self.row()
        if entry.accreditations.exists():
            return
        self.tried("accredit", registry.accredit, by=self.clerks[who])

    @rule(who=BOOL)
    def refuse(self, who: bool):
        self.tried("refuse", registry.refuse, by=self.clerks[who], reason="incomplet")

    @rule(who=BOOL)
    def suspend(self, who: bool):
        self.tried("suspend", registry.suspend, by=self.clerks[who], reason="incident")

    @rule(who=BOOL)
    def reinstate(self, who: bool):
        self.tried("reinstate", registry.reinstate, by=self.clerks[who], reason="levé")

    @rule(who=BOOL)
    def withdraw(self, who: bool):
        if self.row().status in ("accredited", "suspended") and registry.step_of(self.row()) is None:
            factories.adversarial_step(self.row())
        self.tried("withdraw", registry.withdraw, by=self.clerks[who], reason="assurance échue")

    @invariant()
    def whoever_is_accredited_was_wanted_by_two(self):
        if hasattr(self, "pk") and self.row().status == "accredited":
            from broker.accounts.models import Countersign

            done = Countersign.objects.filter(object_ref__startswith=f"registry:{self.pk}@").exclude(second_by=None)
            assert done.filter(act__in=("registry.accredit", "registry.reinstate")).exists()


@pytest.mark.parametrize("machine", [ConventionLife, EntryLife])
def test_any_order_of_acts_follows_the_table(machine):
    run_state_machine_as_test(machine, settings=FEW)
