"""Acceptance scenarios of the gate, by their number (legal-gate, section 13), on real rows."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from broker import clock
from broker.errors import Refused
from consent import gate, rules
from consent.models import Convention, GateDecision
from consent.record import decide, still_permitted
from tests import cases
from tests.actors import signed_in
from tests.integration.test_gate_record import (
    a_convention,
    an_order,
    asked,
    asked_download,
    events,
    refused_by,
)

pytestmark = pytest.mark.django_db
RULES = rules.load("2026.11.0")


def test_scenario_2_an_untrained_person_and_two_unjustified_columns_are_told_together_in_french():
    convention = a_convention(trained=False)
    samir = convention.named_persons.get().user

    answer = signed_in(samir).post(
        reverse("release-create", args=[convention.ref]), {"columns": ["age", "diag_1", "race"]}
    )

    page = answer.content.decode()
    told = GateDecision.objects.get().reasons
    # Of reinforced sensitivity, `race` is refused by G24 as well: every reason is told.
    assert [one["rule"] for one in told if one["effect"] == "deny"] == ["G03", "G21", "G24"]
    assert answer.status_code == 403
    assert "Il vous manque : l&#x27;engagement de confidentialité, la formation « santé »" in page
    assert "ne sont pas justifiées et approuvées : diag_1, race. Retirez-les" in page
    assert page.count("Y remédier") == 3
    assert f"/conventions/{convention.ref}/habilitation/" in page


def test_scenario_4_at_midnight_the_stream_stops_and_a_new_request_is_denied_though_no_job_has_run():
    convention = a_convention(ends_on=clock.today())
    midnight = datetime.combine(clock.today() + timedelta(days=1), time(), clock.PARIS)
    last_second = midnight - timedelta(seconds=1)
    asked_then = asked_download(convention, second_factor_at=last_second - timedelta(hours=1))

    permit = decide("release_download", now=last_second, **asked_then)
    new_request = refused_by(decide, "release_download", now=midnight, **asked_then)

    assert still_permitted(permit, now=last_second)
    assert not still_permitted(permit, now=midnight)
    assert "G11" in new_request
    assert Convention.objects.get(pk=convention.pk).status == "active"


@pytest.mark.parametrize(
    ("ends_on", "now", "effect"),
    [
        (date(2026, 10, 24), datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC), gate.PERMIT),
        (date(2026, 10, 24), datetime(2026, 10, 24, 22, 0, 0, tzinfo=UTC), gate.DENY),
        (date(2026, 10, 25), datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC), gate.PERMIT),
        (date(2026, 10, 25), datetime(2026, 10, 25, 23, 0, 0, tzinfo=UTC), gate.DENY),
    ],
)
def test_scenario_4_the_last_second_is_paris_s_also_on_the_day_the_hour_changes(ends_on, now, effect):
    case = cases.a_download(now=now, convention=cases.convention(starts_on=date(2026, 1, 1), ends_on=ends_on))

    assert dict(gate.evaluate(case, RULES).verdicts)["G11"] == effect


def test_scenario_27_a_machine_acts_on_a_named_person_s_order_once_and_the_log_names_both():
    convention = a_convention()
    credential, order = an_order(convention)
    pull = asked_download(convention, by=credential, second_factor_at=None)

    without = refused_by(decide, "release_download", **pull)
    permit = decide("release_download", order=order, **pull)
    again = refused_by(decide, "release_download", order=order, **pull)

    assert (without, again) == (["G01"], ["G01"])
    assert permit.actor_ref == f"credential:{credential.pk}"
    (allowed,) = [event for event in events() if event["out"] == "allow"]
    assert allowed["actor"]["kind"] == "credential" or allowed["actor"]["id"]
    assert allowed["on_behalf"]


def test_a_refusal_shown_to_a_machine_s_person_is_the_one_that_was_recorded():
    convention = a_convention()

    with pytest.raises(Refused) as refused:
        decide("release_create", **asked(convention, columns=["age", "encounter_id"]))

    kept = [one["rule"] for one in GateDecision.objects.get().reasons if one["effect"] == "deny"]
    assert [reason.code for reason in refused.value.reasons] == kept == ["G21", "G23"]


def test_a_visitor_is_sent_to_sign_in_before_any_decision():
    convention = a_convention()

    answer = Client().post(reverse("release-create", args=[convention.ref]), {"columns": ["age"]})

    assert answer.status_code == 302
    assert not GateDecision.objects.exists()
