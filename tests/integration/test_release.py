"""A release of real stays, from the request to its bytes: built by the real engine, judged by the second program."""

import hashlib
import hmac

import pyrage
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.client import ClientHandler

from broker import clock
from broker.accounts import machines
from broker.accounts.models import MachineCredential
from broker.audit.search import references_of
from broker.epoch.actions import raise_epoch
from broker.errors import Refused, WrongState
from broker.keys.store import KeyStore
from broker.releases import actions, delivery, store, tasks
from broker.releases.models import Delivery, Release, TraceEntry
from consent.models import GateDecision, Opposition, QuotaUse
from tests import factories, releasing
from tests.actors import signed_in
from tests.logs import rows
from tests.recompute import recompute


def object_(ready, local_id: str) -> None:
    """The patient `local_id` objects, as the desk records it."""
    zone = ready.convention.zone
    key = KeyStore(settings.KEY_STORE).open("token", f"zone:{zone.pk}")
    Opposition.objects.create(
        zone=zone, token=hmac.digest(key, local_id.encode(), "sha256"), receipt=f"R{local_id}",
        recorded_by=factories.user(), effective_at=clock.now(),
    )  # fmt: skip


def credential_of(ready) -> str:
    secret = machines.new_secret()
    MachineCredential.objects.create(
        environment=ready.convention.environment, name="extraction", secret_sha256=machines.digest_of(secret),
        created_by=ready.person,
    )  # fmt: skip
    return f"{machines.SCHEME} {secret}"


class AtDelivery(ClientHandler):
    """The test client's door to the delivery server: its routes for a request, the site's for everything else."""

    def get_response(self, request):
        request.urlconf = delivery.URLS
        return super().get_response(request)


def pull(order, secret: str, **headers):
    machine = Client()
    machine.handler = AtDelivery(enforce_csrf_checks=False)
    return machine.get(f"/ordres/{order.pk}/", headers={"Authorization": secret, **headers})


def test_a_release_is_what_the_second_program_recomputes(stays):
    object_(stays, "8222157")
    object_(stays, "86047875")

    release = releasing.built(stays)

    assert release.status == "ready", release.problem
    assert recompute(stays.inputs(release)).failed == []
    assert release.dropped["opposed"] > 0 and release.dropped["minor"] > 0
    assert release.k_min >= 5
    assert TraceEntry.objects.filter(release=release).count() == release.subjects_out
    owed = set(actions.obligations_of(release.decision))
    assert {"apply_profile", "exclude_opposed_subjects", "exclude_minors", "generalise_or_suppress"} < owed
    done = set(release.receipts.filter(is_done=True).values_list("obligation", flat=True))
    assert done == owed | {"blank_reinforced_codes"}
    assert not list(settings.SCRATCH.iterdir()), "scratch holds clear identifiers and must be gone"


def test_two_releases_of_one_recipe_hold_the_same_bytes(stays):
    first, second = releasing.built(stays), releasing.built(stays)

    assert first.recipe_sha256 == second.recipe_sha256
    assert first.clear_sha256 == second.clear_sha256
    assert first.sha256 != second.sha256, "each is sealed anew"


def test_a_refused_request_makes_no_release_and_is_recorded_with_every_reason(stays):
    stays.convention.status = "suspended"
    stays.convention.save(update_fields=["status"])

    with pytest.raises(Refused) as refused:
        stays.ask()

    assert "G10" in [reason.code for reason in refused.value.reasons]
    assert not Release.objects.exists()
    assert GateDecision.objects.get().effect == "deny"


def test_a_column_outside_the_offer_is_refused_by_the_gate_that_keeps_it(stays):
    with pytest.raises(Refused, match="weight") as refused:
        stays.ask(["age", "weight"])

    assert [reason.code for reason in refused.value.reasons] == ["G21"]
    assert GateDecision.objects.get().columns == ["age", "weight"]


def test_reinforced_sensitivity_without_its_approval_never_leaves(stays):
    release = releasing.built(stays, [*releasing.ASKED, "race"])

    assert release.status == "ready", release.problem
    assert {c["name"]: c["treatment"]["kind"] for c in release.recipe["columns"]}["race"] == "drop"
    assert recompute(stays.inputs(release)).failed == []


def test_a_build_that_cannot_reach_k_says_how_to_mend_it(stays):
    stays.convention.offer = factories.offer(
        stays.convention.offer.dataset, columns=releasing.ASKED,
        treatments={name: {"kind": "category"} for name in ("num_lab_procedures", "num_medications")},
    )  # fmt: skip
    stays.convention.save(update_fields=["offer"])
    for name in ("num_lab_procedures", "num_medications"):
        column = stays.convention.offer.dataset.columns.get(name=name)
        column.role = "quasi_identifier"
        column.save(update_fields=["role"])

    release = releasing.built(stays)

    assert release.status == "failed"
    assert "Réduisez la précision" in release.problem
    assert release.stored_as == "" and not list((settings.RELEASES / "experimental").iterdir())


