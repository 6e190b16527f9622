"""Sealing a source as it arrives: SHA-256 of the original bytes, then age to the zone's key, straight to the disk.

The web's processes know the zone's public key only. No clear byte touches their disk: the bytes go from the request
through a pipe to age, a piece at a time. What is not finished is removed.
"""

import contextlib
import hashlib
import logging
import os
import re
import threading
import time
import uuid
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import pyrage
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.utils.translation import gettext as _

from broker.errors import BadInput, WrongState
from broker.keys.models import DataKey
from zones.models import Zone
from zones.parquet import ENCRYPTED, MAGIC, refusal
from zones.reading import EXTENSIONS, GZIP, PARQUET, wrong_kind

log = logging.getLogger(__name__)
STALE_AFTER = 24 * 3600.0  # seconds without a byte
FORM_OVERHEAD = 64 * 1024  # bytes of a request that are not its file: other fields, boundaries


def recipient_of(zone: Zone) -> str:
    """The public key that sources of `zone` are sealed to. Raises WrongState while the worker has not made it."""
    key = DataKey.objects.filter(purpose=DataKey.Purpose.SOURCE, ref=f"zone:{zone.pk}", destroyed_at=None).first()
    if key is None or not key.public:
        raise WrongState(
            _("La clé de la zone n'est pas encore prête : elle se fait en quelques secondes après la création de la "
              "zone. Rechargez la page ; si cela dure, l'ouvrier de la zone est arrêté.")
        )  # fmt: skip
    return key.public


def too_large(limit: int) -> BadInput:
    gib = limit / 1024**3
    said = f"{gib:.0f} Gio" if gib >= 1 else f"{limit:,} octets".replace(",", " ")
    return BadInput(
        _("Le fichier dépasse %(limit)s. Compressez-le avec gzip, ou découpez-le par période.") % {"limit": said}
    )


def not_kept() -> BadInput:
    return BadInput(
        _("Le fichier n'a pas pu être conservé : le disque des sources est plein ou fermé. Rien n'est gardé. Prévenez "
          "l'administrateur, puis envoyez-le à nouveau.")
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sealed:
    """A source on the disk, sealed. `stored_as` is its path under settings.SOURCES; `size` that of the original."""

    file_name: str
    stored_as: str
    sha256: str
    size: int
    resource: str = ""  # the FHIR type that its first line names

    def remove(self) -> None:
        remove_stored(self.stored_as)


def remove_stored(stored_as: str) -> None:
    """Sealed bytes that nothing names any more."""
    (settings.SOURCES / stored_as).unlink(missing_ok=True)


class Seal:
    """A place to write original bytes to; `finish` gives the sealed file, `abandon` leaves nothing."""

    def __init__(self, zone: Zone, recipient: str):
        folder = settings.SOURCES / str(zone.pk)
        settings.SOURCES.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        self.stored_as = f"{zone.pk}/{uuid.uuid4().hex}.age"
        self.partial = Path(settings.SOURCES / f"{self.stored_as}.part")
        self.digest = hashlib.sha256()
        self.size = 0
        self.error: BaseException | None = None
        reading, writing = os.pipe()
        self.pipe = os.fdopen(writing, "wb", buffering=0)
        descriptor = os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        recipients = [pyrage.x25519.Recipient.from_str(recipient)]
        self.thread = threading.Thread(
            target=self._run, args=(reading, descriptor, recipients), name="seal-source", daemon=True
        )
        self.thread.start()

    def _run(self, reading, descriptor, recipients) -> None:
        # Closing the reading end on failure makes the next write fail instead of waiting for ever.
        with os.fdopen(reading, "rb") as clear, os.fdopen(descriptor, "wb") as sealed:
            try:
                pyrage.encrypt_io(clear, sealed, recipients)
                sealed.flush()
                os.fsync(sealed.fileno())
            except BaseException as error:
                self.error = error

    def write(self, piece: bytes) -> None:
        """Raises OSError when the sealed bytes cannot be written (a full disk)."""
        self.digest.update(piece)
        self.size += len(piece)
        view = memoryview(piece)
        try:
            while view:
                view = view[self.pipe.write(view) :]
        except BrokenPipeError:
            self.thread.join()
            raise self._failure() from None

    def _failure(self) -> OSError:
        return OSError(f"the source could not be sealed: {self.error}")

    def finish(self, file_name: str) -> Sealed:
        self.pipe.close()
        self.thread.join()
        if self.error is not None:
            self.partial.unlink(missing_ok=True)
            raise self._failure() from self.error
        self.partial.rename(settings.SOURCES / self.stored_as)
        return Sealed(file_name, self.stored_as, self.digest.hexdigest(), self.size)

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.thread.join()
        self.partial.unlink(missing_ok=True)


def remove_stale(*, older_than: float = STALE_AFTER) -> None:
    """Remove what a web process killed in the middle of an upload left: sealed, unfinished, named by no version."""
    limit = time.time() - older_than
    for partial in settings.SOURCES.glob("*/*.part"):
        with contextlib.suppress(FileNotFoundError):
            if partial.stat().st_mtime < limit:
                partial.unlink()


MOST_FILES = 60  # of one request; settings.DATA_UPLOAD_MAX_NUMBER_FILES is a little more
HEAD = 64 * 1024  # bytes of the first line that are looked at
RESOURCE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]{1,60})"')


