"""Where allauth meets the house: what is recorded of a sign-up and a sign-in, and how TOTP secrets are stored.

Hooks only, no signal: whoever reads a hook sees who calls it.
"""

import base64
import secrets
from datetime import timedelta

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts import second_factor
from broker.accounts.models import User
from broker.audit.actions import describe, record, recorded
from broker.audit.actor import ANONYMOUS

NONCE = 12  # bytes


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": _("Adresse ou mot de passe inexact."),
        "incorrect_code": _("Code inexact."),
        "too_many_login_attempts": _("Trop d'essais refusés : attendez cinq minutes avant de réessayer."),
        "rate_limited": _("Trop de demandes : attendez un instant avant de réessayer."),
    }

    def get_client_ip(self, request):
        """The address the house itself trusts (`TRUSTED_PROXIES`), so that limits count the same callers as the log."""
        return request.client_address

    def format_email_subject(self, subject):
        return f"Terrain : {subject}"

    def is_reauthentication_required(self, *, app, **facts):
        """Who has no second factor yet is on the way to get one; others gave it in the last five minutes, or again."""
        request = self.request
        if second_factor.authenticator_of(request.user) is None:
            return False
        given = second_factor.at(request)
        return given is None or clock.now() - given > timedelta(seconds=app_settings.REAUTHENTICATION_TIMEOUT)

    def save_user(self, request, user, form, commit=True):
        user.full_name = form.cleaned_data["full_name"]
        return self._sign_up(request, user, form, commit, by=ANONYMOUS)

    @staticmethod
    @recorded("user.signup")
    def _sign_up(request, user, form, commit, *, by):
        saved = DefaultAccountAdapter.save_user(AccountAdapter(request), request, user, form, commit)
        describe(obj=saved)
        return saved

    def set_password(self, user, password):
        self._set_password(user, password, by=user)

    @staticmethod
    @recorded("user.password")
    def _set_password(user, password, *, by):
        describe(obj=user)
        user.set_password(password)
        user.save(update_fields=["password"])

    def authentication_failed(self, request, **credentials):
        """A refused sign-in names the account when there is one; what was typed is never written."""
        known = User.objects.filter(email__iexact=credentials.get("email", "")).first()
        with transaction.atomic():
            record("user.sign_in", by=ANONYMOUS, obj=known, out="deny", reason=("password",))

    def post_login(self, request, user, **facts):
        methods = {entry["method"] for entry in get_authentication_records(request, user)}
        if "mfa" in methods:
            second_factor.remember(request)
            user.authenticated_by = "mfa"
        else:
            user.authenticated_by = "password"
        with transaction.atomic():
            record("user.sign_in", by=user, obj=user)
        return super().post_login(request, user, **facts)


class MFAAdapter(DefaultMFAAdapter):
    """TOTP secrets and recovery codes' seeds are sealed with a key drawn from SECRET_KEY: a copy of the database
    alone gives no second factor. A former key in SECRET_KEY_FALLBACKS still opens them."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": _("Code inexact : recopiez les six chiffres que montre votre application."),
        "cannot_delete_authenticator": _("Le second facteur est obligatoire : il se remplace, il ne se retire pas."),
    }

    def encrypt(self, text: str) -> str:
        nonce = secrets.token_bytes(NONCE)
        return base64.b64encode(nonce + _sealing(settings.SECRET_KEY).encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        sealed = base64.b64decode(encrypted_text)
        for secret_key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
            try:
                return _sealing(secret_key).decrypt(sealed[:NONCE], sealed[NONCE:], None).decode()
            except InvalidTag:
                continue
        raise ImproperlyConfigured(
            "A second factor was sealed under another SECRET_KEY: put the former one in SECRET_KEY_FALLBACKS."
        )

    def can_delete_authenticator(self, authenticator) -> bool:
        return authenticator.type != Authenticator.Type.TOTP


def _sealing(secret_key: str) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"terrain/second-factor/1")
    return AESGCM(derived.derive(secret_key.encode()))
