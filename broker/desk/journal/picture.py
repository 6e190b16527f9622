"""What answers a question, drawn over time: one bar an hour, a day or a week. Pure; the template prints the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker import clock

NEWEST = 50_000  # leaves of the log that the picture looks at
TALL, STEP = 56, 10  # units of the drawing: height of the highest bar, width of one
MOST_BARS = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """What was done and, upon it, what was refused: counts, as is what the `highest` bar holds; `place` is its number
    from the left. The rest is in units of the drawing."""

    place: int
    done: int
    refused: int
    highest: int

    @property
    def x(self) -> int:
        return self.place * STEP

    @property
    def done_tall(self) -> float:
        return round(TALL * self.done / self.highest, 1)

    @property
    def refused_tall(self) -> float:
        return round(TALL * self.refused / self.highest, 1)

    @property
    def done_y(self) -> float:
        return round(TALL - self.done_tall, 1)

    @property
    def refused_y(self) -> float:
        return round(self.done_y - self.refused_tall, 1)


@dataclass(frozen=True, slots=True)
class Since(Bar):
    """The bar of an hour, a day or a week."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Picture:
    bars: tuple[Since, ...]
    unit: str  # "hour", "day" or "week"

    @property
    def wide(self) -> int:
        return STEP * len(self.bars)

    @property
    def done(self) -> int:
        return sum(bar.done for bar in self.bars)

    @property
    def refused(self) -> int:
        return sum(bar.refused for bar in self.bars)

    @property
    def busiest(self) -> Bar:
        return max(self.bars, key=lambda bar: bar.done + bar.refused)


def draw(hours: Sequence[tuple[datetime, int, int]]) -> Picture | None:
    """The picture of `hours` (hour, done, refused), oldest first, with no gap; None when there is nothing to draw.

    The unit is the smallest that keeps the picture under 60 bars: hours, then days, then weeks (the last 60)."""
    if not hours:
        return None
    found = [(at.astimezone(clock.PARIS), done, refused) for at, done, refused in hours]
    first, last = found[0][0], found[-1][0]
    unit = (
        "hour" if last - first < timedelta(hours=36) else "day" if last - first < timedelta(days=MOST_BARS) else "week"
    )
    counts: dict[datetime, list[int]] = {}
    for at, done, refused in found:
        pair = counts.setdefault(_start(at, unit), [0, 0])
        pair[0] += done
        pair[1] += refused
    starts, start = [], _start(first, unit)
    while start <= last:
        starts.append(start)
        start = _start(
            start + {"hour": timedelta(hours=1), "day": timedelta(hours=36), "week": timedelta(days=8)}[unit], unit
        )
    starts = starts[-MOST_BARS:]
    held = [counts.get(start, [0, 0]) for start in starts]
    highest = max(map(sum, held)) or 1
    return Picture(
        tuple(
            Since(place, done, refused, highest, since=start)
            for place, (start, (done, refused)) in enumerate(zip(starts, held, strict=True))
        ),
        unit,
    )


def _start(at: datetime, unit: str) -> datetime:
    """The hour, the day or the Monday that holds `at`, in Paris."""
    if unit == "hour":
        return at.replace(minute=0, second=0, microsecond=0)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday()) if unit == "week" else day
