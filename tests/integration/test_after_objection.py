"""After an objection: the release that holds the person is refused, rebuilt without them, its copies withdrawn.

Real PostgreSQL, real engine, real stays; the scenarios of legal-gate, section 13, by number."""

from datetime import timedelta

import pyrage
import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from broker import clock
from broker.accounts import grants, machines
from broker.audit.actor import SYSTEM
from broker.errors import NotAllowed, Refused, WrongState
from broker.keys import subject
from broker.keys.store import KeyStore
from broker.releases import facts, inquiries, rebuilds, store, tasks, withdrawals
from broker.releases.models import Delivery, Inquiry, Release, TraceEntry, WithdrawalOrder
from consent import oppositions
from consent.models import GateDecision, SealedRequest
from consent.tasks import record_sealed_request
from tests import factories, releasing
from tests.actors import signed_in
from tests.integration.test_release import credential_of, pull
from tests.recompute import read_output, recompute


@pytest.fixture
def steward(stays):
    zone = stays.convention.zone
    person = factories.user("Paul", organisation=zone.operator)
    grants.give(person, "zones.steward", zone, by=SYSTEM)
    return person


def second_convention(stays) -> releasing.Ready:
    """Another start-up under the same offer, with a key and an environment of its own."""
    convention = factories.convention(stays.convention.offer)
    identity = pyrage.x25519.Identity.generate()
    convention.environment.age_recipient = str(identity.to_public())
    convention.environment.save(update_fields=["age_recipient"])
    KeyStore(settings.KEY_STORE).create("pseudonym", f"convention:{convention.pk}")
    return releasing.Ready(convention, str(identity), stays.source)


def delivered(ready, columns=releasing.ASKED) -> Release:
    """A release built, and pulled once by the environment's machine."""
    release = releasing.built(ready, columns)
    assert release.status == "ready", release.problem
    assert b"".join(ordered_pull(ready, release).streaming_content)
    return release


def ordered_pull(ready, release):
    secret = credential_of(ready)
    order = machines.give_order(
        by=ready.person, environment=ready.convention.environment, action="release_download",
        object_ref=facts.reference(release), second_factor_at=clock.now(),
    )  # fmt: skip
    return pull(order, secret)


def codes(refused) -> list[str]:
    return [one["code"] for one in refused.json()["reasons"]]


def pseudonyms_in(ready, release) -> set[str]:
    _names, rows = read_output(ready.inputs(release).clear, "parquet")
    return {row[0] for row in rows}


def key_of(ready) -> bytes:
    return KeyStore(settings.KEY_STORE).open("pseudonym", f"convention:{ready.convention.pk}")


def patients(ready) -> list[str]:
    import csv
    import gzip

    with gzip.open(ready.source, "rt", newline="") as lines:
        return sorted({row["patient_nbr"] for row in csv.DictReader(lines)})


def a_patient_in(*pairs) -> str:
    """The first patient of the file who is in every (ready, release)."""
    inside = [(key_of(ready), pseudonyms_in(ready, release)) for ready, release in pairs]
    return next(one for one in patients(pairs[0][0]) if all(subject.pseudonym(k, one) in them for k, them in inside))


def says_no(ready, steward, local_id: str) -> SealedRequest:
    request = oppositions.receive(ready.convention.zone, by=steward, local_id=local_id)
    record_sealed_request(request.pk)
    return request


