"""From a first visit to an organisation with a machine: sign-up, second factor, founding, declaring."""

import html
import re
import time

import pyrage
import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from broker import clock
from broker.accounts import second_factor
from broker.accounts.machines import credential_of, digest_of
from broker.accounts.models import (
    Invitation,
    MachineCredential,
    Membership,
    Organisation,
    Role,
    SecureEnvironment,
    User,
)
from tests import factories
from tests.actors import signed_in

pytestmark = pytest.mark.django_db

PASSWORD = "une phrase que personne ne devine"
SIREN = "900000076"


def events(act):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT payload::json->>'out', payload::json->'actor'->>'auth' FROM audit_event "
            "WHERE payload::json->>'act' = %s ORDER BY id",
            [act],
        )
        return cursor.fetchall()


def sign_up(browser, email="julie@exemple.fr", name="Julie Caron"):
    return browser.post(
        reverse("account_signup"),
        {"full_name": name, "email": email, "password1": PASSWORD, "password2": PASSWORD},
        follow=True,
    )


def code_in(letter) -> str:
    return re.search(r"^[A-Z0-9]{4}-[A-Z0-9]{4}$", letter.body, re.MULTILINE)[0]


def code_of(user, *, steps=0) -> str:
    return second_factor.code_at(user, time.time() + 30 * steps)