class SealingUploadHandler(FileUploadHandler):
    """Django's door for the files of one form. `kept` holds the results, `problem` what to tell the person.

    `limit` is of the whole request, in bytes. A problem with one file keeps none.
    """

    def __init__(self, request, *, zone: Zone, recipient: str, limit: int):
        super().__init__(request)
        self.zone, self.recipient, self.limit = zone, recipient, limit
        self.seal: Seal | None = None
        self.kept: list[Sealed] = []
        self.problem: BadInput | None = None
        self.name = ""  # of the file, once it has begun
        self.resource = ""

    def new_file(self, field_name, file_name, *args, **kwargs):
        super().new_file(field_name, file_name, *args, **kwargs)
        if len(self.kept) == MOST_FILES:
            told = _("%(most)s fichiers au plus à la fois. Envoyez les autres ensuite.")
            self._stop(BadInput(told % {"most": MOST_FILES}))
        self.name = name = PurePath(file_name).name[:200]
        if not name.lower().endswith(EXTENSIONS):
            self._stop(
                BadInput(
                    _("« %(name)s » n'est pas un fichier lisible ici. Envoyez du CSV ou du JSON par lignes, au besoin "
                      "compressé, ou du Parquet : %(extensions)s.")
                    % {"name": name, "extensions": ", ".join(EXTENSIONS)}
                )
            )  # fmt: skip
        self.seal = Seal(self.zone, self.recipient)

    def receive_data_chunk(self, raw_data, start):
        assert self.seal is not None  # noqa: S101  Django calls new_file first
        if start == 0 and (problem := self._wrong_kind(raw_data)):
            self._stop(BadInput(problem))
        if start == 0:
            self.resource = resource_of(raw_data)
        if sum(one.size for one in self.kept) + self.seal.size + len(raw_data) > self.limit:
            self._stop(too_large(self.limit))
        try:
            self.seal.write(raw_data)
        except OSError:
            log.exception("a source could not be written under %s", settings.SOURCES)
            self._stop(not_kept())
        # None: the bytes are ours, no other handler sees them.

    def _wrong_kind(self, first: bytes) -> str:
        """What a file that begins so is instead of what its name says; "" when nothing tells."""
        if self.name.lower().endswith(PARQUET):
            problem = "" if first.startswith(MAGIC) else "encrypted" if first.startswith(ENCRYPTED) else "other"
            return refusal({"problem": problem}) if problem else ""
        return "" if first.startswith(GZIP) else wrong_kind(first)

    def file_complete(self, file_size):
        seal, self.seal = self.seal, None
        assert seal is not None  # noqa: S101  Django calls new_file first
        if seal.size == 0:
            seal.abandon()
            self.problem = BadInput(
                _("Le fichier est vide : « %(name)s ». Choisissez-en un autre.") % {"name": self.name}
            )
        else:
            try:
                self.kept.append(replace(seal.finish(self.name), resource=self.resource))
            except OSError:
                log.exception("a source could not be written under %s", settings.SOURCES)
                self.problem = not_kept()
        return UploadedFile(name=self.name, size=seal.size)

    def upload_interrupted(self):
        self.discard()

    def _stop(self, problem: BadInput):
        """Keep the first problem, leave nothing on the disk, read what is left of the request without keeping it."""
        self.problem = self.problem or problem
        self.discard()
        raise StopUpload(connection_reset=False)

    def discard(self) -> None:
        """Nothing of this request stays on the disk."""
        if self.seal is not None:
            self.seal.abandon()
            self.seal = None
        for sealed in self.kept:
            sealed.remove()
        self.kept = []


def resource_of(first: bytes) -> str:
    """The FHIR type that the first line of a file names; "" when it names none."""
    if first.startswith(GZIP):
        with contextlib.suppress(zlib.error):
            first = zlib.decompressobj(wbits=31).decompress(first, HEAD)
    found = RESOURCE.search(first.partition(b"\n")[0][:HEAD])
    return found.group(1).decode() if found and first.lstrip().startswith(b"{") else ""
