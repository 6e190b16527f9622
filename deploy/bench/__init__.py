"""Measures that people run by hand: `make bench WHAT=release|gate|audit|web|profile`. Never a timed test.

Each is a module of this package with `measure() -> Figures`, run with the settings loaded on a migrated database of
the bench's own (var/bench, role terrain_app; `owner_url()` for the owner's). Figures bear the names of targets.toml
where it has one; a target that was missed stays as it is.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figures:
    """What was measured: {name: (value, unit)}, the settings it was measured with, lines for people."""

    values: dict[str, tuple[float, str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str) -> None:
        self.values[name] = (value, unit)
