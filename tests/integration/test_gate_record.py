"""The gate on real rows: facts are gathered, the decision is kept before any effect, and nothing changes it after."""

import copy
import dataclasses
import pickle
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from broker import clock
from broker.accounts.models import MachineCredential, MachineOrder
from broker.epoch.actions import raise_epoch, set_switch
from broker.errors import Refused
from broker.keys.models import DataKey
from consent import facts, gate, record, rules
from consent.models import Convention, GateDecision, NamedPerson, QuotaUse
from consent.record import Permit, decide, give_back, still_permitted
from tests import cases, factories

pytestmark = pytest.mark.django_db


def a_convention(**changes):
    convention = factories.convention(**changes)
    DataKey.objects.create(
        purpose="pseudonym", ref=f"convention:{convention.pk}", wrapping_key_id=f"kek-{convention.pk}", wrapped=b"x"
    )
    return convention


def asked(convention, **changes):
    return {
        "by": convention.named_persons.earliest("pk").user,
        "convention": convention,
        "version": convention.offer.dataset.versions.get(),
        "columns": ["patient_nbr", "age", "readmitted"],
        "purpose_kind": "experimentation",
        "purpose_code": convention.purpose_code,
        "second_factor_at": clock.now(),
        "address": "127.0.0.1",
        "delivery_mode": "environment",
        **changes,
    }


def a_release(convention, **changes):
    columns, key = ("patient_nbr", "age", "readmitted"), f"convention:{convention.pk}"
    return cases.release(**{"convention_ref": convention.ref, "columns": columns, "key_ref": key, **changes})


def asked_download(convention, **changes):
    return asked(convention, **{"release": a_release(convention), **changes})


def refused_by(call, *args, **kwargs):
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    return [reason.code for reason in caught.value.reasons]


def events(act="gate.decide"):
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::json FROM audit_event WHERE payload::json->>'act' = %s ORDER BY id", [act])
        return [row[0] for row in cursor.fetchall()]


# ------------------------------------------------------------------------------------------------ deciding


def test_a_named_person_of_an_active_convention_may_ask_for_a_release():
    convention = a_convention()

    permit = decide("release_create", **asked(convention))

    decision = GateDecision.objects.get(pk=permit.decision_id)
    assert decision.effect == "permit_with_obligations"
    assert tuple(o["name"] for o in decision.obligations) == cases.OBLIGATIONS
    assert permit.obligation("generalise_or_suppress").parameters["k_min"] == 5
    assert QuotaUse.objects.get(decision=decision).kind == "release"
    assert still_permitted(permit)
    assert (decision.ruleset_version, decision.ruleset_sha256) == ("2026.11.0", rules.load("2026.11.0").sha256)


def test_a_decision_and_its_event_name_each_other():
    convention = a_convention()

    permit = decide("release_create", **asked(convention))

    (event,) = events()
    decision = GateDecision.objects.get(pk=permit.decision_id)
    assert (event["id"], event["obj"]["id"], event["out"]) == (decision.event_id, str(decision.pk), "allow")
    assert event["conv"] == convention.reference
    assert event["policy"] == "sha256:" + decision.ruleset_sha256


def test_a_refusal_is_recorded_with_every_reason_then_told():
    convention = a_convention()

    codes = refused_by(
        decide, "release_create", **asked(convention, second_factor_at=None, columns=["race", "encounter_id"])
    )

    decision = GateDecision.objects.get()
    assert codes == ["G01", "G21", "G23", "G24"]
    assert (decision.effect, decision.obligations, decision.is_permit) == ("deny", [], False)
    assert [r["rule"] for r in decision.reasons if r["effect"] == "deny"] == codes
    assert events()[0]["reason"] == codes
    assert not QuotaUse.objects.exists()


def test_a_stranger_to_the_convention_is_refused():
    convention = a_convention()
    colleague = factories.user(organisation=convention.organisation)

    assert refused_by(decide, "release_create", **asked(convention, by=colleague)) == ["G02", "G03"]


