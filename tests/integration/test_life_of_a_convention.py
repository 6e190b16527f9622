"""What happens to a convention after its signature: suspended, given back, ended, attested, closed."""

import time
from datetime import timedelta

import pytest

from broker import clock
from broker.accounts import grants, second_factor
from broker.audit.actor import SYSTEM
from broker.errors import BadInput, NotAllowed, Refused, WrongState
from broker.keys.models import DataKey
from broker.keys.store import KeyStore
from consent import tasks
from consent.models import Convention, ConventionAct, RegistryEntry
from consent.record import decide
from consent.transitions import convention as conventions
from consent.transitions import registry
from tests import factories
from tests.integration.test_gate_record import a_convention, asked
from tests.integration.test_same_day_path import SECRET

pytestmark = pytest.mark.django_db

S = Convention.Status


def officers(zone, *names):
    found = [factories.user(name, organisation=zone.operator) for name in names]
    for officer in found:
        grants.give(officer, "zones.operate", zone, by=SYSTEM)
    return found


def clerks():
    agency = factories.organisation("agency")
    return [factories.user(name, organisation=agency, role="registry_officer") for name in ("Sophie", "Karim")]


def with_second_factor(user):
    second_factor.enrol(user, SECRET)
    return user


def code_of(user, *, later=0):
    return second_factor.code_at(user, time.time() + 30 * later)


def said():
    """What the experimenter attests."""
    return {"copies": "deux disques effacés", "backups": "bandes détruites", "models_fate": "destroyed",
            "processors": "aucun"}  # fmt: skip


def test_one_person_suspends_and_two_give_access_back():
    convention = factories.convention()
    marc, ines = officers(convention.zone, "Marc", "Inès")

    suspended = conventions.suspend(convention, by=marc, reason="doute sur un capteur")
    first = conventions.resume(suspended, by=marc, reason="capteur changé")
    with pytest.raises(NotAllowed, match="deuxième personne"):
        conventions.resume(first, by=marc, reason="encore moi")
    second = conventions.resume(first, by=ines, reason="vérifié")

    assert (suspended.status, first.status, second.status) == (S.SUSPENDED, S.SUSPENDED, S.ACTIVE)
    kept = [(act.act, act.by, act.reason) for act in convention.acts.all()]
    assert kept == [("suspend", marc, "doute sur un capteur"), ("resume", ines, "vérifié")]


def test_a_suspension_does_not_move_the_last_day_and_nothing_resumes_after_it():
    today = clock.today()
    convention = factories.convention(ends_on=today, starts_on=today - timedelta(days=9))
    (marc,) = officers(convention.zone, "Marc")
    conventions.suspend(convention, by=marc, reason="doute")
    Convention.objects.filter(pk=convention.pk).update(ends_on=today - timedelta(days=1))

    with pytest.raises(WrongState, match="ne prolonge pas"):
        conventions.resume(convention, by=marc, reason="levé")


def test_the_experimenter_leaves_alone_on_thirty_days_notice():
    convention = a_convention()
    founder = convention.application.created_by

    left = conventions.terminate(convention, by=founder, reason="l'essai est fini")

    assert left.status == S.ACTIVE
    assert left.last_day == clock.today() + timedelta(days=30)
    assert convention.acts.get().effect_on == left.last_day
    with pytest.raises(WrongState, match="préavis court déjà"):
        conventions.terminate(left, by=founder, reason="encore")


def test_access_ends_with_the_notice_even_before_the_job_that_writes_it_down():
    convention = a_convention()
    Convention.objects.filter(pk=convention.pk).update(terminates_on=clock.today() - timedelta(days=1))

    with pytest.raises(Refused) as refused:
        decide("release_create", **asked(convention))
    tasks.end_what_has_ended(timestamp=0)

    convention.refresh_from_db()
    assert [reason.code for reason in refused.value.reasons] == ["G11"]
    assert convention.status == S.TERMINATED


def test_two_officers_end_it_at_once_after_a_formal_notice_without_effect():
    convention = factories.convention()
    marc, ines = officers(convention.zone, "Marc", "Inès")
    today = clock.today()

    with pytest.raises(BadInput, match="mise en demeure"):
        conventions.terminate(
            convention, by=marc, reason="copie hors de la bulle", ground="breach", warned_on=today - timedelta(days=9)
        )
    breach = {"reason": "copie hors de la bulle", "ground": "breach", "warned_on": today - timedelta(days=10)}
    first = conventions.terminate(convention, by=marc, **breach)
    second = conventions.terminate(convention, by=ines, **breach)

    assert (first.status, second.status) == (S.ACTIVE, S.TERMINATED)


def test_a_stranger_ends_nothing():
    convention = factories.convention()

    with pytest.raises(NotAllowed):
        conventions.terminate(convention, by=factories.user(), reason="je veux", ground="wish")


def test_attested_deletion_closes_the_convention_once_the_operator_has_verified_it():
    convention = factories.convention(status="expired", ends_on=clock.today())
    founder = with_second_factor(convention.application.created_by)
    (marc,) = officers(convention.zone, "Marc")

    given = conventions.attest(convention, by=founder, code=code_of(founder), **said())
    with pytest.raises(WrongState, match="attend déjà"):
        conventions.attest(convention, by=founder, code=code_of(founder, later=1), **said())
    closed = conventions.answer_attestation(given, by=marc, is_verified=True, answer="procès-verbal lu")

    assert closed.status == S.CLOSED
    assert given.evidence["method"] == "totp"


