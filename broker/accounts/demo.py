"""What the demo's page shows: its made-up cast with today's codes, and the letters it sent. Read with DEMO=1 only."""

import email
import email.policy
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.utils.translation import gettext as _

from broker.accounts import second_factor
from broker.accounts.models import Organisation, User

MAILS = 10
# A code stands alone on its line in the letters of templates/account/email.
CODE = re.compile(r"^([A-Z0-9]{4}-[A-Z0-9]{4})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Letter:
    to: str
    subject: str
    at: str
    body: str

    @property
    def code(self) -> str:
        found = CODE.search(self.body)
        return found[1] if found else ""


def cast() -> list[dict[str, Any]]:
    """Who is who, with the password that `seed_cast` wrote and the TOTP code of this moment."""
    from deploy.demo.cast import BODIES, CAST, NEWCOMERS

    bodies = {body.key: body.name for body in BODIES} | NEWCOMERS
    kinds = {body.key: Organisation.Kind(body.kind).label for body in BODIES}
    places = {
        "/bureau/": _("son bureau"), "/catalogue/": _("le catalogue"), "/journal/": _("le journal"),
        "/conventions/": _("ses conventions"),
    }  # fmt: skip
    path = settings.VAR / "cast.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    enrolled = {
        holder.user.email: holder.user
        for holder in Authenticator.objects.filter(
            type=Authenticator.Type.TOTP, user__email__in=[one.email for one in CAST]
        ).select_related("user")
    }
    return [
        {
            "key": one.key, "kind": kinds.get(one.body, str(Organisation.Kind.EXPERIMENTER.label)),
            "look_at": places.get(one.look_first, one.look_first),
            "full_name": one.full_name, "title": one.title, "body": bodies[one.body],
            "email": one.email, "password": kept.get(one.key, {}).get("password", ""), "sees": one.sees,
            "look_first": one.look_first, "code": _code(enrolled.get(one.email)),
        }
        for one in CAST
    ]  # fmt: skip


def _code(user: User | None) -> str:
    return second_factor.code_at(user, time.time()) if user else ""


def seconds_left() -> int:
    """Until the codes change."""
    return mfa_settings.TOTP_PERIOD - int(time.time()) % mfa_settings.TOTP_PERIOD


def letters() -> list[Letter]:
    """The last messages of the demo's mail folder, newest first."""
    found = []
    paths = sorted(settings.VAR.joinpath("mail").glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in paths[:MAILS]:
        # The file back end ends each message with a line of 79 dashes.
        for part in reversed(path.read_bytes().split(b"\n" + b"-" * 79 + b"\n")):
            if not part.strip():
                continue
            message = email.message_from_bytes(part.strip(), policy=email.policy.default)
            body = message.get_body(("plain",))
            found.append(
                Letter(
                    to=str(message["To"]), subject=str(message["Subject"]), at=str(message["Date"]),
                    body=body.get_content().strip() if body else "",
                )
            )  # fmt: skip
    return found[:MAILS]
