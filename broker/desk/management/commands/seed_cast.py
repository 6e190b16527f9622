"""`manage.py seed_cast`: the cast of the demo, and nothing else (issue: no ORM shortcut in the story)."""

import json
import secrets
from datetime import date

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from broker.accounts.models import Membership, Organisation, User
from broker.audit.actions import record
from broker.audit.actor import SYSTEM
from consent.models import DirectoryCompany
from deploy.demo import cast

# The cast was there before the demo began: their mandates hold on the first day of the story.
SINCE = date(2026, 1, 5)


class Command(BaseCommand):
    help = "Creates the demo's persons, organisations, memberships and companies directory. Needs DEMO=1; idempotent."

    def handle(self, *args, **options):
        if not settings.DEMO:
            raise CommandError("seed_cast writes made-up persons: it runs with DEMO=1 only, never in production.")
        path = settings.VAR / "cast.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        lost = {one.key for one in cast.CAST} - known.keys()
        with transaction.atomic():
            bodies = {body.key: self._organisation(body) for body in cast.BODIES}
            for one in cast.CAST:
                kept = known.setdefault(one.key, {"password": secrets.token_urlsafe(12), "totp": None})
                if one.seeded:
                    kept["totp"] = self._person(one, bodies[one.body], kept["password"], renew=one.key in lost)
            for line in cast.DIRECTORY:
                DirectoryCompany.objects.update_or_create(siren=line["siren"], defaults=line)
        path.touch(mode=0o600)
        path.write_text(json.dumps(known, indent=1))

    def _organisation(self, body: cast.Body) -> Organisation:
        made, is_new = Organisation.objects.get_or_create(
            siren=body.siren,
            defaults={
                "name": body.name, "kind": body.kind, "siret": body.siret, "legal_form": body.legal_form,
                "is_public_body": body.is_public_body, "contact_email": f"contact@{cast.DOMAINS[body.key]}",
                "dpo_email": f"dpo@{cast.DOMAINS[body.key]}",
            },
        )  # fmt: skip
        if is_new:
            record("organisation.create", by=SYSTEM, obj=made, org=made, detail={"name": made.name, "seed": True})
        return made

    def _person(self, one: cast.Character, organisation: Organisation, password: str, *, renew: bool) -> str:
        """Make `one` when absent; return the TOTP secret they hold."""
        person = User.objects.filter(email=one.email).first()
        if person is None:
            person = User.objects.create_user(one.email, password, full_name=one.full_name)
            EmailAddress.objects.create(user=person, email=one.email, primary=True, verified=True)
            record("user.signup", by=SYSTEM, obj=person, org=organisation, detail={"seed": True})
        elif renew:  # cast.json was lost: the printed password must open the door
            person.set_password(password)
            person.save(update_fields=["password"])
        for role in one.roles:
            mandate = one.mandate if role == Membership.Role.LEGAL_REPRESENTATIVE else ""
            membership, is_new = Membership.objects.get_or_create(
                user=person, organisation=organisation, role=role, defaults={"mandate": mandate, "joined_on": SINCE}
            )
            if is_new:
                record(
                    "membership.add", by=SYSTEM, obj=membership, org=organisation, detail={"role": role, "seed": True}
                )
        held = Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).first()
        if held:
            return decrypt(held.data["secret"])
        secret = generate_totp_secret()
        TOTP.activate(person, secret)
        return secret
