"""Attacks on what accounts, epoch and keys keep, as the application's role and as the owner of the tables."""

from datetime import timedelta

import psycopg
import pytest

from broker import clock
from broker.accounts import machines
from broker.accounts.actions import create_credential
from broker.accounts.countersigning import countersign
from broker.epoch.actions import lift_switch, set_switch
from broker.keys.store import KeyStore
from tests import factories, postgres

ROLES = ("terrain_app", "terrain_owner")


def refusals(database: str, role: str, attacks: list[str]) -> dict[str, str]:
    """What PostgreSQL answers to each attack; "done" when it let it pass."""
    answers = {}
    for attack in attacks:
        with psycopg.connect(postgres.cluster().url(role, database)) as intruder:
            try:
                done = intruder.execute(attack)
                answers[attack] = f"done ({done.rowcount} rows)"
            except psycopg.Error as error:
                answers[attack] = type(error).__name__
            intruder.rollback()
    return answers


@pytest.mark.parametrize("role", ROLES)
def test_a_countersigned_decision_stays(role, committed):
    countersign("a.b", "x:1", by=factories.user(), concerned=factories.organisation())
    countersign("a.b", "x:1", by=factories.user())
    other = factories.user().pk

    answers = refusals(
        committed, role,
        [
            f"UPDATE accounts_countersign SET second_by_id = {other}",
            f"UPDATE accounts_countersign SET first_by_id = {other}",
            "UPDATE accounts_countersign SET concerned_id = NULL",
            "UPDATE accounts_countersign SET second_by_id = NULL, second_at = NULL",
            "DELETE FROM accounts_countersign",
            "TRUNCATE accounts_countersign CASCADE",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"InsufficientPrivilege"}, answers


@pytest.mark.parametrize("role", ROLES)
def test_a_user_is_never_a_superuser(role, committed):
    factories.user()

    answers = refusals(
        committed, role,
        [
            "UPDATE accounts_user SET is_superuser = true",
            "INSERT INTO accounts_user (password, is_superuser, email, full_name, is_active, joined_at) "
            "VALUES ('', true, 'root@exemple.fr', 'Root', true, now())",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"CheckViolation"}, answers


@pytest.mark.parametrize("role", ROLES)
def test_an_order_serves_once_and_is_never_changed(role, committed):
    person = factories.user(organisation=(org := factories.organisation()))
    place, other = factories.environment(org), factories.environment(org)
    credential, _secret = create_credential(place, by=factories.user(organisation=org), name="bulle")
    stranger, _secret = create_credential(other, by=person, name="autre")
    facts = {"by": person, "environment": place, "action": "download", "second_factor_at": clock.now()}
    unused = machines.give_order(object_ref="release:1", **facts)
    machines.use_order(used := machines.give_order(object_ref="release:2", **facts), credential)

    answers = refusals(
        committed, role,
        [
            f"UPDATE accounts_machineorder SET used_at = NULL, used_by_id = NULL WHERE id = '{used.pk}'",
            f"UPDATE accounts_machineorder SET used_at = now() WHERE id = '{used.pk}'",
            f"UPDATE accounts_machineorder SET object_ref = 'release:3' WHERE id = '{unused.pk}'",
            f"UPDATE accounts_machineorder SET expires_at = expires_at + interval '1 day' WHERE id = '{unused.pk}'",
            "DELETE FROM accounts_machineorder",
            "TRUNCATE accounts_machineorder CASCADE",
            f"UPDATE accounts_machinecredential SET secret_sha256 = repeat('0', 64) WHERE id = {credential.pk}",
        ],
    )  # fmt: skip
    misuse = refusals(
        committed, role,
        [
            f"UPDATE accounts_machineorder SET used_at = now(), used_by_id = {stranger.pk} WHERE id = '{unused.pk}'",
            f"UPDATE accounts_machineorder SET used_at = now() + interval '25 hours', used_by_id = {credential.pk} "
            f"WHERE id = '{unused.pk}'",
            "INSERT INTO accounts_machineorder (id, environment_id, person_id, second_factor_at, action, object_ref, "
            f"given_at, expires_at) VALUES (gen_random_uuid(), {place.pk}, {person.pk}, now(), 'download', "
            "'release:1', now(), now() + interval '25 hours')",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"InsufficientPrivilege"}, answers
    assert set(misuse.values()) == {"CheckViolation"}, misuse


@pytest.mark.parametrize("role", ROLES)
def test_an_epoch_never_falls_and_a_switch_is_never_rewritten(role, committed):
    person = factories.user()
    switch = set_switch("zone", "12", by=person, reason="doute")
    decision = factories.countersigned("switch.lift", f"switch:{switch.pk}")
    lift_switch(switch, by=person, decision=decision, reason="levé")
    set_switch("zone", "13", by=person, reason="doute")

    falls = refusals(
        committed, role,
        [
            "UPDATE epoch_policyepoch SET value = value - 1",
            "UPDATE epoch_policyepoch SET value = value",
            "UPDATE epoch_policyepoch SET ref = 'elsewhere', value = value + 1",
        ],
    )  # fmt: skip
    removals = refusals(
        committed, role,
        [
            "DELETE FROM epoch_policyepoch",
            "TRUNCATE epoch_policyepoch CASCADE",
            "DELETE FROM epoch_killswitch",
            "TRUNCATE epoch_killswitch CASCADE",
            "UPDATE epoch_killswitch SET lifted_at = NULL WHERE ref = '12'",
            "UPDATE epoch_killswitch SET ref = '14' WHERE ref = '13'",
        ],
    )  # fmt: skip

    assert set(falls.values()) == {"CheckViolation"}, falls
    assert set(removals.values()) == {"InsufficientPrivilege"}, removals


@pytest.mark.parametrize("role", ROLES)
def test_a_data_key_never_changes(role, committed, tmp_path):
    (folder := tmp_path / "keys").mkdir(mode=0o700)
    KeyStore(folder).create("pseudonym", "convention:1")
    KeyStore(folder).create("pseudonym", "convention:2")
    KeyStore(folder).destroy("pseudonym", "convention:2")

    answers = refusals(
        committed, role,
        [
            "UPDATE keys_datakey SET wrapped = '\\x00' WHERE ref = 'convention:1'",
            "UPDATE keys_datakey SET ref = 'convention:3' WHERE ref = 'convention:1'",
            "UPDATE keys_datakey SET purpose = 'token' WHERE ref = 'convention:1'",
            "UPDATE keys_datakey SET wrapping_key_id = 'x' WHERE ref = 'convention:1'",
            "UPDATE keys_datakey SET destroyed_at = NULL WHERE ref = 'convention:2'",
            "DELETE FROM keys_datakey",
            "TRUNCATE keys_datakey CASCADE",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"InsufficientPrivilege"}, answers


@pytest.mark.parametrize("role", ROLES)
def test_the_clock_of_the_demo_never_goes_back(role, committed):
    answers = refusals(
        committed, role,
        [
            "INSERT INTO clock_step (seconds) VALUES (-3600)",
            "INSERT INTO clock_step (seconds) VALUES (0)",
        ],
    )  # fmt: skip

    assert set(answers.values()) == {"CheckViolation"}, answers
    assert clock.now() - clock.real_now() < timedelta(seconds=1)
