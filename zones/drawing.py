"""Numbers for the drawings of the pages: a zone on a map, the shape of a column. Pure; templates print them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zones import geography

WIDTH = 320.0  # units of the drawing
MARGIN = 12.0
TALLEST = 320.0


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
    points: tuple[Point, ...]
    missing: tuple[str, ...]  # communes without a packaged outline


def zone_map(communes: Iterable[str], sites: Iterable) -> Map | None:
    """The communes' outlines and the sites that have a place; None when nothing can be drawn.

    Degrees are drawn as a plane, a degree of longitude being shorter by the cosine of the middle latitude.
    """
    rings = {code: geography.outline(code) for code in communes}
    placed = [s for s in sites if s.latitude is not None and s.longitude is not None]
    corners = [p for found in rings.values() if found for ring in found for p in ring]
    corners += [[s.longitude, s.latitude] for s in placed]
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

    outlines = []
    for code, found in rings.items():
        if not found:
            continue
        parts = ["M" + "L".join(f"{x} {y}" for x, y in (place(*p[:2]) for p in ring)) + "Z" for ring in found]
        known = geography.find(code)
        outlines.append((known.name if known else code, "".join(parts)))
    return Map(
        width=round(wide * scale + 2 * MARGIN, 1),
        height=round(tall * scale + 2 * MARGIN, 1),
        outlines=tuple(outlines),
        points=tuple(Point(s.name, *place(s.longitude, s.latitude)) for s in placed),
        missing=tuple(
            known.name for code, found in rings.items() if not found and (known := geography.find(code)) is not None
        ),
    )


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
