"""The quality of a dataset at a glance: how full each column is, what is odd, by what a person could be known. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.formats import localize
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from zones import drawing

FULL, HALF = 95.0, 50.0  # percent of the rows that bear a value
TALL, STEP = 48, 10  # units of the picture: height, and width of a column's bar with its gap
MOST_NAMED = 4  # columns named in one sentence


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    present: float  # percent
    tone: str
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Glance:
    columns: int
    full: int  # columns filled in nearly every row
    present: float  # percent of all the cells
    bars: tuple[Bar, ...]
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        return self.columns * STEP


def _named(columns: list[Any], *, with_share: bool = False) -> str:
    said = [f"{c.name} ({c.missing_share:g} %)" if with_share else c.name for c in columns[:MOST_NAMED]]
    if more := len(columns) - len(said):
        said.append(ngettext("%(n)s autre", "%(n)s autres", more) % {"n": more})
    return ", ".join(said)


def _notes(columns: list[Any], blank_lines: int | None) -> Iterable[str]:
    empty = [c for c in columns if c.missing_share == 100]
    rare = sorted(
        (c for c in columns if HALF < c.missing_share < 100), key=lambda c: c.missing_share, reverse=True
    )  # fmt: skip
    same = [c for c in columns if c.distinct == 1 and not c.missing]
    if empty:
        yield _("Jamais remplies : %(names)s.") % {"names": _named(empty)}
    if rare:
        yield _("Absentes de plus d'une ligne sur deux : %(names)s.") % {"names": _named(rare, with_share=True)}
    if same:
        yield _("Toujours la même valeur : %(names)s.") % {"names": _named(same)}
    if blank_lines:
        yield ngettext(
            "%(n)s ligne vide du fichier n'est pas comptée.", "%(n)s lignes vides du fichier ne sont pas comptées.",
            blank_lines,
        ) % {"n": blank_lines}  # fmt: skip


def glance(columns: list[Any], *, rows: int, blank_lines: int | None = None) -> Glance | None:
    """Of columns that bear `missing`, `missing_share` (percent) and `distinct`; None when there is nothing to see."""
    if not columns or not rows:
        return None
    bars = []
    for at, column in enumerate(columns):
        present = drawing.share(rows - column.missing, rows)
        height = max(round(TALL * present / 100, 1), 1 if present else 0)
        tone = "full" if present >= FULL else "part" if present >= HALF else "rare"
        bars.append(Bar(column.name, present, tone, at * STEP, round(TALL - height, 1), height))
    cells = rows * len(columns)
    return Glance(
        columns=len(columns),
        full=sum(bar.tone == "full" for bar in bars),
        present=drawing.share(cells - sum(column.missing for column in columns), cells),
        bars=tuple(bars),
        notes=tuple(_notes(columns, blank_lines)),
    )


# By what a person could be known


@dataclass(frozen=True, slots=True)
class Known:
    """What one column tells of persons: the smallest class by its values alone, percent of persons in a class of fewer
    than five, and the same of all the columns together but it."""

    name: str
    k: int
    under: float
    without: float
    is_dearest: bool


@dataclass(frozen=True, slots=True)
class Recognised:
    subjects: int
    by_rows: bool
    k: int
    under: float
    columns: tuple[Known, ...]
    words: tuple[str, ...]


def recognised(columns: list[Any]) -> Recognised | None:
    """Of columns that bear `name` and a `profile` (`zones.classes`); None when nothing was measured."""
    measured = [(column.name, told) for column in columns if (told := column.profile.get("classes"))]
    if not measured:
        return None
    first = measured[0][1]
    whole, together = first["subjects"], first["together"]
    least = min((told["without"] for _name, told in measured), default=0)
    dearest = next((name for name, told in measured if told["without"] == least < together["under"]), "")
    known = tuple(
        Known(
            name, told["k"], drawing.share(told["under"], whole), drawing.share(told["without"], whole), name == dearest
        )
        for name, told in measured
    )
    under, by_rows = drawing.share(together["under"], whole), first["by"] == "row"
    words = tuple(_of_classes(known, k=together["k"], under=under, by_rows=by_rows))
    return Recognised(whole, by_rows, together["k"], under, known, words)


def _of_classes(known: tuple[Known, ...], *, k: int, under: float, by_rows: bool) -> Iterable[str]:
    if len(known) > 1:
        told = {"names": ", ".join(one.name for one in known), "k": k, "under": localize(under)}
        yield (
            _("Toutes ensemble (%(names)s), telles que lues : plus petit groupe de lignes, %(k)s ; %(under)s %% "
              "d'entre elles sont dans un groupe de moins de cinq.")
            if by_rows
            else _("Toutes ensemble (%(names)s), telles que lues : plus petit groupe de personnes, %(k)s ; "
                   "%(under)s %% d'entre elles sont dans un groupe de moins de cinq.")
        ) % told  # fmt: skip
    for one in known:
        if one.is_dearest and len(known) > 1:
            yield _("La colonne qui coûte le plus : %(name)s ; sans elle, %(without)s %%.") % {
                "name": one.name, "without": localize(one.without)
            }  # fmt: skip
    yield _("Les remises généralisent ces colonnes avant de compter : ce qu'elles garderaient se voit dans l'aperçu.")
