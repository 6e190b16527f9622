"""Ends and suspensions, attacked in PostgreSQL itself, as the application's role and as the owner of the tables."""

import pytest

from broker import clock
from broker.epoch.models import KillSwitch
from consent.models import ConventionAct, RegistryEntry
from tests import factories
from tests.integration.test_what_people_did_stays import ROLES, refusals


@pytest.mark.parametrize("role", ROLES)
def test_one_person_alone_gives_no_access_back_and_ends_nothing(role, committed):
    suspended = factories.convention(status="suspended")
    active = factories.convention()
    expired = factories.convention(status="expired", ends_on=clock.today())
    person = factories.user()
    switch = KillSwitch.objects.create(kind="convention", ref=str(active.pk), reason="doute", set_by=person)
    alone = factories.countersigned("switch.lift", f"switch:{switch.pk + 1}")
    entry = factories.registry_entry()
    decided = factories.countersigned(
        "registry.withdraw", f"registry:{entry.pk}@{entry.version}", concerned=entry.organisation
    )
    assert decided.is_complete and RegistryEntry.objects.filter(pk=entry.pk).exists()

    answers = refusals(
        committed, role,
        [
            f"UPDATE consent_convention SET status = 'active' WHERE id = {suspended.pk}",
            f"UPDATE consent_convention SET status = 'terminated' WHERE id = {active.pk}",
            f"UPDATE consent_convention SET status = 'closed' WHERE id = {expired.pk}",
            f"UPDATE epoch_killswitch SET lifted_at = now(), lifted_under_id = {alone.pk} WHERE id = {switch.pk}",
            f"UPDATE epoch_killswitch SET lifted_at = now() WHERE id = {switch.pk}",
            # Two clerks agreed, but nobody let the organisation answer.
            f"UPDATE consent_registryentry SET status = 'withdrawn', decided_at = now() WHERE id = {entry.pk}",
            f"UPDATE consent_registryentry SET status = 'refused' WHERE id = {entry.pk}",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"CheckViolation"}, answers


@pytest.mark.parametrize("role", ROLES)
def test_what_was_done_to_a_convention_and_answered_to_the_agency_stays(role, committed):
    convention = factories.convention()
    ConventionAct.objects.create(convention=convention, act="suspend", status="suspended", reason="doute")
    step = factories.adversarial_step(factories.registry_entry())

    answers = refusals(
        committed, role,
        [
            "UPDATE consent_conventionact SET reason = ''",
            "DELETE FROM consent_conventionact",
            "TRUNCATE consent_conventionact CASCADE",
            f"UPDATE consent_adversarialstep SET answer_by = answer_by - 30 WHERE id = {step.pk}",
            "DELETE FROM consent_adversarialstep",
            "TRUNCATE consent_deletionattestation CASCADE",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"InsufficientPrivilege"}, answers