def test_a_person_who_left_the_company_is_refused():
    convention = a_convention()
    person = convention.named_persons.get().user
    person.memberships.update(left_on=clock.today() - timedelta(days=1))

    assert refused_by(decide, "release_create", **asked(convention)) == ["G02"]


@pytest.mark.parametrize("status", ["signing", "suspended", "expired"])
def test_only_an_active_convention_gives_access(status):
    convention = a_convention()
    Convention.objects.filter(pk=convention.pk).update(status=status)

    assert refused_by(decide, "release_create", **asked(convention)) == ["G10"]


def test_what_is_judged_is_what_the_database_holds_not_what_the_caller_carries():
    convention = a_convention()
    stale = Convention.objects.get(pk=convention.pk)
    Convention.objects.filter(pk=convention.pk).update(
        ends_on=clock.today() - timedelta(days=1), starts_on="2026-01-01"
    )

    assert refused_by(decide, "release_create", **asked(stale)) == ["G11"]


def test_an_organisation_off_the_registry_is_refused():
    convention = a_convention()
    entry = convention.organisation.registry_entries.get()
    entry.status = "suspended"
    entry.save(update_fields=["status"])

    assert refused_by(decide, "release_create", **asked(convention)) == ["G04"]


def test_a_personal_dataset_waits_for_the_key_of_its_convention():
    convention = factories.convention()

    assert refused_by(decide, "release_create", **asked(convention)) == ["G29"]


def test_a_reason_links_to_where_the_person_can_act():
    convention = a_convention()

    with pytest.raises(Refused) as caught:
        decide("release_create", **asked(convention, purpose_kind="commercial"))

    (reason,) = caught.value.reasons
    assert (reason.code, reason.link) == ("G06", "/licence-commerciale/")
    assert "/licence-commerciale/" in reason.message


def test_a_decision_is_judged_again_from_its_kept_case():
    convention = a_convention()
    refused_by(decide, "release_create", **asked(convention, columns=["race"]))

    kept = GateDecision.objects.get()
    again = gate.evaluate(record.from_json(kept.case), rules.load(kept.ruleset_version))

    assert [record.reason_as_json(r) for r in again.reasons] == kept.reasons
    assert again.effect == kept.effect


# ------------------------------------------------------------------------------------------------ quota


def test_the_quota_of_releases_counts_the_month():
    convention = a_convention(of=factories.offer(releases_per_month=1))
    decide("release_create", **asked(convention))

    assert refused_by(decide, "release_create", **asked(convention)) == ["G37"]


def test_a_unit_given_back_can_be_used_again():
    convention = a_convention(of=factories.offer(releases_per_month=1))
    permit = decide("release_create", **asked(convention))

    give_back(permit)
    give_back(permit)

    assert decide("release_create", **asked(convention)).decision_id != permit.decision_id


def test_a_resumed_download_is_decided_again_and_counted_once():
    convention = a_convention()
    decide("release_download", **asked_download(convention))

    decide("release_download", **asked_download(convention, first_byte=65536))
    decide("release_download", **asked_download(convention))

    assert GateDecision.objects.count() == 3
    assert QuotaUse.objects.count() == 2


def test_the_sixth_download_of_a_release_is_refused():
    convention = a_convention()
    for _download in range(5):
        decide("release_download", **asked_download(convention))

    assert refused_by(decide, "release_download", **asked_download(convention)) == ["G37"]


# ------------------------------------------------------------------------------------------------ machines


def an_order(convention, **changes):
    credential = MachineCredential.objects.create(
        environment=convention.environment, name="pull", secret_sha256="c" * 64,
        created_by=convention.named_persons.get().user,
    )  # fmt: skip
    order = MachineOrder.objects.create(
        **{
            "environment": convention.environment, "person": convention.named_persons.get().user,
            "second_factor_at": clock.now(), "action": "release_download", "object_ref": "release:1",
            "expires_at": clock.now() + timedelta(hours=24), **changes,
        }
    )  # fmt: skip
    return credential, order


