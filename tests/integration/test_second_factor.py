"""A code at the act: fresh, once, counted when wrong, whatever becomes of the verb that asked for it."""

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from broker.accounts import second_factor
from broker.audit.actions import recorded
from broker.errors import BadInput
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def person():
    made = factories.user()
    second_factor.enrol(made, generate_totp_secret())
    return made


def code(person, steps=0) -> str:
    return second_factor.code_at(person, time.time() + 30 * steps)


def refusals():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_event WHERE payload::json->>'act' = 'user.second_factor' "
            "AND payload::json->>'out' = 'deny'"
        )
        return cursor.fetchone()[0]


def test_a_fresh_code_is_evidence(person):
    evidence = second_factor.confirm(person, code(person))

    assert evidence["method"] == "totp"
    assert evidence["authenticator"] == str(Authenticator.objects.get(user=person).pk)


def test_the_former_and_the_next_code_are_taken_too(person):
    assert second_factor.confirm(person, code(person, -1))
    assert second_factor.confirm(person, code(person, +1))


def test_a_code_serves_once(person):
    given = code(person)
    second_factor.confirm(person, given)

    with pytest.raises(BadInput, match="déjà servi"):
        second_factor.confirm(person, given)


def test_a_spent_code_is_not_forgotten_in_a_crowd(person):
    given = code(person)
    second_factor.confirm(person, given)
    for number in range(400):
        cache.set(f"somebody-else-{number}", "y")

    with pytest.raises(BadInput, match="déjà servi"):
        second_factor.confirm(person, given)


def test_a_code_written_with_a_space_is_the_same_code(person):
    given = code(person)
    second_factor.confirm(person, given)

    with pytest.raises(BadInput, match="déjà servi"):
        second_factor.confirm(person, f"{given[:3]} {given[3:]}")


def test_an_old_code_is_wrong(person):
    with pytest.raises(BadInput, match="inexact"):
        second_factor.confirm(person, code(person, -10))


def test_after_five_wrong_codes_the_right_one_waits(person):
    for _ in range(second_factor.TRIES):
        with pytest.raises(BadInput, match="inexact"):
            second_factor.confirm(person, "000000")

    with pytest.raises(BadInput, match="attendez cinq minutes"):
        second_factor.confirm(person, code(person))
    assert refusals() == second_factor.TRIES


def test_wrong_codes_count_even_when_their_verb_is_rolled_back(person):
    @recorded("offer.mandate")
    def sign(code, *, by):
        second_factor.confirm(by, code)

    for _ in range(second_factor.TRIES):
        with pytest.raises(BadInput, match="inexact"):
            sign("000000", by=person)

    with pytest.raises(BadInput, match="attendez cinq minutes"):
        sign(code(person), by=person)
    assert refusals() == second_factor.TRIES


def test_who_has_no_application_is_told_to_install_one():
    with pytest.raises(BadInput, match="Installez"):
        second_factor.confirm(factories.user(), "123456")


def test_the_database_alone_gives_no_secret():
    person, secret = factories.user(), generate_totp_secret()

    kept = second_factor.enrol(person, secret).data["secret"]

    assert secret not in kept


def test_a_new_secret_key_still_opens_what_the_former_one_sealed(person, settings):
    before = code(person)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "une autre clé"

    assert code(person) == before or code(person, -1) == before


def test_without_the_former_secret_key_the_mend_is_named(person, settings):
    settings.SECRET_KEY = "une autre clé"

    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FALLBACKS"):
        code(person)