def test_scenario_8_after_an_objection_the_release_is_refused_rebuilt_and_withdrawn(stays, steward):
    other = second_convention(stays)
    first, second = delivered(stays), delivered(other)
    patient = a_patient_in((stays, first), (other, second))

    says_no(stays, steward, patient)
    refused = ordered_pull(stays, first)

    # refused by G26 and by nothing else, without a count
    assert refused.status_code == 403
    assert codes(refused) == ["G26"]
    assert patient not in refused.content.decode()

    tasks.honour_oppositions(0)
    rebuilt = Release.objects.get(replaces=first)
    tasks.build(rebuilt)
    rebuilt.refresh_from_db()
    first.refresh_from_db()

    # the rebuild holds the others and not the patient, the former is gone
    own = subject.pseudonym(key_of(stays), patient)
    assert rebuilt.status == "ready", rebuilt.problem
    assert recompute(stays.inputs(rebuilt)).failed == []
    assert own not in pseudonyms_in(stays, rebuilt)
    assert rebuilt.rows_out < first.rows_out
    assert first.status == "withdrawn" and not (store._folder() / first.stored_as).exists()
    assert ordered_pull(stays, rebuilt).status_code == 200
    # a machine that still holds an order for the former is told the same reason
    again = ordered_pull(stays, first)
    assert codes(again) == ["G26"]

    for ready in (stays, other):
        tasks.order_withdrawal(ready.convention.pk)

    # each recipient is told its own pseudonym and nothing else
    mine, theirs = (WithdrawalOrder.objects.get(convention=ready.convention) for ready in (stays, other))
    assert mine.pseudonyms == [own]
    assert theirs.pseudonyms == [subject.pseudonym(key_of(other), patient)]
    assert set(mine.pseudonyms).isdisjoint(theirs.pseudonyms)
    assert (mine.due_on - clock.today()).days == 15
    assert tasks.withdrawals.owing() == []


def test_scenario_8_a_release_that_never_held_the_person_is_untouched(stays, steward):
    whole, few = delivered(stays), delivered(stays, ("patient_nbr", "gender", "time_in_hospital"))
    key, only_there = key_of(stays), pseudonyms_in(stays, few) - pseudonyms_in(stays, whole)
    patient = next(one for one in patients(stays) if subject.pseudonym(key, one) in only_there)

    says_no(stays, steward, patient)

    refused, served = ordered_pull(stays, few), ordered_pull(stays, whole)
    assert codes(refused) == ["G26"]
    assert served.status_code == 200, codes(served)
    assert [one.pk for one in rebuilds.stale()] == [few.pk]


def test_scenario_9_the_operator_learns_where_a_person_s_data_went(stays, steward):
    other = second_convention(stays)
    first, second = delivered(stays), delivered(other)
    patient = a_patient_in((stays, first), (other, second))
    before = GateDecision.objects.count()

    asked = inquiries.trace(stays.convention.zone, by=steward, local_id=patient)
    tasks.answer_inquiry(str(asked.pk))

    asked.refresh_from_db()
    assert set(asked.found["releases"]) == {str(first.pk), str(second.pk)}
    assert bytes(asked.sealed) == b""
    page = signed_in(steward).get(f"/enquetes/{asked.pk}/").content.decode()
    assert stays.convention.ref in page and other.convention.ref in page and patient not in page
    assert signed_in(stays.person).get(f"/enquetes/{asked.pk}/").status_code == 404
    assert GateDecision.objects.count() == before
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event WHERE payload LIKE '%trace.ask%'")
        assert cursor.fetchone()[0] == 1
        cursor.execute("SELECT count(*) FROM audit_event WHERE payload LIKE %s", [f"%{patient}%"])
        assert cursor.fetchone()[0] == 0


def test_a_person_nobody_knows_is_in_no_release(stays, steward):
    delivered(stays)

    asked = inquiries.trace(stays.convention.zone, by=steward, local_id="999999999999")
    tasks.answer_inquiry(str(asked.pk))

    asked.refresh_from_db()
    assert asked.status == "answered" and asked.found == {"releases": []}


def test_nobody_asks_more_than_twenty_times_an_hour(stays, steward):
    for _time in range(inquiries.AN_HOUR):
        inquiries.trace(stays.convention.zone, by=steward, local_id="1")

    with pytest.raises(WrongState, match="Vingt"):
        inquiries.trace(stays.convention.zone, by=steward, local_id="1")