def test_a_machine_pulls_once_on_a_named_person_s_order_and_the_log_names_both():
    convention = a_convention()
    credential, order = an_order(convention)
    pull = asked_download(convention, by=credential, order=order, second_factor_at=None)

    decide("release_download", **pull)

    order.refresh_from_db()
    decision = GateDecision.objects.get()
    assert (order.used_by, decision.actor_ref) == (credential, f"credential:{credential.pk}")
    assert decision.case["person"]["ref"] == f"user:{order.person_id}"
    assert refused_by(decide, "release_download", **pull) == ["G01"]


def test_a_machine_without_an_order_is_refused():
    convention = a_convention()
    credential, _order = an_order(convention)

    codes = refused_by(decide, "release_download", **asked_download(convention, by=credential, second_factor_at=None))

    assert codes[0] == "G01"


def test_a_refused_pull_does_not_spend_the_order():
    convention = a_convention()
    credential, order = an_order(convention)

    codes = refused_by(
        decide, "release_download",
        **asked_download(convention, by=credential, order=order, second_factor_at=None, address="198.51.100.7"),
    )  # fmt: skip

    order.refresh_from_db()
    assert (codes, order.used_at) == (["G33"], None)


# ------------------------------------------------------------------------------------------------ streams and races


def test_a_switch_set_between_two_chunks_stops_the_stream():
    convention = a_convention()
    permit = decide("release_download", **asked_download(convention))
    assert still_permitted(permit)

    set_switch("dataset", str(convention.offer.dataset_id), by=factories.user(), reason="doute")

    assert not still_permitted(permit)
    assert refused_by(decide, "release_download", **asked_download(convention)) == ["G14"]


def test_a_suspension_raises_the_epoch_that_a_stream_compares():
    convention = a_convention()
    permit = decide("release_download", **asked_download(convention))

    Convention.objects.filter(pk=convention.pk).update(status="suspended")
    raise_epoch(("convention", str(convention.pk)))

    assert not still_permitted(permit)
    assert refused_by(decide, "release_download", **asked_download(convention)) == ["G10"]


def test_a_stream_stops_at_the_midnight_that_follows_the_last_day():
    convention = a_convention(ends_on=clock.today())
    credential, order = an_order(convention)
    pull = asked_download(convention, by=credential, order=order, second_factor_at=None)

    permit = decide("release_download", **pull)

    midnight = permit.until
    assert (midnight.astimezone(clock.PARIS).hour, midnight.astimezone(clock.PARIS).minute) == (0, 0)
    assert still_permitted(permit, midnight - timedelta(seconds=1))
    assert not still_permitted(permit, midnight)


def test_a_stream_of_a_session_ends_with_its_second_factor():
    convention = a_convention()
    given_at = clock.now() - timedelta(hours=11)

    permit = decide("release_download", **asked_download(convention, second_factor_at=given_at))

    assert permit.until == given_at + timedelta(hours=12)


def moving(times):
    """An epoch that other people raise while each of the first `times` cases is judged."""
    left = [times]

    def evaluate(case, ruleset, real=gate.evaluate):
        if left[0]:
            left[0] -= 1
            raise_epoch(*case.scopes[:1])
        return real(case, ruleset)

    return evaluate


def test_an_epoch_that_moved_is_judged_once_more(monkeypatch):
    convention = a_convention()
    monkeypatch.setattr(gate, "evaluate", moving(1))

    permit = decide("release_create", **asked(convention))

    assert permit.epoch == facts.epoch_of(permit.scopes)


def test_an_epoch_that_will_not_hold_still_is_a_recorded_refusal(monkeypatch):
    convention = a_convention()
    monkeypatch.setattr(gate, "evaluate", moving(2))

    assert refused_by(decide, "release_create", **asked(convention)) == ["G42"]
    assert GateDecision.objects.get().effect == "deny"


# ------------------------------------------------------------------------------------------------ G42


# ------------------------------------------------------------------------------------------------ permits