def test_a_newcomer_is_led_to_their_second_factor_before_anything_else():
    browser = Client()

    sign_up(browser)
    browser.post(reverse("account_email_verification_sent"), {"code": code_in(mail.outbox[-1])}, follow=True)
    refused = browser.get(reverse("organisation-detail"))
    enrolment = browser.get(refused.url)
    secret = re.search(r'id="authenticator_secret"[^>]* value="([A-Z2-7]+)"', enrolment.content.decode())[1]
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

    enrolled = browser.post(
        refused.url, {"code": format_hotp_value(hotp_value(secret, int(time.time()) // 30))}, follow=True
    )
    opened = browser.get(reverse("organisation-detail"))

    assert refused.url == reverse("mfa_activate_totp")
    assert enrolled.status_code == 200
    assert "codes de secours" in enrolled.content.decode()
    assert opened.status_code == 200
    assert User.objects.get(email="julie@exemple.fr").full_name == "Julie Caron"
    assert events("user.signup") == [("allow", "none")]
    assert events("user.sign_in") == [("allow", "password")]
    assert events("user.second_factor") == [("allow", "password")]


def test_the_same_code_opens_no_second_session():
    user = factories.user()
    signed_in(user)
    code = code_of(user)

    def enter():
        browser = Client()
        browser.post(reverse("account_login"), {"login": user.email, "password": "un mot de passe long"})
        return browser.post(reverse("mfa_authenticate"), {"code": code})

    first, second = enter(), enter()

    assert first.status_code == 302
    assert second.status_code == 200
    assert events("user.sign_in") == [("allow", "mfa")]
    assert ("deny", "none") in events("user.second_factor")


def test_a_refused_password_is_told_and_nothing_typed_is_kept():
    user = factories.user()

    answer = Client().post(reverse("account_login"), {"login": user.email, "password": "pas celui-là du tout"})

    assert answer.status_code == 200
    assert events("user.sign_in") == [("deny", "none")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(payload, '') FROM audit_event")
        assert "pas celui" not in cursor.fetchone()[0]


def test_signing_up_tells_nobody_whether_an_account_exists():
    factories.user()
    known = User.objects.get()
    signed_in(known)

    fresh, taken = sign_up(Client(), "neuve@exemple.fr"), sign_up(Client(), known.email)

    assert fresh.redirect_chain == taken.redirect_chain
    assert [letter.subject for letter in mail.outbox] == ["Terrain : votre code", "Terrain : vous avez déjà un compte"]


def test_the_sixth_wrong_password_is_not_even_tried():
    user = factories.user()
    browser = Client()
    for _ in range(5):
        browser.post(reverse("account_login"), {"login": user.email, "password": "faux"})

    answer = browser.post(reverse("account_login"), {"login": user.email, "password": "un mot de passe long"})

    assert "Trop d&#x27;essais" in answer.content.decode() or "Trop d’essais" in answer.content.decode()
    assert [out for out, _ in events("user.sign_in")] == ["deny"] * 5


def test_a_session_that_starts_has_a_new_number():
    user = factories.user()
    signed_in(user, with_second_factor=False)
    browser = Client()
    planted = browser.session
    planted.save()
    browser.cookies["sessionid"] = before = planted.session_key

    browser.post(reverse("account_login"), {"login": user.email, "password": "un mot de passe long"})

    assert browser.session.session_key != before


def test_a_fresh_code_brings_the_person_back_where_they_were():
    user = factories.user(organisation=factories.organisation())
    browser = signed_in(user)
    session = browser.session
    session[second_factor.SESSION_KEY] = "2026-01-01T00:00:00+00:00"
    session.save()

    answer = browser.post(reverse("second-factor"), {"code": code_of(user), "next": "/organisation/"})

    assert answer.status_code == 302
    assert answer.url == "/organisation/"
    given = second_factor.datetime.fromisoformat(browser.session[second_factor.SESSION_KEY])
    assert abs((clock.now() - given).total_seconds()) < 10


@pytest.mark.parametrize("elsewhere", ["https://ailleurs.example/", "//ailleurs.example", "javascript:alert(1)"])
def test_a_fresh_code_never_sends_the_person_to_another_site(elsewhere):
    user = factories.user()

    answer = signed_in(user).post(reverse("second-factor"), {"code": code_of(user), "next": elsewhere})

    assert answer.url == reverse("desk")


def test_a_wrong_code_is_shown_beside_its_field():
    browser = signed_in(factories.user())

    answer = browser.post(reverse("second-factor"), {"code": "000000"})

    assert answer.status_code == 422
    assert "Code inexact" in answer.content.decode()


def founded(browser, **changes):
    facts = {
        "name": "Glycéa", "siren": "900 000 076", "legal_form": "SAS", "mandate": "statuts, article 12", **changes
    }  # fmt: skip
    return browser.post(reverse("organisation-create"), facts)


def test_a_founder_represents_the_organisation_they_declare():
    founder = factories.user()

    answer = founded(signed_in(founder))

    assert answer.status_code == 302
    made = Organisation.objects.get(siren=SIREN)
    assert made.kind == "experimenter"
    assert set(made.memberships.values_list("user", "role", "mandate")) == {
        (founder.pk, "member", ""),
        (founder.pk, "legal_representative", "statuts, article 12"),
    }


def test_a_siren_that_fails_its_check_is_refused_beside_the_field():
    answer = founded(signed_in(factories.user()), siren="900000077")

    assert answer.status_code == 422
    assert "recopiez les neuf chiffres" in answer.content.decode()
    assert not Organisation.objects.exists()


def test_a_siren_already_there_names_whom_to_ask():
    factories.organisation(siren=SIREN)

    answer = founded(signed_in(factories.user()))

    assert answer.status_code == 409
    assert "demandez à son représentant légal" in answer.content.decode()


def test_a_person_founds_one_organisation_only():
    answer = founded(signed_in(factories.user(organisation=factories.organisation())))

    assert answer.status_code == 403
    assert not Organisation.objects.filter(siren=SIREN).exists()


@pytest.fixture
def startup():
    return factories.organisation(name="Glycéa")


@pytest.fixture
def julie(startup):
    return factories.user("Julie Caron", organisation=startup, role="legal_representative")


def invited(julie, email):
    return signed_in(julie).post(reverse("organisation-detail"), {"email": email})


def test_a_colleague_joins_by_accepting(startup, julie):
    samir = factories.user("Samir Diallo")
    invited(julie, samir.email.upper())
    browser = signed_in(samir)

    page = browser.get(reverse("organisation-detail")).content.decode()
    answer = browser.post(reverse("invitation-accept", args=[Invitation.objects.get().pk]))

    assert "Julie Caron vous invite" in page
    assert answer.status_code == 302
    assert User.objects.get(pk=samir.pk).holds(Role.MEMBER, startup)
    assert events("membership.invite") + events("membership.add") == [("allow", "mfa")] * 2


def test_nobody_is_a_member_before_they_accept(startup, julie):
    samir = factories.user("Samir Diallo")

    invited(julie, samir.email)

    assert User.objects.get(pk=samir.pk).organisation is None


def test_a_declined_invitation_is_over(julie):
    samir = factories.user("Samir Diallo")
    invited(julie, samir.email)
    browser, pk = signed_in(samir), Invitation.objects.get().pk

    browser.post(reverse("invitation-decline", args=[pk]))

    assert browser.post(reverse("invitation-accept", args=[pk])).status_code == 404
    assert not Membership.objects.filter(user=samir).exists()
    assert invited(julie, samir.email).status_code == 302  # they may be asked again


def test_an_invitation_tells_nobody_whether_an_account_exists(julie):
    known = factories.user()
    signed_in(known)

    answers = [invited(julie, known.email), invited(julie, "personne@nulle-part.example")]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert {answer.url for answer in answers} == {reverse("organisation-detail")}


def test_an_invitation_is_answered_by_its_address_only(julie):
    invited(julie, "samir@exemple.fr")

    answer = signed_in(factories.user()).post(reverse("invitation-accept", args=[Invitation.objects.get().pk]))

    assert answer.status_code == 404


def test_a_person_is_not_invited_twice_at_once(julie):
    invited(julie, "samir@exemple.fr")

    assert invited(julie, "samir@exemple.fr").status_code == 409


def test_nobody_without_a_mandate_adds_a_colleague(startup):
    samir = factories.user("Samir Diallo")

    answer = signed_in(factories.user(organisation=startup)).post(
        reverse("organisation-detail"), {"email": samir.email}
    )

    assert answer.status_code == 403
    assert not Membership.objects.filter(user=samir).exists()


def test_a_mandate_that_has_ended_represents_nobody(startup, julie):
    Membership.objects.filter(user=julie).update(mandate_until="2026-01-31")

    answer = signed_in(julie).post(reverse("organisation-detail"), {"email": "x@exemple.fr"})

    assert answer.status_code == 403


def test_the_organisation_s_page_asks_as_many_questions_for_thirty_members(startup, julie):
    browser = signed_in(julie)
    with CaptureQueriesContext(connection) as alone:
        browser.get(reverse("organisation-detail"))
    for _ in range(30):
        factories.user(organisation=startup)

    with CaptureQueriesContext(connection) as crowded:
        page = browser.get(reverse("organisation-detail"))

    assert len(crowded) == len(alone)
    assert page.content.decode().count("@exemple.fr</td>") == 25


def test_a_changed_password_is_an_event_and_keeps_the_second_factor(julie):
    browser = signed_in(julie)
    changed = {"oldpassword": "un mot de passe long", "password1": PASSWORD, "password2": PASSWORD}

    answer = browser.post(reverse("account_change_password"), changed)

    assert answer.status_code == 302
    assert events("user.password") == [("allow", "mfa")]
    assert browser.get(reverse("organisation-detail")).status_code == 200


def test_a_forgotten_password_is_replaced_by_a_mailed_code_and_opens_nothing_alone(julie):
    signed_in(julie)
    browser = Client()
    browser.post(reverse("account_reset_password"), {"email": julie.email})
    browser.post(reverse("account_confirm_password_reset_code"), {"code": code_in(mail.outbox[-1])})

    browser.post(reverse("account_complete_password_reset"), {"password1": PASSWORD, "password2": PASSWORD})

    julie.refresh_from_db()
    assert julie.check_password(PASSWORD)
    assert [out for out, _ in events("user.password")] == ["allow"]
    assert browser.get(reverse("organisation-detail")).status_code == 302


def declared(browser, **changes):
    facts = {
        "name": "Bulle", "klass": "secure", "host": "Hébergeur", "country": "fr", "networks": "127.0.0.1/32",
        "age_recipient": str(pyrage.x25519.Identity.generate().to_public()), **changes,
    }  # fmt: skip
    return browser.post(reverse("environment-create"), facts)


def test_the_representative_declares_and_attests_in_one_go(startup, julie):
    answer = declared(signed_in(julie), attest="on")

    made = SecureEnvironment.objects.get(organisation=startup)
    assert answer.url == reverse("environment-detail", args=[made.pk])
    assert (made.country, made.networks) == ("FR", ["127.0.0.1/32"])
    assert (made.attested_on, made.attested_by) == (clock.today(), julie)


def test_a_member_declares_but_does_not_attest(startup):
    browser = signed_in(factories.user(organisation=startup))

    declared(browser, attest="on")

    made = SecureEnvironment.objects.get(organisation=startup)
    assert made.attested_on is None
    assert browser.post(reverse("environment-attest", args=[made.pk]), {"attest": "on"}).status_code == 403


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"age_recipient": "age1nimporte"}, "age-keygen"),
        ({"age_recipient": str(pyrage.x25519.Identity.generate())}, "clé secrète"),
        ({"networks": "10.0.0.1/24"}, "10.0.0.0/24"),
        ({"networks": "0.0.0.0/0"}, "trop d&#x27;adresses"),
        ({"networks": "n'importe quoi"}, "ce n&#x27;est pas un réseau"),
        ({"country": "F1"}, "Deux lettres"),
    ],
    ids=["cut short", "secret", "network off its bounds", "everybody", "no network", "no country"],
)
def test_a_bad_declaration_names_its_mend(julie, change, mend):
    answer = declared(signed_in(julie), **change)

    assert answer.status_code == 422
    assert mend in answer.content.decode()
    assert not SecureEnvironment.objects.exists()


SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN julie@glycea"


@pytest.mark.parametrize(
    ("pasted", "mend"),
    [
        ("", "obligatoire"),
        ("pas une clé", "elle commence par « age1 »"),
        ("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q", "age-keygen -o cle.txt"),
        (SSH, "C'est une clé SSH"),
        (f"  {pyrage.x25519.Identity.generate()}\n", "collez ici la clé publique"),
        (str(pyrage.x25519.Identity.generate()).lower(), "collez ici la clé publique"),
    ],
    ids=["nothing", "words", "a key cut short", "an SSH key", "a secret key", "a secret key in small letters"],
)
def test_what_is_no_public_key_is_never_kept_and_the_page_says_what_to_paste(julie, pasted, mend):
    answer = declared(signed_in(julie), age_recipient=pasted)

    page = html.unescape(answer.content.decode())
    assert answer.status_code == 422
    assert mend in page
    assert not SecureEnvironment.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(string_agg(body::text, ' '), '') FROM audit_detail")
        told = cursor.fetchone()[0]
    if "secret" in pasted.lower():  # nor shown again: whoever looks over the shoulder, or the browser, would keep it
        assert pasted.strip() not in page
        assert pasted.strip() not in told


def test_the_secret_of_a_machine_is_shown_once(startup, julie):
    environment = factories.environment(startup)
    browser = signed_in(julie)

    answer = browser.post(reverse("credential-create", args=[environment.pk]), {"name": "extraction"})

    secret = re.search(r'id="credential_secret">([^<]+)<', answer.content.decode())[1]
    assert answer["Cache-Control"] == "no-store"
    assert credential_of(f"Terrain-Machine {secret}").environment == environment
    assert MachineCredential.objects.get().secret_sha256 == digest_of(secret)
    assert secret not in browser.get(reverse("environment-detail", args=[environment.pk])).content.decode()


def test_a_revoked_credential_is_nobody(startup, julie):
    environment = factories.environment(startup)
    browser = signed_in(julie)
    answer = browser.post(reverse("credential-create", args=[environment.pk]), {"name": "extraction"})
    secret = re.search(r'id="credential_secret">([^<]+)<', answer.content.decode())[1]
    made = MachineCredential.objects.get()

    browser.post(reverse("credential-revoke", args=[environment.pk, made.pk]))

    assert credential_of(f"Terrain-Machine {secret}") is None
    assert browser.post(reverse("credential-revoke", args=[environment.pk, made.pk])).status_code == 409


def test_another_organisation_s_environment_is_not_there(julie):
    foreign = factories.environment()

    answer = signed_in(julie).get(reverse("environment-detail", args=[foreign.pk]))

    assert answer.status_code == 404


def test_an_old_second_factor_is_mended_from_the_refusal_itself():
    """The reason of rule G01 leads to the page of the fresh code, which leads back to the convention."""
    from consent.facts import links

    convention = factories.convention()
    samir = convention.named_persons.get().user
    browser = signed_in(samir)

    answer = browser.post(links(convention.offer, convention)["G01"], {"code": code_of(samir)})

    assert answer.url == reverse("convention-detail", args=[convention.ref])
