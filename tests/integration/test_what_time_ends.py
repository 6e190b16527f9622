"""The seal kept beside the document, and the states that time brings, written down by the hourly job."""

from datetime import datetime, time, timedelta

import pytest
from django.db.backends.postgresql.psycopg_any import DateRange

from broker import clock
from consent import document, tasks
from consent.models import Convention, ConventionDocument, RegistryEntry, SealedDocument, Signature
from tests import factories
from tests.unit.test_document import data
from tests.unit.test_seal import pem  # noqa: F401  the fixture

pytestmark = pytest.mark.django_db


def noon(days_ago: int) -> datetime:
    """Noon of that day in Paris: at night, so many times 24 hours ago may be another day since the hour changed."""
    return datetime.combine(clock.today() - timedelta(days=days_ago), time(12), tzinfo=clock.PARIS)


def really_signed():
    """A convention whose current document is a real PDF, signed by the experimenter."""
    convention = factories.convention(signed=False)
    made = document.render(data())
    ConventionDocument.objects.create(
        convention=convention, number=2, pdf=made.pdf, sha256=made.sha256, template_version="2026.11.0"
    )
    Signature.objects.create(
        convention=convention, party="experimenter", document_sha256=made.sha256, level="strengthened",
        signer=convention.application.created_by, mandate="statuts, article 12",
    )  # fmt: skip
    return convention, made


def test_the_worker_keeps_the_sealed_form_beside_the_document_once(settings, pem):  # noqa: F811
    settings.SEAL_KEY = str(pem)
    convention, made = really_signed()

    tasks.seal_convention(convention_id=convention.pk)
    tasks.seal_convention(convention_id=convention.pk)

    sealed = SealedDocument.objects.get()
    assert bytes(sealed.pdf).startswith(made.pdf)
    assert sealed.document.sha256 == made.sha256


def test_a_platform_without_a_seal_key_leaves_the_convention_signed(settings):
    settings.SEAL_KEY = ""
    convention, _made = really_signed()

    tasks.seal_convention(convention_id=convention.pk)

    assert not SealedDocument.objects.exists()


def test_what_time_has_ended_is_written_down_and_the_rest_is_left():
    today = clock.today()
    over = factories.convention(starts_on=today - timedelta(days=30), ends_on=today - timedelta(days=1))
    last_day = factories.convention(starts_on=today - timedelta(days=30), ends_on=today)
    unsigned = factories.convention(status="signing", signed=False)
    Convention.objects.filter(pk=unsigned.pk).update(created_at=noon(31))
    silent = factories.registry_entry(status="incomplete", submitted_at=noon(60))
    recent = factories.registry_entry(status="incomplete", submitted_at=noon(59))

    tasks.end_what_has_ended(timestamp=0)

    states = dict(Convention.objects.values_list("pk", "status"))
    assert states[over.pk] == Convention.Status.EXPIRED
    assert states[last_day.pk] == Convention.Status.ACTIVE
    assert states[unsigned.pk] == Convention.Status.WITHDRAWN
    requests = dict(RegistryEntry.objects.values_list("pk", "status"))
    assert requests[silent.pk] == RegistryEntry.Status.ABANDONED
    assert requests[recent.pk] == RegistryEntry.Status.INCOMPLETE


def test_an_accreditation_expires_after_its_last_day_and_suspends_what_rests_on_it():
    today = clock.today()
    convention = factories.convention()
    entry = convention.organisation.registry_entries.get()
    entry.accreditations.update(period=DateRange(today - timedelta(days=30), today))

    tasks.end_what_has_ended(timestamp=0)

    entry.refresh_from_db()
    convention.refresh_from_db()
    assert entry.status == RegistryEntry.Status.EXPIRED
    assert convention.status == Convention.Status.SUSPENDED


def test_an_accreditation_is_valid_through_its_last_day():
    today = clock.today()
    entry = factories.registry_entry()
    entry.accreditations.update(period=DateRange(today - timedelta(days=30), today + timedelta(days=1)))

    tasks.end_what_has_ended(timestamp=0)

    entry.refresh_from_db()
    assert entry.status == RegistryEntry.Status.ACCREDITED