def test_a_permit_is_built_by_the_record_alone():
    permit = decide("release_create", **asked(a_convention()))
    told = {f.name: getattr(permit, f.name) for f in dataclasses.fields(permit)}

    with pytest.raises(RuntimeError):
        Permit(**told, mint=object())
    with pytest.raises((RuntimeError, ValueError, TypeError)):
        dataclasses.replace(permit, action="release_download")
    with pytest.raises(RuntimeError):
        copy.copy(permit)
    with pytest.raises(RuntimeError):
        pickle.dumps(permit)
    with pytest.raises(dataclasses.FrozenInstanceError):
        permit.action = "release_download"


def test_permits_are_asked_for_by_releases_alone():
    root = Path(__file__).resolve().parents[2]
    uses = re.compile(r"from consent\.record import|import consent\.record|from consent import .*\brecord\b")

    users = {
        path.relative_to(root).parts[:2]
        for folder in ("broker", "zones", "consent")
        for path in (root / folder).rglob("*.py")
        if uses.search(path.read_text())
    }

    assert users <= {("broker", "releases")}


def test_a_unit_of_quota_needs_a_permit():
    convention = a_convention()
    refused_by(decide, "release_create", **asked(convention, second_factor_at=None))

    with pytest.raises(DatabaseError, match="reserved by a permit"), transaction.atomic():
        QuotaUse.objects.create(convention=convention, kind="release", decision=GateDecision.objects.get())


# ------------------------------------------------------------------------------------------------ facts


def queries_of(convention):
    with CaptureQueriesContext(
        connection,
    ) as caught:
        facts.case("release_create", now=clock.now(), **asked(convention))
    return len(caught)


def test_the_queries_of_a_case_do_not_grow_with_rows():
    convention = a_convention()
    before = queries_of(convention)

    for _ in range(5):
        decide("release_create", **asked(convention))
        person = factories.user(organisation=convention.organisation)
        NamedPerson.objects.create(convention=convention, user=person, named_by=person)
        factories.convention(convention.offer, organisation_=convention.organisation)

    assert queries_of(convention) == before <= 16


def test_a_simulation_refuses_only_what_later_steps_settle():
    offer = factories.offer()
    organisation = factories.registry_entry().organisation
    founder = factories.user(organisation=organisation)

    case = facts.prospective(
        offer, by=founder, organisation=organisation, environment=factories.environment(organisation),
        purpose_kind="experimentation", purpose_code=offer.purposes[0], starts_on=clock.today(),
        ends_on=clock.today() + timedelta(days=90), second_factor_at=clock.now(),
    )  # fmt: skip
    decision = gate.evaluate(case, rules.current(case.now))

    assert {r.rule for r in decision.refusals} <= gate.SETTLED_LATER
    assert {"G02", "G10", "G12"} <= {r.rule for r in decision.refusals}


def test_a_simulation_tells_what_would_refuse_now():
    offer = factories.offer()
    organisation = factories.organisation()
    founder = factories.user(organisation=organisation)

    case = facts.prospective(
        offer, by=founder, organisation=organisation, environment=None, purpose_kind="commercial", purpose_code="",
        starts_on=clock.today(), ends_on=clock.today() + timedelta(days=90), second_factor_at=clock.now(),
    )  # fmt: skip
    refusals = {r.rule for r in gate.evaluate(case, rules.current(case.now)).refusals}

    assert {"G04", "G05", "G06", "G33"} <= refusals


def test_only_an_offer_as_it_was_signed_lends_its_standing_notice():
    from consent import terms
    from consent.models import StandingMandate

    as_signed, otherwise = factories.offer(), factories.offer()
    for offer, named in ((as_signed, terms.sha256(as_signed)), (otherwise, "0" * 64)):
        signer = factories.user(organisation=offer.dataset.zone.operator, role="legal_representative")
        StandingMandate.objects.create(
            offer=offer, party="operator", terms_sha256=named, signer=signer, mandate="délibération",
            level="strengthened",
        )  # fmt: skip
    a_minute_ago = clock.now() - timedelta(minutes=1)

    assert decide("release_create", **asked(a_convention(of=as_signed, notice_published_at=a_minute_ago)))
    other = a_convention(of=otherwise, notice_published_at=a_minute_ago)
    assert refused_by(decide, "release_create", **asked(other)) == ["G20"]
