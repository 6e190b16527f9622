"""Searches that a reader keeps under a name: their own, seen by nobody else, and written in the log like every act.

To run one is to search: it is written down as a search, by `actions.read`.
"""

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from broker.audit.actions import describe, recorded
from broker.desk.journal import permissions
from broker.desk.models import SavedSearch
from broker.errors import BadInput, WrongState

MOST = 100  # of one reader


@recorded("search.save")
def save(name: str, *, asked: dict[str, str], by) -> SavedSearch:
    """Keep what was asked. Raises NotAllowed, BadInput for a name that is taken, WrongState beyond `MOST`."""
    describe(detail={"question": asked})
    permissions.scope(by)
    if SavedSearch.objects.for_user(by).count() >= MOST:
        raise WrongState(_("Cent recherches gardées : supprimez-en une d'abord."))
    made = _named(SavedSearch(owner=by, asked=asked), name)
    describe(obj=made)
    return made


@recorded("search.rename")
def rename(search: SavedSearch, name: str, *, by) -> SavedSearch:
    """Raises BadInput for a name that is taken, SavedSearch.DoesNotExist for a search of somebody else."""
    describe(obj=search)
    return _named(_own(search, by), name)


@recorded("search.remove")
def remove(search: SavedSearch, *, by) -> None:
    """Raises SavedSearch.DoesNotExist for a search of somebody else."""
    describe(obj=("savedsearch", str(search.pk)))
    _own(search, by).delete()


def _own(search: SavedSearch, by) -> SavedSearch:
    return SavedSearch.objects.for_user(by).select_for_update().get(pk=search.pk)


def _named(search: SavedSearch, name: str) -> SavedSearch:
    search.name = " ".join(name.split())
    try:
        with transaction.atomic():
            search.save()
    except IntegrityError as error:
        if "saved_search_once" not in str(error):
            raise
        raise BadInput(_("Vous gardez déjà une recherche sous ce nom : choisissez-en un autre.")) from error
    return search
