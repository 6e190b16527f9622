"""The cast is seeded in the demo alone, once, and nothing more than the cast."""

import json

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command

from broker.accounts.models import Membership, Organisation, User
from consent.models import DirectoryCompany, RegistryEntry
from deploy.demo import cast
from zones.models import Zone

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(settings, tmp_path):
    settings.DEMO = True
    settings.VAR = tmp_path
    return tmp_path


def test_nobody_is_seeded_outside_the_demo(settings):
    settings.DEMO = False

    with pytest.raises(CommandError, match="DEMO=1"):
        call_command("seed_cast")

    assert not User.objects.exists()


def test_the_cast_can_sign_in_with_what_the_file_says(demo):
    call_command("seed_cast")

    kept = json.loads((demo / "cast.json").read_text())
    claire = User.objects.get(email=cast.character("claire").email)
    assert claire.check_password(kept["claire"]["password"])
    assert kept["claire"]["totp"]
    assert (demo / "cast.json").stat().st_mode & 0o777 == 0o600


def test_glycea_is_only_a_line_of_the_directory(demo):
    call_command("seed_cast")

    assert DirectoryCompany.objects.filter(name="Glycéa").exists()
    assert not Organisation.objects.filter(name="Glycéa").exists()
    assert not User.objects.filter(full_name="Julie Caron").exists()
    assert not Zone.objects.exists()
    assert not RegistryEntry.objects.exists()


def test_seeding_twice_changes_nothing(demo):
    call_command("seed_cast")
    before = (demo / "cast.json").read_text()
    counts = [model.objects.count() for model in (User, Organisation, Membership, Authenticator)]

    call_command("seed_cast")

    assert (demo / "cast.json").read_text() == before
    assert [model.objects.count() for model in (User, Organisation, Membership, Authenticator)] == counts


def test_a_lost_file_gives_new_passwords_that_open_the_door(demo):
    call_command("seed_cast")
    (demo / "cast.json").unlink()

    call_command("seed_cast")

    kept = json.loads((demo / "cast.json").read_text())
    assert User.objects.get(email=cast.character("hugo").email).check_password(kept["hugo"]["password"])
