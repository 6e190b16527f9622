"""Objections: in force at once, and the local identifier is written nowhere."""

import logging
from datetime import UTC, datetime

import pyrage
import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.epoch.actions import epoch_of
from broker.errors import BadInput, NotAllowed, WrongState
from broker.keys import subject
from broker.keys.store import KeyStore
from consent import facts, oppositions
from consent.models import ObjectionRequest, Opposition, SealedRequest
from consent.tasks import record_sealed_request
from tests import factories
from tests.actors import signed_in

pytestmark = pytest.mark.django_db
SECRET_NUMBER = "88776655443"


@pytest.fixture
def store(tmp_path, settings):
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    settings.KEY_STORE = str(folder)
    return KeyStore()


@pytest.fixture
def zone(store):
    made = factories.zone()
    for purpose in ("source", "token"):
        store.create(purpose, f"zone:{made.pk}")
    return made


@pytest.fixture
def steward(zone):
    person = factories.user("Paul", organisation=zone.operator)
    grants.give(person, "zones.steward", zone, by=SYSTEM)
    return person


def taken(zone, steward, **facts):
    request = oppositions.receive(zone, by=steward, **{"local_id": SECRET_NUMBER, **facts})
    record_sealed_request(request.pk)
    return request


def test_an_opposition_is_in_force_as_soon_as_the_worker_has_opened_it(zone, steward, store):
    dataset = factories.dataset(zone)
    before = epoch_of([("zone", str(zone.pk))])

    request = oppositions.receive(zone, by=steward, local_id=f" {SECRET_NUMBER} ")
    assert oppositions.state_of(zone, request.receipt)[0] == "waiting"
    record_sealed_request(request.pk)

    expected = subject.token(store.open("token", f"zone:{zone.pk}"), SECRET_NUMBER)
    assert oppositions.tokens_in_force(zone, dataset, clock.now()) == [expected]
    assert oppositions.state_of(zone, request.receipt) == ("in_force", request.created_at)
    assert epoch_of([("zone", str(zone.pk))]) > before
    assert not SealedRequest.objects.exists()


@pytest.mark.parametrize(
    ("received", "latest"),
    [
        (datetime(2026, 11, 20, 22, 59, tzinfo=UTC), datetime(2026, 11, 21, 1, 0, tzinfo=UTC)),
        (datetime(2026, 11, 20, 23, 0, tzinfo=UTC), datetime(2026, 11, 22, 1, 0, tzinfo=UTC)),
        (datetime(2026, 6, 1, 8, 0, tzinfo=UTC), datetime(2026, 6, 2, 0, 0, tzinfo=UTC)),
    ],
    ids=["one minute before midnight in Paris", "at midnight", "in summer"],
)
def test_the_legal_limit_is_two_in_the_morning_of_the_next_day_in_paris(received, latest):
    assert oppositions.limit(received) == latest
    assert oppositions.effective_at(received) == received < latest


def test_an_opposition_to_one_dataset_leaves_the_others(zone, steward):
    stays, staff = factories.dataset(zone), factories.dataset(zone)

    taken(zone, steward, dataset=stays)

    assert len(oppositions.tokens_in_force(zone, stays, clock.now())) == 1
    assert oppositions.tokens_in_force(zone, staff, clock.now()) == []


def test_an_opposition_of_another_zone_does_not_count(zone, steward):
    taken(zone, steward)

    elsewhere = factories.dataset()

    assert oppositions.tokens_in_force(elsewhere.zone, elsewhere, clock.now()) == []


def test_the_same_person_may_say_no_twice_and_is_kept_once(zone, steward):
    taken(zone, steward)
    second = taken(zone, steward)

    record_sealed_request(second.pk)

    assert Opposition.objects.count() == 1
    assert not SealedRequest.objects.exists()


def test_a_waiting_request_ages_the_register_that_the_gate_reads(zone, steward):
    convention = factories.convention(factories.offer(factories.dataset(zone)))
    request = oppositions.receive(zone, by=steward, local_id=SECRET_NUMBER)
    now = clock.now()

    assert the_case(convention, now).oppositions_synced_at == request.created_at
    record_sealed_request(request.pk)
    assert the_case(convention, now).oppositions_synced_at == now


def the_case(convention, now):
    return facts.case(
        "release_create", by=convention.named_persons.get().user, convention=convention,
        version=convention.offer.dataset.versions.get(), columns=["age"], purpose_kind="experimentation",
        purpose_code="", second_factor_at=now, address="", delivery_mode="environment", now=now,
    )  # fmt: skip


