"""A month of the log in figures, from `audit_rollup_day`: by day, act, organisation and convention.

The rollup is a function of the index, whose days are those of Paris: every figure is the length of a search, and each
cell leads to it. Two queries, whatever the month holds; the reader's scope is that of every other reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from broker import clock
from broker.accounts.models import Organisation
from broker.audit import exports, search
from broker.desk.journal import phrases
from broker.desk.journal.picture import STEP, Bar

LINES = 25  # lines of a table on one page; the days are always whole
MOST_PAGES = 400
OUTS = ("allow", "deny", "error")
KINDS = {0b0111: "day", 0b1011: "act", 0b1101: "org", 0b1110: "conv", 0b1111: "all"}  # as grouping() numbers them
COLUMNS = ("day", "zone", "org", "conv", "act", "out", "purp", "n")

COUNTED = """
    WITH month AS MATERIALIZED (
        SELECT i.day, i.act, i.out, i.org, split_part(substr(i.conv, 4), '@', 1) AS conv, i.n
        FROM audit_rollup_day i WHERE {where}
    ), counted AS (
        SELECT grouping(day, act, org, conv) AS kind, day, act, org, conv,
            coalesce(sum(n) FILTER (WHERE out = 'allow'), 0) AS allow,
            coalesce(sum(n) FILTER (WHERE out = 'deny'), 0) AS deny,
            coalesce(sum(n) FILTER (WHERE out = 'error'), 0) AS error
        FROM month GROUP BY GROUPING SETS ((day), (act), (org), (conv), ())
    ), placed AS (
        SELECT *, row_number() OVER (PARTITION BY kind, coalesce(org, conv) = '' ORDER BY allow + deny + error DESC,
            day, act, org, conv) AS place, count(*) OVER (PARTITION BY kind, coalesce(org, conv) = '') AS many
        FROM counted
    )
    SELECT kind, coalesce(day::text, act, org, conv), allow::bigint, deny::bigint, error::bigint, many FROM placed
    WHERE kind IN (7, 15) OR coalesce(org, conv) = '' OR place > %s AND place <= %s
    ORDER BY kind, place
"""
ROWS = "SELECT {columns} FROM audit_rollup_day i WHERE {where} ORDER BY day, zone, org, conv, act, out, purp"


@dataclass(frozen=True, slots=True)
class Cell:
    """How many inscriptions, and the search that lists them; no address where there is none to list."""

    n: int
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """What was counted, in words; done, refused and failed."""

    name: str
    note: str
    cells: tuple[Cell, ...]

    @property
    def total(self) -> int:
        return sum(cell.n for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Table:
    """One way to count the month: `many` lines in all, of which `lines` are on this page."""

    kind: str
    title: Any
    column: Any
    lines: list[Line]
    many: int
    unnamed: int = 0  # inscriptions that name none


@dataclass(frozen=True, slots=True)
class DayBar(Bar):
    """The bar of a day, and where it leads."""

    day: date
    url: str


@dataclass(frozen=True, slots=True)
class Report:
    first: date
    last: date
    whole: Line
    days: list[tuple[date, Line]]
    bars: list[DayBar]
    tables: list[Table]
    page: Any

    @property
    def wide(self) -> int:
        return STEP * len(self.bars)

    @property
    def before(self) -> date:
        return bounds(self.first - timedelta(days=1))[0]

    @property
    def after(self) -> date | None:
        """The next month, once it has begun."""
        following = self.last + timedelta(days=1)
        return following if following <= clock.today() else None

    @property
    def refused(self) -> int:
        return self.whole.total - self.whole.cells[0].n

    @property
    def busiest(self) -> Bar:
        return max(self.bars, key=lambda bar: bar.done + bar.refused)


def bounds(day: date) -> tuple[date, date]:
    """The first and the last day of the month of `day`."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _where(query: search.Query, first: date, last: date) -> tuple[str, list[Any]]:
    """`query` asks of zones, organisations and acts alone: the columns that the rollup shares with the index."""
    sql, values = query.where()
    return f"{sql} AND i.day BETWEEN %s AND %s", [*values, first, last]


