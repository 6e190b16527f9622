"""Consents: proven, counted for the operator alone, taken back at once, and the identifier is written nowhere."""

import logging
from datetime import date, timedelta

import pytest
from django.db import DatabaseError, transaction

from broker import clock
from broker.accounts import grants
from broker.audit.actor import SYSTEM
from broker.epoch.actions import epoch_of
from broker.errors import BadInput, NotAllowed, WrongState
from broker.keys import subject
from broker.keys.store import KeyStore
from consent import consents, intake
from consent.models import Consent, ConsentWithdrawal, SealedRequest
from consent.tasks import record_sealed_request
from tests import factories
from tests.integration.test_oppositions import everything_written
from tests.releasing import CURVE_COLUMNS

pytestmark = pytest.mark.django_db
SECRET_NUMBER = "88776655443"
FLEXIBILITY = "energy_flexibility_rnd"
HEADER = "local_id,given_on,proof,purposes"


@pytest.fixture
def store(tmp_path, settings):
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    settings.KEY_STORE = str(folder)
    return KeyStore()


@pytest.fixture
def dataset(store):
    zone = factories.zone("eco_district")
    for purpose in ("source", "token"):
        store.create(purpose, f"zone:{zone.pk}")
    return curves(zone)


def curves(zone, **facts):
    return factories.dataset(
        zone, columns=CURVE_COLUMNS, domains=["energy_metering"], consent_required=True, time_step="fine", **facts
    )


@pytest.fixture
def steward(dataset):
    return staff(dataset, "steward")


def staff(dataset, role):
    person = factories.user("Bruno", organisation=dataset.zone.operator)
    grants.give(person, f"zones.{role}", dataset.zone, by=SYSTEM)
    return person


def agreed(dataset, by, **facts):
    said = {
        "local_id": SECRET_NUMBER, "given_on": clock.today(), "proof": "bulletin 12", "purposes": [FLEXIBILITY],
        "channel": "paper",
    }  # fmt: skip
    request = consents.receive(dataset, by=by, **{**said, **facts})
    record_sealed_request(request.pk)
    return request


def taken_back(dataset, by, **facts):
    request = consents.withdraw_consent(dataset.zone, by=by, **{"local_id": SECRET_NUMBER, "dataset": dataset, **facts})
    record_sealed_request(request.pk)
    return request


def sent(dataset, by, *lines, header=HEADER, content: bytes | None = None):
    content = "\n".join((header, *lines)).encode() if content is None else content
    made = consents.receive_import(
        dataset, by=by, sealed=intake.sealed(dataset.zone, content), file_name="consentements.csv"
    )
    record_sealed_request(SealedRequest.objects.get(receipt=made.receipt).pk)
    made.refresh_from_db()
    return made


def who_agrees(dataset, *, purpose=FLEXIBILITY, category="company", at=None):
    return consents.tokens_in_force(dataset, purpose=purpose, category=category, at=at or clock.now())


# One person


def test_a_consent_is_in_force_as_soon_as_the_worker_has_opened_it(dataset, steward, store):
    request = agreed(dataset, steward)

    expected = subject.token(store.open("token", f"zone:{dataset.zone_id}"), SECRET_NUMBER)
    assert who_agrees(dataset) == [expected]
    assert consents.state_of(dataset, request.receipt) == "in_force"
    assert not SealedRequest.objects.exists()


def test_a_consent_covers_its_purposes_and_its_recipients_alone(dataset, steward):
    agreed(dataset, steward, recipients="public_body")

    assert who_agrees(dataset, category="public_body")
    assert not who_agrees(dataset, category="company")
    assert not who_agrees(dataset, category="public_body", purpose="energy_efficiency_rnd")
    assert not who_agrees(curves(dataset.zone))


def test_the_same_consent_given_twice_is_kept_once(dataset, steward):
    agreed(dataset, steward)
    agreed(dataset, steward)

    assert Consent.objects.count() == 1


def test_taking_back_ends_every_consent_at_once_and_raises_the_epoch(dataset, steward):
    agreed(dataset, steward)
    agreed(dataset, steward, purposes=["energy_efficiency_rnd"])
    before, scope = clock.now(), [("dataset", str(dataset.pk))]
    epoch = epoch_of(scope)

    request = taken_back(dataset, steward)

    assert not who_agrees(dataset) and not who_agrees(dataset, purpose="energy_efficiency_rnd")
    assert who_agrees(dataset, at=before)
    assert epoch_of(scope) > epoch
    assert consents.state_of(dataset, request.receipt) == "withdrawn"


def test_taking_everything_back_reaches_every_dataset_of_the_zone(dataset, steward):
    other = curves(dataset.zone)
    agreed(dataset, steward)
    agreed(other, steward)

    request = consents.withdraw_consent(dataset.zone, by=steward, local_id=SECRET_NUMBER)
    record_sealed_request(request.pk)

    assert not who_agrees(dataset) and not who_agrees(other)


