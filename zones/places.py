"""Where the operator keeps its own files: a folder of the zone's machine, or a bucket of S3. For the worker alone.

One small interface, the same for both: `list`, `look`, `open`. Every zone has its own part, named by its slug. Files
stay where they are: a version keeps their address, a mark (the entity tag) and the SHA-256 of what was read once.

The folder is opened part by part without following any link: a storage library would follow them (tried: obstore's
LocalStore read /etc/passwd through a link). S3 goes through obstore; its secret stands in the worker's environment.
"""

import errno
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _

from broker.errors import BadInput, WrongState
from zones.models import VersionFile, Zone
from zones.reading import EXTENSIONS

if TYPE_CHECKING:
    from obstore import GetOptions

log = logging.getLogger(__name__)
PIECE = 1024 * 1024  # bytes
MOST = 500  # files listed
DEEP = 4  # parts of an address
REF_SIGNS = 1000  # as stored


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a place: its address there, its size in bytes, and a mark that changes when the file does."""

    ref: str
    size: int
    mark: str


class NotThere(BadInput):
    """A file that is gone, changed, or no plain file; the message names the mend."""


def gone(ref: str) -> NotThere:
    return NotThere(
        _("« %(ref)s » n'est plus là où l'opérateur le tenait. Remettez-le, ou choisissez un autre fichier.")
        % {"ref": ref}
    )


def changed(ref: str) -> NotThere:
    return NotThere(
        _("La source a changé : « %(ref)s » n'est plus le fichier qui a été examiné. Remettez celui d'origine, ou "
          "faites lire le nouveau : il deviendra une version.") % {"ref": ref}
    )  # fmt: skip


def parts_of(ref: str) -> list[str]:
    """The parts of an address. Raises NotThere for one that no list could have given."""
    parts = ref.split("/")
    if (
        len(parts) > DEEP
        or len(ref) > REF_SIGNS
        or any(part in ("", ".", "..") or any(ord(sign) < 32 for sign in part) for part in parts)
    ):
        raise NotThere(_("Cette adresse n'est pas celle d'un fichier de la zone. Choisissez-en un dans la liste."))
    return parts


def _is_listed(ref: str) -> bool:
    """Whether a name can be shown and chosen: a format that is read, no sign that hides."""
    if not ref.lower().endswith(EXTENSIONS) or not ref.isprintable():
        return False
    try:
        ref.encode()
        parts_of(ref)
    except (UnicodeEncodeError, NotThere):
        return False
    return True


class Folder:
    """A folder of the worker's machine."""

    def __init__(self, root: Path):
        self.root = root

    def list(self) -> list[Found]:
        """The plain files, by name; links, devices and names that cannot be shown are not among them."""
        found: list[Found] = []
        for at, folders, names, here in os.fwalk(self.root, follow_symlinks=False):
            base = Path(at).relative_to(self.root)
            if len(base.parts) >= DEEP - 1:
                folders.clear()
            folders.sort()
            for name in sorted(names):
                ref = (base / name).as_posix()
                if not _is_listed(ref):
                    continue
                facts = os.stat(name, dir_fd=here, follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    found.append(Found(ref, facts.st_size, _mark(facts)))
                if len(found) == MOST:
                    return found
        return found

    def look(self, ref: str) -> Found:
        descriptor = self._descriptor(ref)
        try:
            facts = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return Found(ref, facts.st_size, _mark(facts))

    def open(self, ref: str, *, mark: str) -> Iterator[bytes]:
        """The bytes, in pieces. Raises NotThere when the file is not, or is no more, the one that bears `mark`."""
        with os.fdopen(self._descriptor(ref), "rb", buffering=0) as file:
            if _mark(os.fstat(file.fileno())) != mark:
                raise changed(ref)
            while piece := file.read(PIECE):
                yield piece
            if _mark(os.fstat(file.fileno())) != mark:
                raise changed(ref)

    def _descriptor(self, ref: str) -> int:
        """The file opened from the root down, each part by itself, no link followed, nothing waited for."""
        *folders, name = parts_of(ref)
        here = -1
        try:
            here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            for part in folders:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                os.close(here)
                here = inner
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
                raise _not_plain(ref) from None
            if error.errno == errno.EACCES:
                raise NotThere(
                    _("« %(ref)s » ne se laisse pas ouvrir par l'ouvrier de la zone. Donnez-lui le droit de le lire.")
                    % {"ref": ref}
                ) from None
            raise gone(ref) from error
        finally:
            if here >= 0:
                os.close(here)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise _not_plain(ref)
        return file


def _not_plain(ref: str) -> NotThere:
    return NotThere(
        _("« %(ref)s » est un lien, un tube ou un périphérique. Déposez le fichier lui-même dans le dossier.")
        % {"ref": ref}
    )


def _mark(facts: os.stat_result) -> str:
    return f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"


class Bucket:
    """The part of a bucket of S3 whose keys begin with the zone's slug. No error of the library is shown or logged
    whole: it may quote a request."""

    def __init__(self, slug: str):
        from obstore.store import S3Store

        self.store = S3Store(
            settings.S3_BUCKET,
            prefix=slug,
            endpoint=settings.S3_ENDPOINT or None,
            region=settings.S3_REGION,
            access_key_id=settings.S3_KEY,
            secret_access_key=settings.S3_SECRET,
            virtual_hosted_style_request=False,
            client_options={"allow_http": settings.S3_ENDPOINT.startswith("http://")},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        )

    def list(self) -> list[Found]:
        import obstore

        found: list[Found] = []
        try:
            for page in obstore.list(self.store, chunk_size=MOST):
                found += [_of(one) for one in page if _is_listed(one["path"])]
                if len(found) >= MOST:
                    break
        except Exception as error:
            raise _unreachable(error) from None
        return sorted(found, key=lambda one: one.ref)[:MOST]

    def look(self, ref: str) -> Found:
        import obstore

        parts_of(ref)
        try:
            return _of(obstore.head(self.store, ref))
        except FileNotFoundError:
            raise gone(ref) from None
        except Exception as error:
            raise _unreachable(error) from None

    def open(self, ref: str, *, mark: str) -> Iterator[bytes]:
        """The bytes, in pieces: of one answer, which S3 never mixes from two objects."""
        import obstore
        from obstore.exceptions import PreconditionError

        tag, _sign, version = mark.partition(" ")
        options: GetOptions = {"if_match": tag, "version": version} if version else {"if_match": tag}
        try:
            answer = obstore.get(self.store, ref, options=options)
            for piece in answer.stream(min_chunk_size=PIECE):
                yield bytes(piece)
        except PreconditionError:
            raise changed(ref) from None
        except FileNotFoundError:
            raise gone(ref) from None
        except GeneratorExit:
            raise
        except Exception as error:
            raise _unreachable(error) from None


def _of(meta) -> Found:
    return Found(meta["path"], meta["size"], " ".join(part for part in (meta["e_tag"], meta["version"]) if part))


def _unreachable(error: Exception) -> BadInput:
    log.error("the bucket of sources did not answer: %s", type(error).__name__)
    return BadInput(
        _("Le stockage S3 ne répond pas, ou refuse l'ouvrier de la zone. Vérifiez son adresse et sa clé avec "
          "l'administrateur, puis recommencez.")
    )  # fmt: skip


def of_zone(zone: Zone, place: str) -> Folder | Bucket:
    """The place of that kind of `zone`. Raises WrongState when this machine has none."""
    if place == VersionFile.Place.FOLDER and settings.SOURCES_FOLDER is not None:
        return Folder(settings.SOURCES_FOLDER / zone.slug)
    if place == VersionFile.Place.S3 and settings.S3_BUCKET:
        return Bucket(zone.slug)
    raise WrongState(
        _("Ce lieu n'est pas réglé sur le poste de la zone. Demandez à l'administrateur de le nommer, puis "
          "recommencez.")
    )  # fmt: skip


def known(zone: Zone) -> list[str]:
    """The kinds of place that this machine has for `zone`."""
    kinds = []
    if settings.SOURCES_FOLDER is not None and (settings.SOURCES_FOLDER / zone.slug).is_dir():
        kinds.append(str(VersionFile.Place.FOLDER))
    return kinds + ([str(VersionFile.Place.S3)] if settings.S3_BUCKET else [])