def test_an_experimenter_traces_nobody(stays):
    with pytest.raises(NotAllowed):
        inquiries.trace(stays.convention.zone, by=stays.person, local_id="1")

    assert not Inquiry.objects.exists()


def test_leaked_lines_are_traced_to_their_convention_in_seconds(stays, steward):
    other = second_convention(stays)
    first, second = delivered(stays), delivered(other)
    operator = factories.user(organisation=stays.convention.zone.operator)
    grants.give(operator, "zones.operate", stays.convention.zone, by=SYSTEM)
    leaked = sorted(pseudonyms_in(other, second))[:99]
    text = "\n".join(f"{one},1,Female,[70-80)" for one in leaked) + "\n" + "0" * 32
    begun = clock.real_now()

    asked = inquiries.look_for_leak(stays.convention.zone, by=operator, text=text)
    tasks.answer_inquiry(str(asked.pk))

    asked.refresh_from_db()
    assert (clock.real_now() - begun).total_seconds() < 5
    assert asked.found["origins"] == [
        {"convention": other.convention.pk, "lines": 99, "by_mark": False, "releases": [str(second.pk)]}
    ]
    assert asked.found["unknown"] == 1
    assert first.pk not in asked.found["origins"][0]["releases"]


def test_a_leaked_manifest_is_traced_by_its_mark(stays):
    release = delivered(stays)
    operator = factories.user(organisation=stays.convention.zone.operator)
    grants.give(operator, "zones.operate", stays.convention.zone, by=SYSTEM)

    asked = inquiries.look_for_leak(stays.convention.zone, by=operator, text=release.manifest["watermark"])
    tasks.answer_inquiry(str(asked.pk))

    asked.refresh_from_db()
    assert [(o["convention"], o["by_mark"]) for o in asked.found["origins"]] == [(stays.convention.pk, True)]


def test_a_convention_whose_key_is_destroyed_is_named_as_beyond_reach(stays):
    release = delivered(stays)
    operator = factories.user(organisation=stays.convention.zone.operator)
    grants.give(operator, "zones.operate", stays.convention.zone, by=SYSTEM)
    leaked = sorted(pseudonyms_in(stays, release))[:3]
    KeyStore(settings.KEY_STORE).destroy("pseudonym", f"convention:{stays.convention.pk}")

    asked = inquiries.look_for_leak(stays.convention.zone, by=operator, text=" ".join(leaked))
    tasks.answer_inquiry(str(asked.pk))

    asked.refresh_from_db()
    assert asked.found["origins"] == [] and asked.found["destroyed"] == [stays.convention.pk]


def test_a_named_person_starts_the_rebuild_once_and_a_stranger_never(stays, steward):
    release = delivered(stays)
    with pytest.raises(WrongState, match="à jour"):
        rebuilds.start(release, by=stays.person)
    says_no(stays, steward, a_patient_in((stays, release)))

    with pytest.raises(NotAllowed):
        rebuilds.start(release, by=factories.user())
    rebuilds.start(release, by=stays.person)

    with pytest.raises(WrongState, match="déjà"):
        rebuilds.start(release, by=stays.person)
    assert rebuilds.stale() == []


def test_a_release_nobody_took_brings_no_order(stays, steward):
    release = releasing.built(stays)

    says_no(stays, steward, a_patient_in((stays, release)))

    assert withdrawals.owing() == []
    assert [one.pk for one in rebuilds.stale()] == [release.pk]