def test_a_consent_given_before_it_was_taken_back_is_never_brought_back(dataset, steward):
    taken_back(dataset, steward)

    agreed(dataset, steward, given_on=clock.today() - timedelta(days=3))
    late = sent(dataset, steward, f"{SECRET_NUMBER},{clock.today() - timedelta(days=2)},bulletin 12,{FLEXIBILITY}")

    assert not who_agrees(dataset)
    assert late.refused == [{"line": 2, "why": "withdrawn"}] and late.recorded == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"given_on": date(2999, 1, 1)}, "Date à venir"),
        ({"proof": ""}, "Référence de la preuve absente"),
        ({"proof": f"bulletin de {SECRET_NUMBER}"}, "contient le numéro"),
        ({"purposes": ["commercial"]}, "Finalité absente ou inconnue"),
        ({"proof_sha256": "abc"}, "64 signes"),
        ({"local_id": "  "}, "Indiquez le numéro"),
    ],
    ids=["in the future", "no proof", "a proof that names the person", "unknown purpose", "bad digest", "no number"],
)
def test_a_consent_that_proves_nothing_is_refused_and_says_how_to_mend_it(dataset, steward, fault, said):
    with pytest.raises(BadInput, match=said):
        agreed(dataset, steward, **fault)

    assert not SealedRequest.objects.exists()


def test_only_the_operators_people_receive_consents(dataset):
    stranger = factories.user("Autre", organisation=factories.organisation("operator"))

    with pytest.raises(NotAllowed):
        agreed(dataset, stranger)
    with pytest.raises(NotAllowed):
        taken_back(dataset, stranger)
    with pytest.raises(NotAllowed):
        sent(dataset, stranger, f"1,2026-01-02,b,{FLEXIBILITY}")


def test_a_dataset_that_does_not_rest_on_consent_takes_none(dataset, steward):
    other = factories.dataset(dataset.zone)

    with pytest.raises(WrongState, match="ne repose pas sur le consentement"):
        agreed(other, steward)


# A whole file