def test_a_stranger_to_the_desk_takes_no_opposition(zone):
    with pytest.raises(NotAllowed):
        oppositions.receive(zone, by=factories.user(), local_id=SECRET_NUMBER)

    assert not SealedRequest.objects.exists()


def test_an_empty_number_and_a_zone_without_a_key_are_told(steward, zone):
    with pytest.raises(BadInput):
        oppositions.receive(zone, by=steward, local_id="  ")
    with pytest.raises(WrongState):
        oppositions.receive(factories.zone(), by=steward, local_id=SECRET_NUMBER)


def everything_written():
    """Every row of every table, as text: what anybody with the database could read."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            for (row,) in cursor.fetchall():
                yield table, row


def test_the_identifier_is_written_nowhere(zone, steward, caplog):
    caplog.set_level(logging.DEBUG)
    desk = signed_in(steward)
    address = reverse("opposition-create", args=[zone.slug])

    answer = desk.post(address, {"local_id": SECRET_NUMBER, "identity_checked": "on"})

    hexadecimal = SECRET_NUMBER.encode().hex()
    request = SealedRequest.objects.get()
    assert answer.status_code == 302 and SECRET_NUMBER not in answer["Location"]
    for moment in ("sealed", "recorded"):
        found = [table for table, row in everything_written() if SECRET_NUMBER in row or hexadecimal in row]
        assert found == [], moment
        record_sealed_request(request.pk)
    assert SECRET_NUMBER not in caplog.text
    assert SECRET_NUMBER not in desk.get(answer["Location"]).content.decode()


def test_a_refused_form_does_not_show_the_identifier_again(zone, steward):
    answer = signed_in(steward).post(reverse("opposition-create", args=[zone.slug]), {"local_id": SECRET_NUMBER})

    assert answer.status_code == 422
    assert SECRET_NUMBER not in answer.content.decode()


def test_an_error_report_hides_the_identifier(zone, steward, rf, monkeypatch):
    from django.views.debug import ExceptionReporter

    from consent.views import subjects

    def broken(*_args, **_facts):
        raise ZeroDivisionError

    monkeypatch.setattr(oppositions, "_receive", broken)
    request = rf.post("/", {"local_id": SECRET_NUMBER, "identity_checked": "on"})
    request.user, request.session = steward, {}
    try:
        subjects.opposition_create(request, zone.slug)
    except ZeroDivisionError as error:
        report = ExceptionReporter(request, type(error), error, error.__traceback__).get_traceback_text()

    assert "local_id" in report
    assert SECRET_NUMBER not in report


def test_the_page_of_a_receipt_says_since_when_it_is_in_force(zone, steward):
    desk, address = signed_in(steward), reverse("opposition-create", args=[zone.slug])
    answer = desk.post(address, {"local_id": SECRET_NUMBER, "identity_checked": "on"})
    assert "Elle prend effet dans un instant" in desk.get(answer["Location"]).content.decode()

    record_sealed_request(SealedRequest.objects.get().pk)

    assert "Aucune nouvelle remise ne contient cette personne" in desk.get(answer["Location"]).content.decode()
    assert "Récépissé" not in desk.get(f"{address}?recepisse=inconnu").content.decode()


def test_the_notice_of_a_convention_is_public_and_complete(client):
    convention = factories.convention()

    page = client.get(reverse("convention-notice", args=[convention.ref])).content.decode()

    for said in (convention.organisation.name, convention.zone.name, convention.zone.dpo_email, "CNIL", "patient_nbr"):
        assert said in page


def test_a_notice_that_is_not_online_is_not_there(client):
    convention = factories.convention(notice_published_at=None)

    assert client.get(reverse("convention-notice", args=[convention.ref])).status_code == 404


def test_a_clear_identifier_is_refused_by_the_database(zone, steward):
    with pytest.raises(DatabaseError, match="sealed_request_is_sealed"), transaction.atomic():
        SealedRequest.objects.create(zone=zone, receipt="r", sealed=SECRET_NUMBER.encode(), recorded_by=steward)
    with pytest.raises(DatabaseError, match="opposition_token_is_keyed"), transaction.atomic():
        Opposition.objects.create(
            zone=zone, receipt="r", token=SECRET_NUMBER.encode(), recorded_by=steward, effective_at=clock.now()
        )


def test_another_zone_s_key_does_not_open_a_request(zone, steward, store):
    request = oppositions.receive(zone, by=steward, local_id=SECRET_NUMBER)
    store.create("source", "zone:999999")
    stranger = pyrage.x25519.Identity.from_str(store.open("source", "zone:999999").decode())

    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(bytes(request.sealed), [stranger])


# On the public page, without an account


def said_no(zone, browser, **facts):
    address = reverse("objection-create", args=[zone.slug])
    return browser.post(address, {"local_id": SECRET_NUMBER, "speaks": "self", "contact": "guichet 3", **facts})


def test_an_inhabitant_says_no_without_an_account_and_the_operator_confirms(zone, steward, store, client, caplog):
    caplog.set_level(logging.DEBUG)
    dataset = factories.dataset(zone)

    answer = said_no(zone, client)
    receipt = answer["Location"].partition("recepisse=")[2]
    page = client.get(answer["Location"]).content.decode()

    # a receipt at once, nothing in force, the number nowhere
    assert receipt in page and 'data-state="identity"' in page
    assert oppositions.tokens_in_force(zone, dataset, clock.now()) == []
    hexadecimal = SECRET_NUMBER.encode().hex()
    assert [t for t, row in everything_written() if SECRET_NUMBER in row or hexadecimal in row] == []
    assert SECRET_NUMBER not in caplog.text

    desk = signed_in(steward)
    listed = desk.get(reverse("objection-list", args=[zone.slug])).content.decode()
    assert receipt in listed and "guichet 3" in listed and SECRET_NUMBER not in listed
    desk.post(reverse("objection-list", args=[zone.slug]), {"confirm": receipt})
    record_sealed_request(SealedRequest.objects.get().pk)

    # the very token that the desk's own form would have made
    expected = subject.token(store.open("token", f"zone:{zone.pk}"), SECRET_NUMBER)
    assert oppositions.tokens_in_force(zone, dataset, clock.now()) == [expected]
    assert 'data-state="in_force"' in client.get(answer["Location"]).content.decode()
    asked = ObjectionRequest.objects.get()
    assert bytes(asked.sealed) == b"" and asked.contact == ""


def test_a_dismissed_objection_says_why_to_who_holds_the_receipt(zone, steward, client):
    answer = said_no(zone, client)
    receipt = answer["Location"].partition("recepisse=")[2]
    desk, address = signed_in(steward), reverse("objection-list", args=[zone.slug])

    assert desk.post(address, {"dismiss": receipt, "reason": " "}).status_code == 422
    desk.post(address, {"dismiss": receipt, "reason": "Personne ne s'est présenté."})

    assert "Personne ne s&#x27;est présenté." in client.get(answer["Location"]).content.decode()
    with pytest.raises(WrongState):
        oppositions.confirm(ObjectionRequest.objects.get(), by=steward)
    assert not SealedRequest.objects.exists()


def test_one_address_does_not_flood_a_zone(zone, client):
    statuses = [said_no(zone, client).status_code for _time in range(11)]

    assert statuses == [302] * 10 + [409]


def test_a_person_who_changes_their_mind_gives_their_receipt_at_the_desk(zone, steward):
    dataset = factories.dataset(zone)
    request = taken(zone, steward)
    before = epoch_of([("zone", str(zone.pk))])
    address = reverse("opposition-undo", args=[zone.slug])

    wrong = signed_in(steward).post(address, {"receipt": "0" * 26, "identity_checked": "on"})
    done = signed_in(steward).post(address, {"receipt": request.receipt.lower(), "identity_checked": "on"})

    assert wrong.status_code == 422 and done.status_code == 302
    assert oppositions.tokens_in_force(zone, dataset, clock.now()) == []
    assert oppositions.state_of(zone, request.receipt)[0] == "withdrawn"
    assert epoch_of([("zone", str(zone.pk))]) > before


def test_the_database_keeps_nothing_of_a_decided_objection(zone, steward):
    asked = oppositions.request(zone, local_id=SECRET_NUMBER, dataset=None, speaks="self", contact="x")

    with pytest.raises(DatabaseError, match="objection_decided_forgets"), transaction.atomic():
        ObjectionRequest.objects.filter(pk=asked.pk).update(
            status="confirmed", decided_at=clock.now(), decided_by=steward
        )