def test_an_attestation_that_lacks_something_goes_back_and_is_given_anew():
    convention = factories.convention(status="expired", ends_on=clock.today())
    founder = with_second_factor(convention.application.created_by)
    (marc,) = officers(convention.zone, "Marc")
    first = conventions.attest(convention, by=founder, code=code_of(founder), **said())

    returned = conventions.answer_attestation(first, by=marc, is_verified=False, answer="et les bandes ?")
    with pytest.raises(WrongState, match="déjà répondu"):
        conventions.answer_attestation(first, by=marc, is_verified=True, answer="bon")
    second = conventions.attest(convention, by=founder, code=code_of(founder, later=1), **said())

    assert returned.status == S.EXPIRED
    assert conventions.answer_attestation(second, by=marc, is_verified=True, answer="vu").status == S.CLOSED


def test_the_attestation_is_due_fifteen_days_after_the_end_whatever_the_job_has_written():
    today = clock.today()
    over = factories.convention(starts_on=today - timedelta(days=30), ends_on=today - timedelta(days=3))

    assert conventions.attestation_due(over) == today + timedelta(days=12)
    assert conventions.attestation_due(factories.convention()) is None


def test_the_key_is_destroyed_thirty_days_after_closing_and_not_before(settings, tmp_path):
    settings.KEY_STORE = str(tmp_path)
    tmp_path.chmod(0o700)
    closed = {}
    for days in (29, 31):
        convention = factories.convention(status="expired", ends_on=clock.today())
        KeyStore().create("pseudonym", f"convention:{convention.pk}")
        founder = with_second_factor(convention.application.created_by)
        (officer,) = officers(convention.zone, "Marc")
        given = conventions.attest(convention, by=founder, code=code_of(founder), **said())
        at = clock.real_now() - timedelta(days=days)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clock, "real_now", lambda at=at: at)
            conventions.answer_attestation(given, by=officer, is_verified=True, answer="vu")
        closed[days] = f"convention:{convention.pk}"

    tasks.destroy_keys_due(timestamp=0)

    destroyed = set(DataKey.objects.exclude(destroyed_at=None).values_list("ref", flat=True))
    assert destroyed == {closed[31]}


def test_scenario_6_the_agency_withdraws_and_three_live_conventions_stop():
    organisation = factories.organisation()
    three = [factories.convention(organisation_=organisation) for _ in range(3)]
    elsewhere = factories.convention()
    entry = organisation.registry_entries.get()
    factories.adversarial_step(entry)
    sophie, karim = clerks()

    registry.withdraw(entry, by=sophie, reason="assurance résiliée")
    registry.withdraw(entry, by=karim, reason="assurance résiliée")

    states = {row.pk: row.status for row in Convention.objects.all()}
    assert [states[one.pk] for one in three] == [S.SUSPENDED] * 3
    assert states[elsewhere.pk] == S.ACTIVE
    for convention in three:
        (officer,) = officers(convention.zone, "Marc")
        with pytest.raises(WrongState, match="agrément"):
            conventions.resume(convention, by=officer, reason="levé")
    assert ConventionAct.objects.filter(act="suspend", by=None, reason="Agrément retiré.").count() == 3


def test_an_accreditation_is_not_withdrawn_before_the_organisation_could_answer():
    entry = factories.registry_entry()
    sophie, karim = clerks()
    founder = factories.user(organisation=entry.organisation, role="legal_representative")

    with pytest.raises(WrongState, match="observations"):
        registry.withdraw(entry, by=sophie, reason="assurance résiliée")
    registry.invite_observations(entry, by=sophie, reason="assurance résiliée")
    with pytest.raises(WrongState, match="peut répondre jusqu"):
        registry.withdraw(entry, by=sophie, reason="assurance résiliée")
    registry.observe(entry, by=founder, observations="une nouvelle police court depuis hier")
    registry.withdraw(entry, by=sophie, reason="police non fournie")
    decided = registry.withdraw(entry, by=karim, reason="police non fournie")

    assert decided.status == RegistryEntry.Status.WITHDRAWN


def test_a_suspension_of_the_agency_cuts_the_organisation_until_two_clerks_reinstate():
    convention = a_convention()
    entry = convention.organisation.registry_entries.get()
    sophie, karim = clerks()

    registry.suspend(entry, by=sophie, reason="doute sérieux")
    with pytest.raises(Refused) as refused:
        decide("release_create", **asked(convention))
    with pytest.raises(NotAllowed):
        registry.confirm_suspension(entry, by=sophie, reason="moi-même")
    registry.confirm_suspension(entry, by=karim, reason="le doute est sérieux")
    registry.reinstate(entry, by=sophie, reason="doute levé")
    registry.reinstate(entry, by=karim, reason="doute levé")

    assert [reason.code for reason in refused.value.reasons] == ["G04", "G14"]
    assert decide("release_create", **asked(convention)).action == "release_create"
