"""The pages of consents: an empty register, one at the desk, a file, what was refused, and undoing."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from broker import clock
from consent import consents
from consent.models import Consent, ConsentImport, SealedRequest
from consent.tasks import record_sealed_request
from tests import factories
from tests.actors import signed_in
from tests.integration.test_consents import FLEXIBILITY, HEADER, SECRET_NUMBER, curves, dataset, staff, store

__all__ = ["dataset", "store"]  # fixtures
pytestmark = pytest.mark.django_db
ASKED = {
    "local_id": SECRET_NUMBER, "given_on": "2026-01-12", "channel": "paper", "proof": "bulletin 12",
    "purposes": [FLEXIBILITY], "recipients": "any_accredited", "identity_checked": "on",
}  # fmt: skip


@pytest.fixture
def desk(dataset):
    return signed_in(staff(dataset, "steward"))


def address(dataset, name="dataset-consents", *more):
    return reverse(name, args=[dataset.slug, *more])


def worker_opens_everything():
    for request in SealedRequest.objects.order_by("pk"):
        record_sealed_request(request.pk)


def send(desk, dataset, content: bytes, name="consentements.csv"):
    return desk.post(address(dataset, "consent-import"), {"file": SimpleUploadedFile(name, content)})


def test_an_empty_register_says_that_a_release_would_be_empty(dataset, desk):
    page = desk.get(address(dataset)).content.decode()

    assert "Personne n’a encore dit oui" in page and "serait vide" in page
    assert address(dataset, "consent-import") in page


def test_the_page_of_the_dataset_leads_the_operators_people_to_its_consents(dataset, desk, client):
    link = address(dataset)

    assert link in desk.get(dataset.get_absolute_url()).content.decode()
    assert link not in client.get(dataset.get_absolute_url()).content.decode()


def test_a_consent_taken_at_the_desk_has_a_receipt_and_is_counted(dataset, desk):
    answer = desk.post(address(dataset, "consent-create"), ASKED)
    assert "Il prend effet dans un instant" in desk.get(answer["Location"]).content.decode()

    worker_opens_everything()

    assert "en vigueur" in desk.get(answer["Location"]).content.decode()
    page = desk.get(address(dataset)).content.decode()
    assert 'id="consenting">1<' in page and "bulletin 12" in page
    assert SECRET_NUMBER not in page + answer["Location"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"purposes": []}, "Cochez au moins un usage"),
        ({"given_on": "2999-01-01"}, "Cette date est à venir"),
        ({"identity_checked": ""}, "Vérifiez d&#x27;abord l&#x27;identité"),
        ({"proof": f"bulletin de {SECRET_NUMBER}"}, "contient le numéro"),
    ],
    ids=["no use", "in the future", "identity unchecked", "a proof that names the person"],
)
def test_a_refused_form_keeps_what_was_typed_but_the_number(dataset, desk, fault, said):
    answer = desk.post(address(dataset, "consent-create"), {**ASKED, **fault})

    page = answer.content.decode()
    assert answer.status_code == 422 and said in page
    assert f'value="{SECRET_NUMBER}"' not in page
    assert "2026-01-12" in page or "given_on" in fault
    assert not SealedRequest.objects.exists()


def test_a_withdrawal_at_the_desk_is_in_force_and_leaves_the_count(dataset, desk):
    desk.post(address(dataset, "consent-create"), ASKED)
    worker_opens_everything()

    answer = desk.post(
        address(dataset, "consent-withdraw"),
        {"local_id": SECRET_NUMBER, "scope": "dataset", "identity_checked": "on"},
    )
    worker_opens_everything()

    assert "Aucune nouvelle remise ne contient cette personne" in desk.get(answer["Location"]).content.decode()
    page = desk.get(address(dataset)).content.decode()
    assert 'id="consenting">0<' in page and 'id="withdrawn">1<' in page


def test_a_file_shows_its_progress_then_what_it_kept_and_refused_by_line(dataset, desk):
    content = f"{HEADER}\n{SECRET_NUMBER},2026-01-12,bulletin 1,{FLEXIBILITY}\n22222,hier,bulletin 2,{FLEXIBILITY}\n"
    answer = send(desk, dataset, content.encode())
    assert "La lecture va commencer" in desk.get(answer["Location"]).content.decode()

    worker_opens_everything()

    done = desk.get(answer["Location"], headers={"HX-Request": "true"})
    assert done["HX-Refresh"] == "true"
    page = desk.get(answer["Location"]).content.decode()
    assert 'id="recorded">1<' in page and 'id="refused">1<' in page
    assert "date illisible" in page and "22222" not in page and SECRET_NUMBER not in page


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [(b"", 422, "Choisissez un fichier"), (b"x" * (consents.MOST_BYTES + 20_000), 422, "découpez-le")],
    ids=["empty", "too large"],
)
def test_a_file_that_is_empty_or_too_large_is_refused_before_it_is_sealed(dataset, desk, content, status, said):
    answer = send(desk, dataset, content)

    assert answer.status_code == status and said in answer.content.decode()
    assert not ConsentImport.objects.exists() and not SealedRequest.objects.exists()


def test_a_file_sent_by_mistake_is_undone_from_its_page(dataset, desk):
    answer = send(desk, dataset, f"{HEADER}\n1234567,2026-01-12,b 1,{FLEXIBILITY}\n".encode())
    worker_opens_everything()
    imported = ConsentImport.objects.get()
    assert "1 consentement en vigueur vient de ce fichier" in desk.get(answer["Location"]).content.decode()

    undone = desk.post(address(dataset, "consent-import-undo", imported.pk), follow=True).content.decode()

    assert "aucun consentement de ce fichier ne vaut plus" in undone
    assert not Consent.objects.filter(withdrawn_at=None).exists()


def test_the_number_of_queries_does_not_grow_with_consents(dataset, desk):
    person = factories.user(organisation=dataset.zone.operator)

    def queries(count):
        Consent.objects.bulk_create(
            Consent(
                zone=dataset.zone, dataset=dataset, token=(start + n).to_bytes(32), purposes=[FLEXIBILITY],
                recipients="any_accredited", given_on=clock.today(), channel="paper", proof="b", receipt="R",
                recorded_by=person,
            )
            for n in range(count)
        )  # fmt: skip
        with CaptureQueriesContext(
            connection,
        ) as caught:
            desk.get(address(dataset))
        return len(caught)

    start = 0
    few = queries(2)
    start = 100
    assert queries(60) <= few + 1  # the pages beyond the first


def test_a_dataset_that_rests_on_something_else_takes_no_consent(dataset, desk):
    other = factories.dataset(dataset.zone)

    assert desk.get(address(other, "consent-create")).status_code == 409
    assert "ne repose pas sur le consentement" in desk.get(address(other)).content.decode()


def test_a_stranger_reads_no_count(dataset):
    stranger = signed_in(factories.user(organisation=factories.organisation()))
    elsewhere = curves(factories.zone("eco_district"))

    for held in (dataset, elsewhere):
        assert stranger.get(address(held)).status_code == 403