def test_only_the_representative_attests_once_and_in_words(stays, steward):
    release = delivered(stays)
    says_no(stays, steward, a_patient_in((stays, release)))
    tasks.order_withdrawal(stays.convention.pk)
    order = WithdrawalOrder.objects.get()
    signatory = stays.convention.application.created_by

    with pytest.raises(NotAllowed):
        withdrawals.attest(order, by=stays.person, text="Retiré de la bulle et des sauvegardes par nos soins.")
    withdrawals.attest(order, by=signatory, text="Retiré de la bulle et des sauvegardes par nos soins.")

    with pytest.raises(WrongState):
        withdrawals.attest(order, by=signatory, text="Retiré de la bulle et des sauvegardes par nos soins.")
    for change in ({"pseudonyms": []}, {"attestation": "autre chose que ce qui fut dit"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            WithdrawalOrder.objects.update(**change)


def test_the_pages_of_an_order_tell_the_pseudonym_to_its_recipient_alone(stays, steward):
    release = delivered(stays)
    says_no(stays, steward, a_patient_in((stays, release)))
    tasks.order_withdrawal(stays.convention.pk)
    order = WithdrawalOrder.objects.get()

    mine = signed_in(stays.person).get(f"/ordres-de-retrait/{order.pk}/").content.decode()
    operators = signed_in(steward).get(f"/ordres-de-retrait/{order.pk}/").content.decode()

    assert order.pseudonyms[0] in mine
    assert order.pseudonyms[0] not in operators
    assert signed_in(factories.user()).get(f"/ordres-de-retrait/{order.pk}/").status_code == 404


def test_the_database_refuses_a_rebuild_of_another_convention_s_release(stays):
    other = second_convention(stays)
    release, stranger = releasing.built(stays), releasing.built(other)

    with pytest.raises(DatabaseError, match="it replaces"), transaction.atomic():
        Release.objects.create(
            convention=release.convention, dataset_version=release.dataset_version, decision=release.decision,
            ruleset_version=release.ruleset_version, recipe=release.recipe, recipe_sha256=release.recipe_sha256,
            delivery_mode=release.delivery_mode, requested_by=release.requested_by, replaces=stranger,
        )  # fmt: skip
    with pytest.raises(DatabaseError, match="release_once_for_its_decision"), transaction.atomic():
        Release.objects.create(
            convention=release.convention, dataset_version=release.dataset_version, decision=release.decision,
            ruleset_version=release.ruleset_version, recipe=release.recipe, recipe_sha256=release.recipe_sha256,
            delivery_mode=release.delivery_mode, requested_by=release.requested_by,
        )  # fmt: skip


def test_nothing_ties_a_token_to_a_pseudonym(stays, steward):
    release = delivered(stays)
    patient = a_patient_in((stays, release))
    says_no(stays, steward, patient)
    tasks.order_withdrawal(stays.convention.pk)
    own, token = WithdrawalOrder.objects.get().pseudonyms[0], TraceEntry.objects.filter(release=release).first().token

    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        holding: dict[str, set[str]] = {"pseudonym": set(), "token": set()}
        for table in tables:
            cursor.execute("SELECT has_table_privilege(%s, 'SELECT')", [f'"{table}"'])
            if not cursor.fetchone()[0]:
                continue
            for name, value in (("pseudonym", own), ("token", bytes(token).hex())):
                cursor.execute(f'SELECT 1 FROM "{table}" t WHERE t::text LIKE %s LIMIT 1', [f"%{value}%"])
                if cursor.fetchone():
                    holding[name].add(table)

    assert holding["pseudonym"] == {"releases_withdrawalorder"}
    assert holding["token"] <= {"releases_traceentry", "consent_opposition"}
    assert Delivery.objects.exists()


def test_scenario_29_reinforced_codes_leave_empty_and_the_receipt_counts_them(stays):
    import csv
    import gzip

    release = releasing.built(stays)

    assert release.status == "ready", release.problem
    receipt = release.receipts.get(obligation="blank_reinforced_codes")
    assert receipt.is_done and receipt.count > 0
    assert receipt.figures["classes"]["diag_1"] == ["hiv", "psychiatry", "addiction", "sexual_health", "violence"]
    names, rows = read_output(stays.inputs(release).clear, "parquet")
    left = {row[names.index("diag_1")] for row in rows}
    with gzip.open(stays.source, "rt", newline="") as lines:
        in_source = {row["diag_1"] for row in csv.DictReader(lines)}
    # 295 schizophrenia, 296 mood, 303 alcohol, 648 pregnancy, V25 contraception are in the file and not in the release
    assert {"295", "296", "303", "648"} <= in_source
    assert not left & {"042", "42", "295", "296", "303", "304", "305", "648", "642", "V25", "V26"}
    assert "428" in left  # heart failure stays: an ordinary care value
    assert recompute(stays.inputs(release)).failed == []


def test_scenario_29_a_class_approved_by_itself_leaves(fresh_database, django_db_blocker, tmp_path):
    (tmp_path / "keys").mkdir(mode=0o700)
    with (
        django_db_blocker.unblock(),
        override_settings(
            KEY_STORE=str(tmp_path / "keys"), SOURCES=tmp_path / "sources", RELEASES=tmp_path / "releases",
            SCRATCH=tmp_path / "scratch",
        ),
    ):  # fmt: skip
        treatment = {"kind": "keep", "codes": "icd9cm", "classes": ["psychiatry"]}
        ready = releasing.convention_on_stays(tmp_path, treatments={"diag_1": treatment}, approved=("diag_1",))

        release = releasing.built(ready)

        assert release.status == "ready", release.problem
        names, rows = read_output(ready.inputs(release).clear, "parquet")
        left = {row[names.index("diag_1")] for row in rows}
        assert "296" in left and not left & {"303", "648"}
        assert recompute(ready.inputs(release)).failed == []


def test_scenario_12_minors_are_excluded_and_counted_to_the_operator_only(stays, steward):
    release = releasing.built(stays)

    receipt = release.receipts.get(obligation="exclude_minors")
    told = str(receipt.count)
    operators = signed_in(steward).get(f"/remises/{release.pk}/").content.decode()
    experimenters = signed_in(stays.person).get(f"/remises/{release.pk}/").content.decode()

    assert receipt.is_done and receipt.count == release.dropped["minor"] > 0
    assert f'id="receipt-exclude_minors">{told}<' in operators
    assert 'id="receipt-exclude_minors"' not in experimenters
    assert "count" not in next(r for r in release.manifest["receipts"] if r["obligation"] == "exclude_minors")


def test_scenario_1_the_release_comes_with_its_obligations_receipts_and_rule_set(stays):
    release = releasing.built(stays)

    decision = release.decision
    owed = {item["rule"] for item in decision.obligations}
    assert decision.effect == "permit_with_obligations"
    assert owed == {"G26", "G28", "G29", "G30", "G39"}
    done = dict(release.receipts.values_list("obligation", "is_done"))
    assert {item["name"] for item in decision.obligations} <= {name for name, is_done in done.items() if is_done}
    assert release.ruleset_version == decision.ruleset_version == "2026.11.0"
    assert release.manifest["ruleset"]["sha256"] == decision.ruleset_sha256


def test_a_withdrawal_order_past_its_day_stops_every_access_of_the_organisation(stays):
    release = releasing.built(stays)
    WithdrawalOrder.objects.create(
        convention=stays.convention, pseudonyms=["x"], due_on=clock.today() - timedelta(days=1)
    )

    with pytest.raises(Refused) as refused:
        stays.ask()

    assert [reason.code for reason in refused.value.reasons] == ["G38"]
    assert f"un ordre de retrait de {release.convention.ref}" in refused.value.reasons[0].message


def test_withdrawals_are_asked_once_for_each_convention(stays, steward):
    release = delivered(stays)
    says_no(stays, steward, a_patient_in((stays, release)))

    withdrawals.ask(stays.convention.zone)
    withdrawals.ask(stays.convention.zone)

    with connection.cursor() as cursor:
        cursor.execute("SELECT queue_name, status FROM procrastinate_jobs WHERE task_name LIKE '%order_withdrawal'")
        assert cursor.fetchall() == [("subjects", "todo")]
