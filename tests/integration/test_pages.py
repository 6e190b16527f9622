"""The frame of every page, the home's figures, the desks, and the page of an error."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from broker import clock
from broker.accounts.desk import Task
from broker.accounts.models import Countersign
from broker.desk import figures, path, roles
from broker.errors import Reason, Refused
from consent.models import Accreditation, RegistryEntry
from tests import factories
from tests.actors import signed_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("route", ["home", "about-me", "account_login", "account_signup"])
def test_a_public_page_shows_the_frame(client, route):
    page = client.get(reverse(route)).content.decode()

    assert page.count("<h1") == 1
    assert 'href="#contenu"' in page
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page


def test_the_home_promises_no_figure_before_it_has_one(client):
    page = client.get("/").content.decode()

    assert "ils sont mesurés, pas promis" in page
    assert "Aucune zone n’est encore ouverte" in page


def test_the_time_to_access_is_the_median_from_the_request_to_the_accreditation():
    for days in (2, 4, 30):
        entry = factories.registry_entry()
        decided = Accreditation.objects.get(entry=entry).decided_at
        RegistryEntry.objects.filter(pk=entry.pk).update(submitted_at=decided - timedelta(days=days))

    to_accreditation, to_release = figures.time_to_access()

    assert to_accreditation.median == timedelta(days=4)
    assert to_accreditation.count == 3
    assert to_accreditation.words == "4 jours"
    assert to_release.count == 0


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=5), "1 minute"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=30), "30 heures"),
        (timedelta(days=9, hours=15), "10 jours"),
    ],
)
def test_a_length_of_time_is_said_as_people_say_it(time, words):
    assert figures.lasting(time) == words


def test_a_convention_that_ended_is_no_longer_among_the_uses(client):
    ended = factories.convention(
        starts_on=clock.today() - timedelta(days=30), ends_on=clock.today() - timedelta(days=1)
    )
    running = factories.convention()

    page = client.get(reverse("about-me")).content.decode()

    assert running.ref in page
    assert ended.ref not in page


@pytest.mark.parametrize("route", ["home", "about-me"])
def test_a_public_page_asks_the_same_number_of_questions_for_one_row_and_for_many(client, route):
    factories.convention()
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get(reverse(route))
    for _ in range(4):
        factories.convention()

    with CaptureQueriesContext(connection) as many:
        client.get(reverse(route))

    assert len(many) == len(one)


def test_a_newcomer_is_led_to_the_second_factor_first():
    steps = path.of(factories.user())

    assert [step.done for step in steps] == [False] * len(steps)
    assert [step.route for step in steps if step.current] == ["mfa_activate_totp"]


def test_a_newcomer_s_desk_leads_to_the_organisation_once_the_account_is_safe():
    browser = signed_in(factories.user())

    answer = browser.get(reverse("desk"))

    assert answer.status_code == 200, answer.headers
    page = answer.content.decode()
    assert "Inscrire votre organisation" in page
    assert page.count('aria-current="step"') == 1


def test_a_clerk_s_table_says_who_agreed_first_what_failed_and_what_is_late():
    agency = factories.organisation("agency")
    sophie, karim = (
        factories.user(name, organisation=agency, role="registry_officer") for name in ("Sophie Martin", "Karim Haddad")
    )
    late = factories.registry_entry(
        status="under_review", due_on=clock.today() - timedelta(days=1), checks=[{"ok": False}, {"ok": True}]
    )
    Countersign.objects.create(
        act="registry.accredit", object_ref=f"registry:{late.pk}@{late.version}", concerned=late.organisation,
        first_by=karim,
    )  # fmt: skip
    later = factories.registry_entry(status="under_review", due_on=clock.today() + timedelta(days=30))

    answer = signed_in(sophie).get(reverse("desk"))

    files = answer.context["queue"]
    assert [file.entry for file in files] == [late, later]
    assert (files[0].first_by, files[0].mine_given, files[0].failed, files[0].is_late) == (
        "Karim Haddad",
        False,
        1,
        True,
    )
    assert (files[1].first_by, files[1].failed, files[1].is_late, files[1].is_soon) == ("", 0, False, False)
    assert answer.context["mine"] == []  # a file is shown once, in the table


def test_a_task_says_since_when_and_whose_turn():
    waiting = Task("Signer", clock.now() - timedelta(days=6), "/conventions/", turn="l'opérateur")

    [line] = roles.lines([waiting])

    assert (line.age, line.is_old) == ("6 jours", True)
    assert roles.lines([Task("Signer", None, "/")])[0].age == ""


def test_a_refusal_says_every_reason_with_its_text_and_its_mend(rf):
    from broker.middleware import ErrorPages

    reasons = (
        Reason("G20", "La colonne race n’est pas au profil.", "RGPD, art. 5(1)(c)", "/offres/1/"),
        Reason("G33", "Confirmez votre second facteur."),
    )
    request = rf.get("/remises/")
    request.user = factories.user()

    answer = ErrorPages(lambda _request: None).process_exception(request, Refused(reasons=reasons))

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "2 motifs s’y opposent" in page
    for text in ("G20", "RGPD, art. 5(1)(c)", 'href="/offres/1/"', "Confirmez votre second facteur."):
        assert text in page


def test_the_page_of_pieces_exists_in_the_demonstration_only(client, settings):
    assert client.get(reverse("components")).status_code == 404

    settings.DEMO = True

    assert client.get(reverse("components")).status_code == 200


def test_a_visitor_reads_the_home_in_english_when_they_choose_it(client):
    from deploy.demo.prepare import ROOT, compile_messages

    compile_messages(ROOT / "locale")
    client.post(reverse("set_language"), {"language": "en", "next": "/"})

    page = client.get("/").content.decode()

    assert '<html lang="en">' in page
    assert "Days, not months" in page
