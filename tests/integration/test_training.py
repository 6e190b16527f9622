"""Before personal data open: a person learns, answers, undertakes; gate, desk and pages say the same."""

import re
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from broker import clock
from broker.accounts import second_factor
from broker.errors import Refused, WrongState
from consent import desk, lessons, readiness
from consent.models import Training, Undertaking
from consent.record import decide
from consent.transitions import training
from tests import factories
from tests.actors import signed_in
from tests.integration.test_gate_record import a_convention, asked

pytestmark = pytest.mark.django_db
RIGHT = {question["code"]: question["right"] for question in lessons.load().questions}


def fresh_code(user) -> str:
    import time

    return second_factor.code_at(user, time.time())


def test_a_person_who_neither_learnt_nor_undertook_is_told_both_and_where():
    convention = a_convention(trained=False)

    with pytest.raises(Refused) as refused:
        decide("release_create", **asked(convention))

    (reason,) = refused.value.reasons
    assert reason.code == "G03"
    assert "l'engagement de confidentialité, la formation « santé »" in reason.message
    assert reason.link == f"/conventions/{convention.ref}/habilitation/"


def test_the_pages_lead_from_the_desk_to_a_permit():
    convention = a_convention(trained=False)
    samir = convention.named_persons.get().user
    browser = signed_in(samir)
    base = f"/conventions/{convention.ref}"

    waiting = [task.link for task in desk.waiting_for(samir)]
    wrong = browser.post(f"{base}/formation/", {**RIGHT, "breach": "monday"})
    learnt = browser.post(f"{base}/formation/", RIGHT)
    shown = browser.get(f"{base}/engagement/").content.decode()
    sha256 = re.search(r'name="text_sha256" value="(\w{64})"', shown)[1]
    signed = browser.post(
        f"{base}/engagement/",
        {"text_sha256": sha256, "typed": "lu et compris, je m’engage.", "code": fresh_code(samir)},
    )

    assert f"{base}/habilitation/" in waiting
    assert (wrong.status_code, learnt.status_code, signed.status_code) == (422, 302, 302)
    assert "relisez la page 4" in wrong.content.decode()
    assert readiness.lacking(convention, samir) == []
    assert f"{base}/habilitation/" not in [task.link for task in desk.waiting_for(samir)]
    assert decide("release_create", **asked(convention)).decision_id


def test_a_wrong_answer_leaves_no_training():
    convention = a_convention(trained=False)
    browser = signed_in(convention.named_persons.get().user)

    browser.post(f"/conventions/{convention.ref}/formation/", {**RIGHT, "purpose": "extract"})

    assert not Training.objects.exists()


def test_the_training_serves_every_convention_of_the_family_but_the_undertaking_only_its_own():
    first = a_convention()
    samir = first.named_persons.get().user

    second = a_convention(organisation_=first.organisation, named=samir, trained=False)

    assert readiness.lacking(second, samir) == ["l'engagement de confidentialité"]


def test_a_colleague_who_is_not_named_signs_nothing():
    convention = a_convention()
    colleague = factories.user(organisation=convention.organisation)
    browser = signed_in(colleague)

    answer = browser.post(
        f"/conventions/{convention.ref}/engagement/",
        {"text_sha256": "0" * 64, "typed": training.FORMULA, "code": fresh_code(colleague)},
    )

    assert answer.status_code == 403
    assert not Undertaking.objects.filter(user=colleague).exists()


def test_the_same_undertaking_is_signed_once():
    convention = a_convention()
    samir = convention.named_persons.get().user
    sha256 = lessons.sha256(training.undertaking_text(convention, samir))

    with pytest.raises(WrongState, match="déjà signé"):
        training._sign(convention, by=samir, evidence={}, typed=training.FORMULA, text_sha256=sha256)


def test_a_training_of_25_months_is_to_be_taken_again():
    convention = a_convention(trained=False)
    samir = convention.named_persons.get().user
    factories.make_ready(convention, samir)
    old = clock.today() - timedelta(days=760)
    other = factories.user(organisation=convention.organisation)
    Training.objects.create(
        user=other, family="health", lessons_version="2026.11.0", lessons_sha256="0" * 64, completed_on=old
    )

    assert "la formation « santé »" in readiness.lacking(convention, other)
    assert readiness.lacking(convention, samir) == []


def test_an_undertaking_whose_hash_is_not_of_its_text_is_refused_by_the_database():
    convention = a_convention(trained=False)
    samir = convention.named_persons.get().user

    with pytest.raises(DatabaseError, match="undertaking_sha256_is_of_its_text"), transaction.atomic():
        Undertaking.objects.create(convention=convention, user=samir, text="un", text_sha256="0" * 64, typed="x")


def test_a_second_factor_just_given_serves_the_undertaking_and_an_older_one_does_not():
    convention = a_convention(trained=False)
    browser = signed_in(convention.named_persons.get().user)
    path = f"/conventions/{convention.ref}/engagement/"

    session = browser.session
    session[second_factor.SESSION_KEY] = clock.now().isoformat()
    session.save()
    just_given = browser.get(path).content.decode()
    session[second_factor.SESSION_KEY] = (clock.now() - timedelta(minutes=6)).isoformat()
    session.save()
    older = browser.get(path).content.decode()

    assert 'name="code"' not in just_given
    assert 'name="code"' in older
