"""French communes with their Insee populations, and the outlines of some, from packaged files.

Source and licence: zones/reference/README.md. Populations are looked up here and never typed by a person.
"""

import csv
import gzip
import json
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

REFERENCE = Path(__file__).parent / "reference"
EDITION = 2026  # the year of the list of communes


@dataclass(frozen=True, slots=True)
class Commune:
    """`population` in persons; None for the few places without inhabitants."""

    code: str
    name: str
    department: str
    population: int | None


@lru_cache(maxsize=1)
def _communes() -> dict[str, Commune]:
    with gzip.open(REFERENCE / f"communes-{EDITION}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return {
            row["code"]: Commune(
                row["code"], row["name"], row["departement"], int(row["population"]) if row["population"] else None
            )
            for row in csv.DictReader(file)
        }


def commune(code: str) -> Commune:
    """The commune of this Insee code. Raises KeyError when there is none (an arrondissement is not a commune)."""
    return _communes()[code]


def find(code: str) -> Commune | None:
    return _communes().get(code)


def plain(text: str) -> str:
    """`text` without accents, case or punctuation: what two spellings of one name share."""
    bare = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("Œ", "oe"))
    return " ".join("".join(c if c.isalnum() else " " for c in bare if not unicodedata.combining(c)).lower().split())


@lru_cache(maxsize=1)
def _names() -> tuple[tuple[str, Commune], ...]:
    return tuple((plain(found.name), found) for found in _communes().values())


def search(text: str, *, limit: int = 10) -> list[Commune]:
    """The communes whose code is `text` or whose name holds it: names that begin with it first, then the largest."""
    if exact := find(text.strip().upper()):
        return [exact]
    wanted = plain(text)
    if len(wanted) < 2:
        return []
    hits = [(name, found) for name, found in _names() if wanted in name]
    hits.sort(key=lambda hit: (hit[0] != wanted, not hit[0].startswith(wanted), -(hit[1].population or 0)))
    return [found for _, found in hits[:limit]]


@lru_cache(maxsize=1)
def _outlines() -> dict[str, list[list[list[float]]]]:
    """The rings of each outline, as [longitude, latitude] in degrees."""
    rings = {}
    for feature in json.loads((REFERENCE / "outlines.geojson").read_text(encoding="utf-8"))["features"]:
        shape = feature["geometry"]
        parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        rings[feature["properties"]["code"]] = [ring for part in parts for ring in part]
    return rings


def outline(code: str) -> list[list[list[float]]] | None:
    """The rings of a commune's outline, or None where none is packaged."""
    return _outlines().get(code)


@lru_cache(maxsize=1)
def france() -> list[list[list[float]]]:
    """The rings of metropolitan France and its large islands, coarse: for one small map."""
    shape = json.loads((REFERENCE / "france.geojson").read_text(encoding="utf-8"))
    return [part[0] for part in shape["geometry"]["coordinates"]]


@lru_cache(maxsize=1)
def _centres() -> dict[str, tuple[float, float]]:
    with (REFERENCE / "departments.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: (float(row["longitude"]), float(row["latitude"])) for row in csv.DictReader(file)}


def centre(code: str) -> tuple[float, float] | None:
    """Longitude and latitude of a commune's middle: of its outline, else of its department; None overseas."""
    if rings := outline(code):
        points = [point for ring in rings for point in ring]
        west, east = min(p[0] for p in points), max(p[0] for p in points)
        south, north = min(p[1] for p in points), max(p[1] for p in points)
        return (west + east) / 2, (south + north) / 2
    known = find(code)
    return _centres().get(known.department) if known else None
