"""The second factor: when it was last given in a session, and giving it again at an act.

Its time is read on the project's clock, so that the gate compares it with its own `now`. A code is spent once: a
second use is refused for as long as it would still be accepted (RFC 6238, section 5.2).
"""

from datetime import datetime, timedelta

from allauth.mfa import app_settings as mfa_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, validate_totp_code
from allauth.mfa.utils import decrypt
from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext as _

from broker import clock
from broker.accounts.models import User
from broker.audit.actions import describe, record, recorded, under_way
from broker.errors import BadInput

SESSION_KEY = "second_factor_at"
JUST_GIVEN = timedelta(minutes=5)
TRIES, TRIES_SECONDS = 5, 300  # wrong codes at an act, for one person, within this time


def at(request) -> datetime | None:
    """When this session's person last gave their second factor, on the project's clock; None if they did not."""
    written = request.session.get(SESSION_KEY)
    return datetime.fromisoformat(written) if written else None


def remember(request) -> None:
    """Note in the session that its person gave their second factor just now."""
    request.session[SESSION_KEY] = clock.now().isoformat()


def authenticator_of(user) -> Authenticator | None:
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()


def enrol(user, secret: str) -> Authenticator:
    """Give `user` the TOTP `secret` (base 32), stored encrypted: the demo's cast and the tests."""
    return TOTP.activate(user, secret).instance


def code_at(user, unix_time: float) -> str:
    """The code of `user`'s authenticator at a time: for the demo's page of the cast, and tests."""
    authenticator = authenticator_of(user)
    if authenticator is None:
        raise LookupError(f"{user} has no TOTP application")
    secret = decrypt(authenticator.data["secret"])
    return format_hotp_value(hotp_value(secret, int(unix_time) // mfa_settings.TOTP_PERIOD))


def spend(user, code: str) -> bool:
    """Mark `code` as used by `user`; false when it was used within the time it stays valid."""
    valid_for = (2 * mfa_settings.TOTP_TOLERANCE + 1) * mfa_settings.TOTP_PERIOD
    digits = "".join(sign for sign in code if sign.isdigit())
    return cache.add(f"second_factor.spent?user={user.pk}&code={digits}", "y", timeout=valid_for)


def confirm(user, code: str) -> dict[str, str]:
    """Check a fresh TOTP `code` of `user` at an act, and return the evidence: method, authenticator, time.

    Raises BadInput on a wrong, spent or missing code, and after too many wrong ones. A wrong code is counted even
    when the verb that asked for it is rolled back.
    """
    authenticator = authenticator_of(user)
    if authenticator is None:
        raise BadInput(_("Installez d'abord votre application d'authentification, depuis votre compte."))
    if cache.get(_tries(user), 0) >= TRIES:
        raise BadInput(_("Trop de codes refusés : attendez cinq minutes, puis donnez un code nouveau."))
    if not validate_totp_code(decrypt(authenticator.data["secret"]), code):
        _refuse(user, _("Code inexact : recopiez les six chiffres que montre votre application."))
    if not spend(user, code):
        _refuse(user, _("Ce code a déjà servi : attendez le suivant (trente secondes au plus)."))
    cache.delete(_tries(user))
    authenticator.record_usage()
    return {"method": "totp", "authenticator": str(authenticator.pk), "at": clock.now().isoformat()}


def just_given(request) -> dict[str, str] | None:
    """The evidence of a second factor given in this session less than `JUST_GIVEN` ago; None when none was.

    For acts that follow another at once: a code serves once, and nobody waits thirty seconds for the next one."""
    given = at(request)
    if given is None or not timedelta(0) <= clock.now() - given <= JUST_GIVEN:
        return None
    authenticator = authenticator_of(request.user)
    if authenticator is None:
        return None
    return {"method": "totp in this session", "authenticator": str(authenticator.pk), "at": given.isoformat()}


def _tries(user) -> str:
    return f"second_factor.tries?user={user.pk}"


def _refuse(user, message: str) -> None:
    """Count the try and tell the log: at once, or after the rollback of the verb under way."""

    def consequence():
        with transaction.atomic():
            User.objects.select_for_update(of=("self",)).get(pk=user.pk)  # guesses sent side by side count each
            cache.set(_tries(user), cache.get(_tries(user), 0) + 1, timeout=TRIES_SECONDS)
            record("user.second_factor", by=user, obj=user, out="deny", reason=("code",), detail={"message": message})

    error = BadInput(message)
    if under_way():
        error.afterwards = (consequence,)
    else:
        consequence()
    raise error


@recorded("user.second_factor")
def recorded_in_session(request, evidence: dict[str, str], *, by) -> None:
    """Write that `by` gave their second factor in this session, and when."""
    describe(obj=by, detail=evidence)
    remember(request)
