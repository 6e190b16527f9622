"""Does today's log extend an older checkpoint? Asked by anybody, answered from the public tree, with the proof."""

import logging
from dataclasses import dataclass

from django.utils.translation import gettext as _

from broker.audit import merkle, state, tiles, witnesses
from broker.audit.checkpoint import Checkpoint, InvalidNote
from broker.errors import BadInput

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """`old` is what was seen, `new` the published checkpoint it was compared with. `extends`: nothing of `old` was
    altered or removed. Otherwise the log was rewritten, or cut, behind a checkpoint that its own key signed."""

    old: Checkpoint
    new: state.Published
    extends: bool

    @property
    def added(self) -> int:
        return self.new.size - self.old.size

    @property
    def was_cut(self) -> bool:
        return self.added < 0


def with_today(note: str) -> Answer:
    """Compare a signed checkpoint that somebody kept with the last published one.

    Raises InvalidNote when it is none of this log's, BadInput before the first one.
    """
    last, verifier = _last()
    return _answer(Checkpoint.open(_as_signed(note), verifier), last)


def between(old_size: int, new_size: int) -> Answer:
    """Compare two published checkpoints. Raises LookupError, which names the size, when one was never published."""
    _, verifier = _last()
    older, newer = state.checkpoint(old_size), state.checkpoint(new_size)
    if older is None or newer is None:
        raise LookupError(old_size if older is None else new_size)
    return _answer(Checkpoint(verifier.name, older.size, older.root), newer)


def proof(old_size: int, new_size: int) -> str:
    """The proof that the published checkpoint of `new_size` leaves extends the tree of `old_size`, as a witness reads
    it (c2sp.org/tlog-witness). Raises LookupError when there is no such checkpoint or no such tree."""
    new = state.checkpoint(new_size)
    if new is None or not 0 < old_size <= new_size:
        raise LookupError(new_size)
    return witnesses.request(old_size, _path(old_size, new_size), new.signed)


def _last():
    last, verifier = state.checkpoint(), state.verifier()
    if last is None or verifier is None:
        raise BadInput(_("Le journal n’a encore aucun relevé signé : réessayez dans un instant."))
    return last, verifier


def _as_signed(pasted: str) -> str:
    """What mail and forms do to a note, undone: line ends, blanks around."""
    return pasted.replace("\r\n", "\n").strip() + "\n"


def _path(old_size: int, new_size: int) -> list[bytes]:
    return merkle.consistency_path(old_size, new_size, tiles.node_reader(state.read_tile))


def _answer(old: Checkpoint, new: state.Published) -> Answer:
    if old.size < 1:
        raise InvalidNote("a checkpoint of an empty log proves nothing")
    try:
        if old.size > new.size:
            raise merkle.InvalidProof(f"it holds {old.size} leaves and the log {new.size}")
        merkle.verify_consistency(old.size, new.size, _path(old.size, new.size), old.root, new.root)
    except (merkle.InvalidProof, LookupError) as error:
        log.critical("the published log does not extend a checkpoint of %d leaves that it signed: %s", old.size, error)
        return Answer(old, new, extends=False)
    return Answer(old, new, extends=True)
