"""The key store: a folder, outside the database and its backups, of one key-encryption key a file.

A data key is wrapped by its own key-encryption key; the database holds the wrapped form only. Destroying a data key
is deleting that one file: no backup of the database brings it back. Only the worker knows the folder.
"""

import base64
import os
import secrets
import stat
from pathlib import Path

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from broker import clock
from broker.audit.actions import describe, record, recorded
from broker.audit.actor import Actor
from broker.errors import BadInput, WrongState
from broker.keys.models import DataKey

WORKER = Actor("service:worker", kind="service", auth="none")
NONCE = 12  # bytes; a key-encryption key wraps one single message in its life


class KeyStore:
    """The keys under `folder` (default: the setting). Raises ImproperlyConfigured, with the mend, on a bad folder."""

    def __init__(self, folder: str | os.PathLike | None = None):
        chosen = folder if folder is not None else settings.KEY_STORE
        if not chosen:
            raise ImproperlyConfigured(
                "TERRAIN_KEY_STORE is not set: this process may not read keys. Only the zone's worker has a key "
                "store; start it with TERRAIN_KEY_STORE=<a folder of mode 0700 that only its user can read>."
            )
        self.folder = Path(chosen)
        self._check_folder()

    def _check_folder(self) -> None:
        if not self.folder.is_dir():
            raise ImproperlyConfigured(
                f"The key store {self.folder} is no folder. If its volume is not mounted, mount it; for a first "
                f"start make it: install -d -m 700 {self.folder}"
            )
        facts = self.folder.stat()
        if facts.st_uid != os.geteuid():
            raise ImproperlyConfigured(
                f"The key store {self.folder} belongs to another user (uid {facts.st_uid}): "
                "give it to the worker's user with chown."
            )
        if stat.S_IMODE(facts.st_mode) != 0o700:
            raise ImproperlyConfigured(f"The key store {self.folder} is open to others: chmod 700 {self.folder}")

    def create(self, purpose: str, ref: str, *, by=WORKER) -> DataKey:
        """Make the key of `ref` for `purpose`, or return the one it already has. Raises WrongState if destroyed."""
        if purpose not in DataKey.Purpose.values:
            raise BadInput(_("« %(purpose)s » n'est pas un usage de clé connu.") % {"purpose": purpose})
        existing = DataKey.objects.filter(purpose=purpose, ref=ref).first()
        if existing is None:
            try:
                return self._create(purpose, ref, by=by)
            except IntegrityError as error:  # another worker made it in the same moment
                if "key_serves_one_thing" not in str(error):
                    raise
                existing = DataKey.objects.get(purpose=purpose, ref=ref)
        _refuse_destroyed(existing)
        return existing

    @recorded("key.create")
    def _create(self, purpose, ref, *, by):
        describe(obj=("datakey", ref, purpose))
        wrapping_key_id, wrapping_key = secrets.token_hex(16), AESGCM.generate_key(bit_length=256)
        if purpose == DataKey.Purpose.SOURCE:
            identity = pyrage.x25519.Identity.generate()
            secret, public = str(identity).encode(), str(identity.to_public())
        elif purpose == DataKey.Purpose.SIGNING:
            seed = secrets.token_bytes(32)
            shown = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
            secret, public = seed.hex().encode(), base64.b64encode(shown).decode()
        else:
            secret, public = secrets.token_hex(32).encode(), ""
        nonce = secrets.token_bytes(NONCE)
        wrapped = nonce + AESGCM(wrapping_key).encrypt(nonce, secret, _bound_to(purpose, ref, wrapping_key_id))
        self._write(wrapping_key_id, wrapping_key)
        try:
            with transaction.atomic():
                return DataKey.objects.create(
                    purpose=purpose, ref=ref, wrapping_key_id=wrapping_key_id, wrapped=wrapped, public=public
                )
        except BaseException:
            self._path(wrapping_key_id).unlink()
            raise

    def open(self, purpose: str, ref: str, *, by=WORKER, covered_by: str = "") -> bytes:
        """The key itself: 64 hexadecimal characters, or an age identity ("AGE-SECRET-KEY-1...").

        Each opening is an event, unless `covered_by` names the act under way whose own event tells it already
        ("data.build"). Raises WrongState when the key was never made, was destroyed, or does not match its row.
        """
        key = DataKey.objects.filter(purpose=purpose, ref=ref).first()
        if key is None:
            raise WrongState(_("La clé « %(ref)s » n'est pas encore faite : réessayez dans un instant.") % {"ref": ref})
        _refuse_destroyed(key)
        path = self._path(key.wrapping_key_id)
        try:
            facts = path.stat()
            wrapping_key = path.read_bytes()
        except FileNotFoundError as error:
            raise WrongState(
                _("Le magasin de clés n'a pas la clé de « %(ref)s » : montez le magasin qui l'a faite.") % {"ref": ref}
            ) from error
        if stat.S_IMODE(facts.st_mode) != 0o600:
            raise ImproperlyConfigured(f"The key file {path} is open to others: chmod 600 {path}")
        wrapped = bytes(key.wrapped)
        try:
            secret = AESGCM(wrapping_key).decrypt(
                wrapped[:NONCE], wrapped[NONCE:], _bound_to(key.purpose, key.ref, key.wrapping_key_id)
            )
        except (InvalidTag, ValueError) as error:
            raise WrongState(
                _("La clé de « %(ref)s » ne s'ouvre pas : elle a été altérée ou le magasin n'est pas le sien.")
                % {"ref": ref}
            ) from error
        if not covered_by:
            with transaction.atomic():
                record("key.open", by=by, obj=("datakey", ref, purpose))
        return secret

    @recorded("key.destroy")
    def destroy(self, purpose: str, ref: str, *, by=WORKER, reason: str = "") -> DataKey:
        """Delete the key-encryption key, for good. The file goes before the row says so: a crash in between is
        mended by destroying again. Raises WrongState when there is no such key."""
        describe(obj=("datakey", ref, purpose), detail={"reason": reason})
        key = DataKey.objects.select_for_update().filter(purpose=purpose, ref=ref).first()
        if key is None:
            raise WrongState(_("Aucune clé « %(ref)s » à détruire.") % {"ref": ref})
        self._path(key.wrapping_key_id).unlink(missing_ok=True)
        self._sync_folder()
        if key.destroyed_at is None:
            key.destroyed_at = clock.now()
            key.save(update_fields=["destroyed_at"])
        return key

    def _path(self, wrapping_key_id: str) -> Path:
        return self.folder / f"{wrapping_key_id}.key"

    def _write(self, wrapping_key_id: str, wrapping_key: bytes) -> None:
        """On the disk before the row exists: a row without its file would be a key nobody can open."""
        descriptor = os.open(self._path(wrapping_key_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(wrapping_key)
            file.flush()
            os.fsync(file.fileno())
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _bound_to(purpose: str, ref: str, wrapping_key_id: str) -> bytes:
    """What the wrapped form is bound to: moved to another row, it does not open."""
    return f"terrain/key/1|{purpose}|{ref}|{wrapping_key_id}".encode()


def _refuse_destroyed(key: DataKey) -> None:
    if key.destroyed_at is not None:
        raise WrongState(
            _("La clé de « %(ref)s » a été détruite : ses pseudonymes ne peuvent plus être refaits.") % {"ref": key.ref}
        )