def test_an_import_keeps_good_lines_and_tells_the_others_by_number(dataset, steward):
    made = sent(
        dataset, steward,
        f"{SECRET_NUMBER},2026-01-02,bulletin 1,{FLEXIBILITY}",
        f"22222222,02/01/2026,bulletin 2,{FLEXIBILITY}",
        f",2026-01-02,bulletin 3,{FLEXIBILITY}",
        "33333333,2026-01-02,bulletin 4,commercial",
        f"44444444,2026-01-02,bulletin de 44444444,{FLEXIBILITY}",
        f"55555555,2026-01-02,{FLEXIBILITY}",
        f"66666666,2999-01-02,bulletin 7,{FLEXIBILITY}",
        f"77777777,2026-01-02,,{FLEXIBILITY}",
        f"88888888,2026-01-02,bulletin 9,{FLEXIBILITY}|energy_efficiency_rnd",
        f"{SECRET_NUMBER},2026-01-02,bulletin 1,{FLEXIBILITY}",
    )  # fmt: skip

    assert made.status == "done"
    assert (made.lines, made.recorded, made.already) == (10, 2, 1)
    assert [(one["line"], one["why"]) for one in made.refused] == [
        (3, "date"), (4, "local_id"), (5, "purposes"), (6, "proof_names"), (7, "columns"), (8, "future"), (9, "proof"),
    ]  # fmt: skip
    assert len(who_agrees(dataset)) == 2
    assert not SealedRequest.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "il manque : local_id, given_on, proof, purposes"),
        (b"local_id,given_on,purposes\n1,2026-01-02,x\n", "il manque : proof"),
        (b"local_id,given_on,proof,purposes,name\n", "colonne en trop"),
        (HEADER.encode(), "pas de ligne"),
        (HEADER.encode() + b"\n1,2026-01-02,d\xe9claration,x\n", "UTF-8 : un octet impossible à la ligne 2"),
        (HEADER.encode() + b'\n1,2026-01-02,"bulletin,x\n', "guillemet"),
        (HEADER.encode() + b"\n1,2026-01-02,\x00,x\n", "pas du texte"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "n'est pas"),
    ],
    ids=[
        "empty",
        "a column missing",
        "a column too many",
        "no line",
        "not UTF-8",
        "open quote",
        "a zero",
        "a workbook",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole_and_says_why(dataset, steward, content, said):
    made = sent(dataset, steward, content=content)

    assert made.status == "refused"
    assert said in made.problem
    assert not Consent.objects.exists() and not SealedRequest.objects.exists()


def test_a_file_of_too_many_lines_is_refused_whole(dataset, steward, monkeypatch):
    monkeypatch.setattr(consents, "MOST_LINES", 2)

    made = sent(dataset, steward, *(f"{n}1111111,2026-01-02,b {n},{FLEXIBILITY}" for n in range(1, 4)))

    assert made.status == "refused" and "dépasse 2 lignes" in made.problem
    assert not Consent.objects.exists()


def test_semicolons_a_mark_of_order_and_a_public_recipient_are_read(dataset, steward):
    content = f"\ufefflocal_id;given_on;proof;purposes;recipients\r\n1;2026-01-02;b 7;{FLEXIBILITY};public_body\r\n"

    made = sent(dataset, steward, content=content.encode())

    assert made.recorded == 1
    assert who_agrees(dataset, category="public_body") and not who_agrees(dataset)


def test_undoing_an_import_ends_what_it_brought_and_nothing_else(dataset, steward):
    agreed(dataset, steward)
    made = sent(
        dataset, steward, f"{SECRET_NUMBER},2026-01-02,b 1,{FLEXIBILITY}", f"2222222,2026-01-02,b 2,{FLEXIBILITY}"
    )
    assert len(who_agrees(dataset)) == 2

    consents.undo_import(made, by=steward)

    assert len(who_agrees(dataset)) == 1
    with pytest.raises(WrongState):
        consents.undo_import(made, by=steward)
    again = sent(dataset, steward, f"2222222,2026-01-02,b 2,{FLEXIBILITY}")
    assert again.recorded == 1 and len(who_agrees(dataset)) == 2


def test_counts_are_of_persons_not_of_lines(dataset, steward):
    agreed(dataset, steward)
    agreed(dataset, steward, purposes=["energy_efficiency_rnd"])
    agreed(dataset, steward, local_id="2222222")
    taken_back(dataset, steward, local_id="2222222")

    counted = consents.counts(dataset)

    assert (counted.persons, counted.withdrawn) == (1, 1)
    assert dict(counted.by_purpose) == {FLEXIBILITY: 1, "energy_efficiency_rnd": 1}


def test_running_the_same_import_again_changes_nothing(dataset, steward):
    made = consents.receive_import(
        dataset, by=steward, file_name="c.csv",
        sealed=intake.sealed(dataset.zone, f"{HEADER}\n1,2026-01-02,b,{FLEXIBILITY}".encode()),
    )  # fmt: skip
    request = SealedRequest.objects.get(receipt=made.receipt)

    record_sealed_request(request.pk)
    record_sealed_request(request.pk)

    assert Consent.objects.count() == 1


# Invariant 8


def test_the_local_identifier_is_in_no_table_and_no_log_line(dataset, steward, caplog):
    caplog.set_level(logging.DEBUG)
    content = f"{HEADER}\n{SECRET_NUMBER},2026-01-02,bulletin 1,{FLEXIBILITY}\n{SECRET_NUMBER},hier,b,{FLEXIBILITY}"
    hexadecimal = SECRET_NUMBER.encode().hex()

    def found():
        return [table for table, row in everything_written() if SECRET_NUMBER in row or hexadecimal in row]

    consents.receive_import(
        dataset, by=steward, sealed=intake.sealed(dataset.zone, content.encode()), file_name="c.csv"
    )
    consents.receive(
        dataset, by=steward, local_id=SECRET_NUMBER, given_on=clock.today(), proof="bulletin 3",
        purposes=["energy_efficiency_rnd"], channel="phone",
    )  # fmt: skip
    consents.withdraw_consent(dataset.zone, by=steward, local_id=SECRET_NUMBER, dataset=dataset)
    assert found() == [], "sealed"
    for request in SealedRequest.objects.order_by("pk"):
        record_sealed_request(request.pk)

    assert found() == [], "recorded"
    assert Consent.objects.count() == 2 and ConsentWithdrawal.objects.count() == 1
    assert SECRET_NUMBER not in caplog.text


# What PostgreSQL refuses; test_consents_guards.py attacks what is recorded


def test_a_clear_identifier_is_refused_in_the_place_of_a_token(dataset, steward):
    facts = {
        "zone": dataset.zone, "dataset": dataset, "purposes": [FLEXIBILITY], "recipients": "any_accredited",
        "given_on": clock.today(), "channel": "paper", "proof": "b", "receipt": "R", "recorded_by": steward,
    }  # fmt: skip

    with pytest.raises(DatabaseError, match="consent_token_is_keyed"), transaction.atomic():
        Consent.objects.create(token=SECRET_NUMBER.encode(), **facts)
    with pytest.raises(DatabaseError, match="consent_has_its_place"), transaction.atomic():
        Consent.objects.create(token=b"t" * 32, **{**facts, "dataset": factories.dataset(dataset.zone)})


def test_a_fine_load_curve_that_does_not_rest_on_consent_is_refused_by_the_database():
    with pytest.raises(DatabaseError, match="dataset_fine_metering_rests_on_consent"), transaction.atomic():
        factories.dataset(columns=CURVE_COLUMNS, domains=["energy_metering"], time_step="fine")

    assert factories.dataset(columns=CURVE_COLUMNS, domains=["energy_metering"], time_step="daily")


def test_published_data_go_on_resting_on_consent_and_keep_their_holder(dataset):
    for change in ({"consent_required": False, "time_step": "daily"}, {"holder": factories.organisation("holder")}):
        with pytest.raises(DatabaseError, match="dataset_basis_is_kept"), transaction.atomic():
            type(dataset).objects.filter(pk=dataset.pk).update(**change)