def test_a_worker_killed_during_a_build_leaves_nothing_and_the_next_attempt_succeeds(stays):
    release = actions.begin(stays.ask(), by=actions.WORKER)
    store.attempt_path(release).write_bytes(b"half")
    (settings.SCRATCH / "build-left").mkdir(parents=True)

    tasks.build(release)

    release.refresh_from_db()
    assert (release.status, release.attempt) == ("ready", 2)
    assert [path.name for path in (settings.RELEASES / "experimental").iterdir()] == [release.stored_as]
    assert not (settings.SCRATCH / "build-left").exists()


def test_an_attempt_that_was_overtaken_cannot_finish(stays):
    old = actions.begin(stays.ask(), by=actions.WORKER)
    actions.begin(old, by=actions.WORKER)

    with pytest.raises(Exception, match="autre tentative"):
        actions.finish(old, by=actions.WORKER, result={}, mark="", tokens=b"", stored_as="x")


def test_an_environment_pulls_once_with_an_order_and_its_bytes_open(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())

    answer = pull(order, secret)
    received = b"".join(answer.streaming_content)
    again = pull(order, secret)

    assert answer.status_code == 200
    assert hashlib.sha256(received).hexdigest() == release.sha256 == answer["ETag"].strip('"')
    assert (again.status_code, again["Content-Type"]) == (403, "application/problem+json")
    ended = Delivery.objects.get()
    assert (ended.outcome, ended.bytes_sent) == ("complete", len(received))
    assert ended.decision.action == "release_download"


def test_the_log_names_the_machine_and_the_person_whose_order_it_executed(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())

    b"".join(pull(order, secret).streaming_content)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payload::json->'actor'->>'id', payload::json->>'on_behalf' FROM audit_event"
            " WHERE payload::json->>'act' IN ('data.download', 'data.download_end')"
        )
        said = cursor.fetchall()
    named = {(refs[machine], refs[person]) for refs in [references_of([t for row in said for t in row])]
             for machine, person in said}  # fmt: skip
    assert named == {(f"credential:{MachineCredential.objects.get().pk}", f"user:{stays.person.pk}")}
    assert len(said) == 2


def test_without_an_order_of_its_own_environment_a_credential_gets_nothing(stays):
    release = releasing.built(stays)
    secret = credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    other = factories.environment()
    stranger = machines.new_secret()
    MachineCredential.objects.create(
        environment=other, name="autre", secret_sha256=machines.digest_of(stranger), created_by=factories.user()
    )

    assert pull(order, f"{machines.SCHEME} {stranger}").status_code == 403
    assert pull(order, "Terrain-Machine " + "x" * 43).status_code == 401
    assert not Delivery.objects.exists()
    assert pull(order, secret).status_code == 200


