"""Numbers for the drawings of the pages: a zone on a map, the shape of a column. Pure; templates print them."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from zones import geography

WIDTH = 320.0  # units of the drawing
MARGIN = 12.0
TALLEST = 320.0
LABEL = 15.0  # height of a name, and
SIGN = 7.0  # about the width of one of its signs


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Map:
    width: float
    height: float
    outlines: tuple[tuple[str, str], ...]  # commune, path
    labels: tuple[Point, ...]  # the communes' names, where they do not cover one another
    points: tuple[Point, ...]
    missing: tuple[str, ...]  # communes without a packaged outline


def zone_map(communes: Iterable[str], sites: Iterable) -> Map | None:
    """The communes' outlines and the sites that have a place; None when nothing can be drawn."""
    placed = [(s.name, s.longitude, s.latitude) for s in sites if s.latitude is not None and s.longitude is not None]
    return _zone_map(tuple(communes), tuple(placed))


@lru_cache(maxsize=64)
def _zone_map(communes: tuple[str, ...], placed: tuple[tuple[str, float, float], ...]) -> Map | None:
    """`placed` are names with longitudes and latitudes. The same communes and sites make the same drawing.

    Degrees are drawn as a plane, a degree of longitude being shorter by the cosine of the middle latitude.
    """
    rings = {code: geography.outline(code) for code in communes}
    corners = [p for found in rings.values() if found for ring in found for p in ring]
    corners += [[longitude, latitude] for _name, longitude, latitude in placed]
    if not any(rings.values()):
        return None
    west, east = min(p[0] for p in corners), max(p[0] for p in corners)
    south, north = min(p[1] for p in corners), max(p[1] for p in corners)
    flat = math.cos(math.radians((south + north) / 2))
    wide, tall = max((east - west) * flat, 1e-6), max(north - south, 1e-6)
    scale = min((WIDTH - 2 * MARGIN) / wide, (TALLEST - 2 * MARGIN) / tall)

    def place(longitude: float, latitude: float) -> tuple[float, float]:
        return (
            round(MARGIN + (longitude - west) * flat * scale, 1),
            round(MARGIN + (north - latitude) * scale, 1),
        )

    outlines, middles = [], []
    for code, found in rings.items():
        if not found:
            continue
        parts = ["M" + "L".join(f"{x} {y}" for x, y in (place(*p[:2]) for p in ring)) + "Z" for ring in found]
        known = geography.find(code)
        outlines.append((known.name if known else code, "".join(parts)))
        across, down = zip(*(place(*p[:2]) for ring in found for p in ring), strict=True)
        middles.append(Point(outlines[-1][0], (min(across) + max(across)) / 2, max(down) + LABEL))
    return Map(
        width=round(wide * scale + 2 * MARGIN, 1),
        height=round(tall * scale + 2 * MARGIN + LABEL, 1),
        outlines=tuple(outlines),
        labels=tuple(_apart(middles)),
        points=tuple(Point(name, *place(longitude, latitude)) for name, longitude, latitude in placed),
        missing=tuple(
            known.name for code, found in rings.items() if not found and (known := geography.find(code)) is not None
        ),
    )


def _apart(names: list[Point]) -> Iterable[Point]:
    """Names brought inside the drawing, the later of two that would cover one another left out."""
    kept: list[Point] = []
    for name in names:
        half = len(name.name) * SIGN / 2
        x = min(max(name.x, half), WIDTH - half)
        if all(abs(x - k.x) > half + len(k.name) * SIGN / 2 or abs(name.y - k.y) > LABEL for k in kept):
            kept.append(Point(name.name, round(x, 1), round(name.y, 1)))
    return kept


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    height: float


def bars(histogram: dict[str, Any] | None, *, height: int = 28, step: int = 5) -> list[Bar]:
    """The bars of a stored histogram, 4 units wide every `step`; the highest one is `height` units."""
    counts = (histogram or {}).get("bins") or []
    most = max(counts, default=0)
    if not most:
        return []
    tall = [round(height * count / most, 1) for count in counts]
    return [Bar(at * step, round(height - one, 1), one) for at, one in enumerate(tall)]


def share(part: int, whole: int) -> float:
    """Percent, never 0 or 100 unless it is exactly that."""
    if not whole:
        return 0.0
    percent = 100 * part / whole
    if 0 < part < whole:
        return min(max(round(percent, 1), 0.1), 99.9)
    return round(percent, 1)


# France, and the zones on it


@dataclass(frozen=True, slots=True)
class Mark:
    """One place of the map, or several too near to be told apart: `names` are the zones there."""

    label: str
    names: tuple[str, ...]
    x: float
    y: float
    radius: float
    is_left: bool  # the label is written on the left, where the right has no room