def report(query: search.Query, first: date, *, page: int = 1, asked: dict[str, str] | None = None) -> Report:
    """The month that begins on `first`, limited to `query`; `asked` goes on into each search."""
    first, last = bounds(first)
    page = min(max(page, 1), MOST_PAGES)
    where, values = _where(query, first, last)
    with connection.cursor() as cursor:
        cursor.execute(COUNTED.format(where=where), [*values, (page - 1) * LINES, page * LINES])
        found: dict[str, list[tuple]] = {kind: [] for kind in KINDS.values()}
        for kind, *row in cursor.fetchall():
            found[KINDS[kind]].append(tuple(row))
    names = {
        f"org:{siren}": name
        for siren, name in Organisation.objects.filter(
            siren__in=[org.removeprefix("org:") for org, *_rest in found["org"]]
        ).values_list("siren", "name")
    }
    links = _Links(first, last, {name: value for name, value in (asked or {}).items() if value})
    counts = {day: row for day, *row in found["day"]}
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    told = [(day, links.line("", "", counts.get(day.isoformat(), (0, 0, 0)), since=day, until=day)) for day in days]
    whole = links.line("", "", found["all"][0][1:4] if found["all"] else (0, 0, 0))
    tables = [
        Table("act", _("Par acte"), _("Acte"),
              [links.line(phrases.phrase(act), act, row, act=act) for act, *row in found["act"]],
              _many(found["act"])),
        Table("org", _("Par organisation"), _("Organisation"),
              [links.line(names.get(org, ""), org.removeprefix("org:"), row, organisation=org.removeprefix("org:"))
               for org, *row in found["org"] if org], _many(found["org"]), _unnamed(found["org"])),
        Table("conv", _("Par convention"), _("Convention"),
              [links.line(ref, "", row, question="sous-convention", convention=ref)
               for ref, *row in found["conv"] if ref], _many(found["conv"]), _unnamed(found["conv"])),
    ]  # fmt: skip
    longest = max(table.many for table in tables)
    return Report(first, last, whole, told, _bars(told, links.asked), tables,
                  Paginator(range(longest), LINES).get_page(page))  # fmt: skip


def _many(rows: list[tuple]) -> int:
    return max((row[-1] for row in rows if row[0]), default=0)


def _unnamed(rows: list[tuple]) -> int:
    return sum(sum(row[1:4]) for row in rows if not row[0])


@dataclass(frozen=True, slots=True)
class _Links:
    first: date
    last: date
    asked: dict[str, str]

    def line(self, name: str, note: str, counts: Sequence[int], **also) -> Line:
        asked = {**self.asked, "since": self.first, "until": self.last, **also}
        journal = reverse("audit-search")
        cells = (
            Cell(n, f"{journal}?{urlencode({**asked, 'out': out})}" if n else "")
            for n, out in zip(counts[:3], OUTS, strict=True)
        )
        return Line(name, note, tuple(cells))


def _bars(days: list[tuple[date, Line]], asked: dict[str, str]) -> list[DayBar]:
    highest = max(line.total for _day, line in days) or 1
    bars = []
    for place, (day, line) in enumerate(days):
        done, refused = line.cells[0].n, line.total - line.cells[0].n
        url = f"{reverse('audit-search')}?{urlencode({**asked, 'since': day, 'until': day})}" if line.total else ""
        bars.append(DayBar(place, done, refused, highest, day=day, url=url))
    return bars


def rows(query: search.Query, first: date) -> Iterator[str]:
    """The month as a table (RFC 4180): a line for each count that the rollup holds."""
    where, values = _where(query, *bounds(first))
    yield exports.row(COLUMNS)
    with connection.chunked_cursor() as cursor:
        cursor.execute(ROWS.format(columns=", ".join(COLUMNS), where=where), values)
        while found := cursor.fetchmany(2_000):
            yield from map(exports.row, found)
