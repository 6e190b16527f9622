"""Reading the log is written in the log, before anything is shown."""

from dataclasses import replace
from datetime import date

from broker.audit import search
from broker.audit.actions import describe, recorded
from broker.desk.journal import month, permissions, picture


def read(query: search.Query, *, question: dict, before: int | None = None, by) -> search.Page:
    """One page of what `query` finds within the reader's scope; written down, then read. Raises NotAllowed.

    The reading is outside the transaction of its event: a long one would hold back the sequencer."""
    within = _search(question, before=before, by=by)
    return search.page(replace(query, within=within), before=before)


def count_month(
    query: search.Query, first: date, *, question: dict, asked: dict[str, str], page: int, by
) -> month.Report:
    """The month that begins on `first`, counted within the reader's scope; written down, then read. Raises NotAllowed.

    `asked` goes on into the search behind each cell."""
    within = _search(question, before=None, by=by)
    return month.report(replace(query, within=within), first, page=page, asked=asked)


@recorded("log.search")
def _search(question: dict, *, before: int | None, by):
    describe(detail={"question": question, "before": before})
    _place(by)
    return permissions.scope(by)


@recorded("log.read")
def open_entry(leaf_index: int, *, by) -> search.Entry | None:
    """The inscription of this place; None when there is none, or none that the reader may see. Raises NotAllowed."""
    describe(detail={"leaf_index": leaf_index})
    _place(by)
    return search.at(leaf_index, within=permissions.scope(by))


def _place(by) -> None:
    """Write the reading in the part of the log of the one zone that its reader holds."""
    if not permissions.reads_everything(by) and len(zones := permissions.zones_of(by)) == 1:
        describe(zone=zones[0].reference)


def over_time(query: search.Query, *, by) -> picture.Picture | None:
    """The picture of what `query` finds within the reader's scope: part of the reading that `read` wrote down."""
    return picture.draw(search.by_hour(replace(query, within=permissions.scope(by)), newest=picture.NEWEST))


@recorded("log.export")
def allow_export(
    query: search.Query | None, *, question: dict, details: bool = False, form: str = "bundle", by
) -> search.Query | None:
    """The query of the bundle, or of the export, that `by` may take away (None: the whole log). Raises NotAllowed.

    The file is written afterwards, outside this transaction: a long write would hold back the sequencer.
    """
    what = "whole" if query is None else "selection"
    describe(detail={"question": question, "form": form, "what": what, "details": details})
    _place(by)
    within = permissions.scope(by)
    if query is None or details:
        permissions.require_whole(by)
    return None if query is None else replace(query, within=within)