@dataclass(frozen=True, slots=True)
class FranceMap:
    width: float
    height: float
    outline: str
    marks: tuple[Mark, ...]
    elsewhere: tuple[str, ...]  # zones that this map cannot place

    @property
    def has_groups(self) -> bool:
        return any(len(mark.names) > 1 for mark in self.marks)


FRANCE_WIDTH, FRANCE_MARGIN = 400.0, 10.0
NEAR = 22.0  # units of the drawing: marks closer than this are one


def france_map(places: Iterable[tuple[str, tuple[str, ...]]]) -> FranceMap | None:
    """Where zones are: `places` are names with communes' codes. None without any zone to place."""
    return _france_map(tuple(places))


@lru_cache(maxsize=16)
def _france_map(places: tuple[tuple[str, tuple[str, ...]], ...]) -> FranceMap | None:
    """The same places make the same drawing, whoever looks at it."""
    rings = geography.france()
    corners = [point for ring in rings for point in ring]
    west, east = min(p[0] for p in corners), max(p[0] for p in corners)
    south, north = min(p[1] for p in corners), max(p[1] for p in corners)
    flat = math.cos(math.radians((south + north) / 2))
    scale = (FRANCE_WIDTH - 2 * FRANCE_MARGIN) / ((east - west) * flat)

    def place(longitude: float, latitude: float) -> tuple[float, float]:
        return FRANCE_MARGIN + (longitude - west) * flat * scale, FRANCE_MARGIN + (north - latitude) * scale

    groups: list[list[tuple[float, float, str, str]]] = []
    elsewhere = []
    for name, codes in places:
        middles = [(code, middle) for code in codes if (middle := geography.centre(code)) is not None]
        if not middles:
            elsewhere.append(name)
            continue
        code, middle = max(middles, key=lambda found: _inhabitants(found[0]))
        x, y = place(*middle)
        near = next((g for g in groups if math.dist((g[0][0], g[0][1]), (x, y)) < NEAR), None)
        if near is None:
            groups.append(near := [])
        near.append((x, y, name, code))
    if not groups:
        return None
    return FranceMap(
        width=FRANCE_WIDTH,
        height=round((north - south) * scale + 2 * FRANCE_MARGIN, 1),
        outline="".join(
            "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*p) for p in ring)) + "Z" for ring in rings
        ),
        marks=tuple(_mark(group) for group in groups),
        elsewhere=tuple(elsewhere),
    )


def _inhabitants(code: str) -> int:
    known = geography.find(code)
    return (known.population or 0) if known else 0


def _mark(group: list[tuple[float, float, str, str]]) -> Mark:
    x = sum(one[0] for one in group) / len(group)
    y = sum(one[1] for one in group) / len(group)
    largest = geography.find(max((one[3] for one in group), key=_inhabitants))
    return Mark(
        label=largest.name if largest else "",
        names=tuple(one[2] for one in group),
        x=round(x, 1),
        y=round(y, 1),
        radius=6 if len(group) == 1 else 11,
        is_left=x > FRANCE_WIDTH * 0.62,
    )


# A road: its length beside the one asked for, its slopes


@dataclass(frozen=True, slots=True)
class Section:
    """A line of `width` units for `km`; `asked` is where the length asked for ends."""

    width: float
    asked: float
    ticks: tuple[tuple[float, int], ...]


def section(km: float, *, asked_km: float, every: int = 20) -> Section | None:
    """None when no length is known."""
    if km <= 0:
        return None
    width = 600.0
    longest = max(km, asked_km)
    return Section(
        width=round(width * km / longest, 1),
        asked=round(width * asked_km / longest, 1),
        ticks=tuple((round(width * at / longest, 1), at) for at in range(0, int(longest) + 1, every)),
    )


@dataclass(frozen=True, slots=True)
class RoadProfile:
    """`path` is the ground, closed at the bottom, `line` its upper edge; figures are of the points given."""

    path: str
    line: str
    lowest: int
    highest: int
    km: float
    climb: int  # metres up, and
    descent: int  # down, along the points
    steepest: float  # percent, between two points


PROFILE_WIDTH, PROFILE_HEIGHT = 600.0, 150.0


