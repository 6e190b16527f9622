"""Reading the log is written in the log, before anything is shown."""

from dataclasses import replace

from broker.audit import search
from broker.audit.actions import describe, recorded
from broker.desk.journal import permissions, picture


def _within(query: search.Query, zones: tuple[str, ...] | None) -> search.Query:
    """`query` limited to what the reader may see."""
    if zones is None:
        return query
    return replace(query, zone=zones if query.zone is None else tuple(z for z in query.zone if z in zones))


@recorded("log.search")
def read(query: search.Query, *, question: dict, before: int | None = None, by) -> search.Page:
    """One page of what `query` finds within the reader's scope. Raises NotAllowed."""
    describe(detail={"question": question, "before": before})
    zones = permissions.scope(by)
    if zones is not None:
        describe(zone=zones[0] if len(zones) == 1 else "")
    return search.page(_within(query, zones), before=before)


def over_time(query: search.Query, *, by) -> picture.Picture | None:
    """The picture of what `query` finds within the reader's scope: part of the reading that `read` wrote down."""
    return picture.draw(search.by_hour(_within(query, permissions.scope(by)), newest=picture.NEWEST))


@recorded("log.export")
def allow_export(query: search.Query | None, *, question: dict, details: bool, by) -> search.Query | None:
    """The query of the bundle that `by` may take away (None: the whole log). Raises NotAllowed.

    The file is written afterwards, outside this transaction: a long write would hold back the sequencer.
    """
    describe(detail={"question": question, "form": "whole" if query is None else "selection", "details": details})
    zones = permissions.scope(by)
    if query is None or details:
        permissions.require_whole(by)
    return None if query is None else _within(query, zones)