def test_an_interrupted_download_goes_on_by_range_with_the_same_order(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    first = pull(order, secret)
    begun = next(iter(first.streaming_content))
    first.close()

    rest = pull(order, secret, Range=f"bytes={len(begun)}-")

    assert rest.status_code == 206
    assert hashlib.sha256(begun + b"".join(rest.streaming_content)).hexdigest() == release.sha256


def test_a_download_that_is_resumed_counts_once_in_the_quota(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    used = QuotaUse.objects.filter(given_back_at=None).count()
    received = b""

    while len(received) < release.size:
        answer = pull(order, secret, Range=f"bytes={len(received)}-", **{"If-Range": f'"{release.sha256}"'})
        received += next(iter(answer.streaming_content))
        answer.close()

    assert hashlib.sha256(received).hexdigest() == release.sha256
    assert Delivery.objects.count() > 1
    assert QuotaUse.objects.filter(given_back_at=None).count() == used + 1


def test_a_range_past_the_end_says_where_it_is_and_one_nobody_knows_is_ignored(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())

    past = pull(order, secret, Range=f"bytes={release.size}-")
    other_file = pull(order, secret, Range="bytes=5-", **{"If-Range": '"another"'})
    b"".join(other_file.streaming_content)
    again = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    several = pull(again, secret, Range="bytes=0-9,20-29")

    assert (past.status_code, past["Content-Range"]) == (416, f"bytes */{release.size}")
    assert (other_file.status_code, other_file["Content-Length"]) == (200, str(release.size))
    assert (several.status_code, hashlib.sha256(b"".join(several.streaming_content)).hexdigest()) == (
        200, release.sha256,
    )  # fmt: skip


def test_a_machine_reads_how_far_its_release_is_and_no_other(stays):
    release, secret = stays.ask(), credential_of(stays)

    def told(authorization):
        machine = Client()
        machine.handler = AtDelivery(enforce_csrf_checks=False)
        return machine.get(f"/remises/{release.pk}/etat/", headers={"Authorization": authorization})

    waiting = told(secret).json()
    tasks.build(release)
    ready = told(secret).json()

    assert (waiting["status"], waiting["sha256"]) == ("queued", "")
    release.refresh_from_db()
    assert (ready["status"], ready["sha256"], ready["percent"]) == ("ready", release.sha256, 100)
    assert ready["kept_until"] == release.kept_until.isoformat()
    assert told("Terrain-Machine " + "x" * 43).status_code == 401
    stranger = machines.new_secret()
    MachineCredential.objects.create(
        environment=factories.environment(), name="autre", secret_sha256=machines.digest_of(stranger),
        created_by=factories.user(),
    )  # fmt: skip
    assert told(f"{machines.SCHEME} {stranger}").status_code == 403


def test_a_machine_that_leaves_before_the_first_byte_gets_its_unit_back(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())

    answer = pull(order, secret)
    answer.close()

    left = Delivery.objects.get()
    assert (left.outcome, left.bytes_sent) == ("interrupted", 0)
    assert left.ended_at is not None
    assert left.decision.quota_use.given_back_at is not None


def test_a_stream_is_cut_when_access_ends_and_sends_nothing_more(stays, monkeypatch):
    monkeypatch.setattr(delivery, "CHECK_BYTES", 64 * 1024)
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    answer = pull(order, secret)
    pieces = iter(answer.streaming_content)
    sent = len(next(pieces))

    raise_epoch(("convention", str(stays.convention.pk)))

    with pytest.raises(delivery.Cut):
        next(pieces)
    answer.close()
    ended = Delivery.objects.get()
    assert (ended.outcome, ended.bytes_sent) == ("cut", sent)
    assert sent < release.size


def test_an_objection_after_the_build_refuses_the_release_that_holds_the_person(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    object_(stays, "2278392")  # nobody's number: not in the file

    untouched = pull(order, secret)
    b"".join(untouched.streaming_content)
    object_(stays, "82442376")
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    refused = pull(order, secret)

    assert untouched.status_code == 200
    assert refused.status_code == 403
    assert [reason["code"] for reason in refused.json()["reasons"]] == ["G26"]


def test_nothing_but_a_recorded_permit_opens_a_stored_release(stays):
    release = releasing.built(stays)

    for forged in (release, release.decision, None, object()):
        with pytest.raises(TypeError):
            store.open(forged)


def test_a_build_whose_worker_is_silent_goes_back_to_the_queue(stays):
    from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinateWorker

    stays.ask()
    job = ProcrastinateJob.objects.get(queue_name="builds")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '5 minutes') RETURNING id"
        )
        worker = cursor.fetchone()[0]
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id = %s", [worker, job.pk])

    tasks.retry_stalled(0)

    assert ProcrastinateJob.objects.get(pk=job.pk).status == "todo"
    assert ProcrastinateWorker.objects.filter(pk=worker).exists()


def test_sealed_data_leave_by_an_order_only_never_by_a_download(stays):
    release = releasing.built(stays)
    browser = signed_in(stays.person)

    page = browser.get(f"/remises/{release.pk}/")
    browser.handler = AtDelivery(enforce_csrf_checks=False)
    answer = browser.post(f"/telecharger/{release.pk}/")

    assert b"order-form" in page.content and b"download-form" not in page.content
    assert answer.status_code == 302
    assert not Delivery.objects.exists()


def test_a_release_sealed_to_a_key_that_was_replaced_is_not_handed_over(stays):
    release, secret = releasing.built(stays), credential_of(stays)
    order = actions.give_order(release, by=stays.person, second_factor_at=clock.now())
    environment = stays.convention.environment
    environment.age_recipient = str(pyrage.x25519.Identity.generate().to_public())
    environment.save(update_fields=["age_recipient"])

    pulled = pull(order, secret)
    with pytest.raises(WrongState, match="Demandez une nouvelle remise"):
        actions.give_order(Release.objects.get(pk=release.pk), by=stays.person, second_factor_at=clock.now())
    again = releasing.built(stays)

    assert pulled.status_code == 409
    assert "scellé à l'ancienne" in pulled.json()["detail"]
    assert not Delivery.objects.exists()
    refused = rows(
        "SELECT payload::json->>'out' FROM audit_event WHERE payload::json->>'act' = 'data.download'"
        " AND payload::json->'obj'->>'id' = %s", str(release.pk),
    )  # fmt: skip
    assert refused == [("deny",), ("deny",)]
    assert again.manifest["sealed_to"] == [environment.age_recipient]
