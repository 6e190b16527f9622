"""Every state x every act: the tables allow what the specification lists, and refuse all the rest."""

import pytest

from broker.errors import WrongState
from consent.models import Application, Convention, Offer, RegistryEntry
from consent.transitions import application, convention, offer, registry

# Written by hand from legal-gate, sections 4, 5.0, 5.1, 5.2: not computed from the tables under test.
REGISTRY = """
draft submit submitted
submitted check_failed incomplete
submitted checks_passed under_review
incomplete complete submitted
incomplete lapse abandoned
under_review accredit accredited
under_review refuse refused
accredited extend_scope accredited
accredited suspend suspended
suspended reinstate accredited
accredited withdraw withdrawn
suspended withdraw withdrawn
accredited expire expired
accredited renew accredited
accredited correct accredited
suspended correct suspended
accredited merge accredited
suspended merge suspended
refused uphold_appeal under_review
withdrawn uphold_appeal under_review
refused order_reinstatement accredited
withdrawn order_reinstatement accredited
"""
OFFER = """
draft submit under_review
under_review publish published
published suspend suspended
suspended resume published
draft end ended
under_review end ended
published end ended
suspended end ended
"""
APPLICATION = """
draft submit submitted
submitted approve_under_offer approved
draft withdraw withdrawn
submitted withdraw withdrawn
"""
CONVENTION = """
signing sign_last active
signing lapse withdrawn
active suspend suspended
suspended resume active
active expire expired
suspended expire expired
active terminate terminated
suspended terminate terminated
expired attest closed
terminated attest closed
"""
MACHINES = {
    "registry": (registry, RegistryEntry.Status, REGISTRY),
    "offer": (offer, Offer.Status, OFFER),
    "application": (application, Application.Status, APPLICATION),
    "convention": (convention, Convention.Status, CONVENTION),
}


def every_pair():
    for name, (_module, states, written) in MACHINES.items():
        lines = [line.split() for line in written.strip().splitlines()]
        allowed = {(state, act): after for state, act, after in lines}
        for state in states.values:
            for act in sorted({act for _state, act, _after in lines} | {"unheard_of"}):
                yield name, state, act, allowed.get((state, act))


@pytest.mark.parametrize(("machine", "state", "act", "after"), list(every_pair()))
def test_an_act_moves_from_its_own_states_and_is_refused_in_all_others(machine, state, act, after):
    module = MACHINES[machine][0]

    if after is None:
        with pytest.raises(WrongState):
            module.next_state(state, act)
    else:
        assert module.next_state(state, act) == after


@pytest.mark.parametrize("machine", MACHINES)
def test_a_table_holds_nothing_that_was_not_written(machine):
    module, _states, written = MACHINES[machine]

    assert len(module.NEXT) == len(written.strip().splitlines())


@pytest.mark.parametrize("machine", MACHINES)
def test_a_refusal_names_the_state_in_words(machine):
    module, states, _written = MACHINES[machine]

    with pytest.raises(WrongState) as wrong:
        module.next_state(states.values[0], "unheard_of")

    assert str(states(states.values[0]).label) in str(wrong.value)