def road_profile(points: list[list[float]]) -> RoadProfile | None:
    """Of kilometres and altitudes in metres, in order. None with fewer than two points."""
    if len(points) < 2:
        return None
    first, last = points[0][0], points[-1][0]
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    tall = max(high - low, 1)

    def place(km: float, metres: float) -> str:
        x = PROFILE_WIDTH * (km - first) / (last - first)
        y = PROFILE_HEIGHT - 12 - (PROFILE_HEIGHT - 24) * (metres - low) / tall
        return f"{x:.1f} {y:.1f}"

    line = "M" + "L".join(place(*point) for point in points)
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(points)]
    return RoadProfile(
        path=f"{line}L{PROFILE_WIDTH:g} {PROFILE_HEIGHT:g}L0 {PROFILE_HEIGHT:g}Z",
        line=line,
        lowest=round(low),
        highest=round(high),
        km=round(last - first, 1),
        climb=round(sum(rise for _km, rise in steps if rise > 0)),
        descent=round(-sum(rise for _km, rise in steps if rise < 0)),
        steepest=round(max(abs(rise) / (km * 10) for km, rise in steps), 1),
    )


# Tables and their keys

BOX_WIDTH, BOX_HEIGHT = 210.0, 46.0
BETWEEN, ABOVE = 90.0, 16.0  # gaps between the columns of boxes, and between boxes


@dataclass(frozen=True, slots=True)
class Arrow:
    """A key: rows of `child` point to rows of `parent` by their column `name`."""

    child: str
    parent: str
    name: str
    of_subject: bool


@dataclass(frozen=True, slots=True)
class Box:
    name: str  # cut where it is too long; `whole` is all of it
    whole: str
    rows: int | None
    key: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Schema:
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[tuple[str, bool, str], ...]  # path, whether it is of the subject, words


def schema(tables: Iterable[tuple[str, int | None, str]], arrows: Iterable[Arrow]) -> Schema:
    """Boxes in columns, each right of all the tables it points to, and a curve for each pair of tables.

    `tables` are (name, rows, key). What points to nothing and is pointed to by nothing stands in the first column.
    """
    tables, arrows = list(tables), list(arrows)
    order = [name for name, _rows, _key in tables]
    parents: dict[str, set[str]] = {name: set() for name in order}
    for arrow in arrows:
        if arrow.child in parents and arrow.parent in parents and arrow.child != arrow.parent:
            parents[arrow.child].add(arrow.parent)
    level: dict[str, int] = dict.fromkeys(order, 0)
    for _round in order:  # as many rounds as tables settle every chain; a circle, which no rule allows, ends too
        for name in order:
            level[name] = min(max([level[p] + 1 for p in parents[name]], default=0), len(order))
    by_level: dict[int, list[tuple[str, int | None, str]]] = {}
    for table in sorted(
        tables, key=lambda table: (not any(table[0] in p for p in parents.values()), order.index(table[0]))
    ):
        by_level.setdefault(level[table[0]], []).append(table)
    tallest = max(map(len, by_level.values()), default=0)
    height = tallest * (BOX_HEIGHT + ABOVE) + ABOVE
    boxes: dict[str, Box] = {}
    for at, place in enumerate(sorted(by_level)):
        mine = by_level[place]
        top = (height - len(mine) * (BOX_HEIGHT + ABOVE) + ABOVE) / 2
        for row, (name, rows, key) in enumerate(mine):
            shown = name if len(name) <= 24 else name[:23] + "…"
            x, y = ABOVE + at * (BOX_WIDTH + BETWEEN), top + row * (BOX_HEIGHT + ABOVE)
            boxes[name] = Box(shown, name, rows, key, round(x, 1), round(y, 1))
    lines = []
    for arrow in sorted(arrows, key=lambda arrow: arrow.of_subject):
        if arrow.child not in boxes or arrow.parent not in boxes:
            continue
        start, end = boxes[arrow.child], boxes[arrow.parent]
        if start is end:  # out of the top of its box and back into it
            x, y = start.x + BOX_WIDTH - 40, start.y
            path = f"M{x:g} {y:g} C{x:g} {y - ABOVE:g} {x + 28:g} {y - ABOVE:g} {x + 28:g} {y - 6:g}"
            lines.append((path, arrow.of_subject, f"{arrow.child}.{arrow.name} → {arrow.parent}"))
            continue
        x1, y1 = start.x, start.y + BOX_HEIGHT / 2
        x2, y2 = end.x + BOX_WIDTH + 6, end.y + BOX_HEIGHT / 2
        bend = BETWEEN / 2
        path = f"M{x1:g} {y1:g} C{x1 - bend:g} {y1:g} {x2 + bend:g} {y2:g} {x2:g} {y2:g}"
        lines.append((path, arrow.of_subject, f"{arrow.child}.{arrow.name} → {arrow.parent}"))
    width = 2 * ABOVE + len(by_level) * BOX_WIDTH + max(len(by_level) - 1, 0) * BETWEEN
    return Schema(width, round(height, 1), tuple(boxes.values()), tuple(lines))
