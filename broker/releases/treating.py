"""From the treatment of one column to SQL: the type, the value, what is merged, clipped or blanked. Pure.

Every function takes a `Cell` and answers an expression over a row of `base` (`of` is the column as it was read, a
text): a kind that has no function leaves the value as its type. Nothing here knows a table but those it is told of.
"""

from collections.abc import Callable
from dataclasses import dataclass

from broker.releases.dialects import name_of, text_of

NUMERIC = {
    "integer": "BIGINT", "bigint": "BIGINT", "number": "DOUBLE", "float": "DOUBLE", "decimal": "DOUBLE",
    "double": "DOUBLE",
}  # fmt: skip
MOMENT = {"timestamp": "TIMESTAMP", "datetime": "TIMESTAMP", "date": "DATE"}

NO_END = 999  # the last age of a band without end
MERGED = ("category", "department")  # kinds whose rare values become "autre"
CLIPPED = ("clip",)  # kinds top and bottom coded, where something tells who the person is


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of one column in a row: `of` as read, `typed` as its type, `say` the fragments of the dialect."""

    of: str
    typed: str
    treatment: dict
    say: Callable[..., str]


def typed(column: dict, *, say, of: str, decimal: str = ".", as_read: bool = False) -> str:
    """`of` as the type of `column`, null where it is not; `as_read` keeps the text."""
    wanted = NUMERIC.get(column["type"].lower()) or MOMENT.get(column["type"].lower())
    if wanted is None or as_read:
        return of
    if wanted == "DOUBLE" and decimal == ",":
        of = f"replace({of}, ',', '.')"
    return say("try_cast", x=of, type=wanted)


def department(cell: Cell) -> str:
    """The first two signs of a commune or postal code, three overseas."""
    of = cell.of
    return f"CASE WHEN substr({of}, 1, 2) IN ('97', '98') THEN substr({of}, 1, 3) ELSE substr({of}, 1, 2) END"


def band_age(cell: Cell) -> str:
    """The band of the row's age (`terrain_low` to `terrain_high`), widened outward to multiples of the width."""
    width, top = int(cell.treatment["width"]), int(cell.treatment["top"])
    low, high = f"(terrain_low - terrain_low % {width})", f"(terrain_high - terrain_high % {width} + {width - 1})"
    return (
        f"CASE WHEN terrain_low IS NULL OR terrain_high IS NULL THEN NULL WHEN {low} >= {top} THEN '{top}+' "
        f"WHEN terrain_high = {NO_END} THEN CAST({low} AS VARCHAR) || '+' "
        f"ELSE CAST({low} AS VARCHAR) || '-' || CAST({high} AS VARCHAR) END"
    )


def shift_days(cell: Cell) -> str:
    """The moment moved by the subject's own number of days, from -182 to +182."""
    number = cell.say("hex_number", h="substr(terrain_h, 33, 8)")
    return cell.say("add_days", t=cell.typed, d=f"CAST({number} % 365 AS INTEGER) - 182")


def _as_read(cell: Cell) -> str:
    return cell.of


VALUES: dict[str, Callable[[Cell], str]] = {
    "category": _as_read,
    "department": department,
    "band_age": band_age,
    "shift_days": shift_days,
}


def treated(cell: Cell) -> str:
    """The value of the cell as its treatment makes it, before rare ones are merged or far ones clipped."""
    value = VALUES.get(cell.treatment["kind"])
    return value(cell) if value else cell.typed


def merged(value: str, common: str) -> tuple[str, str]:
    """`value` where the table `common` holds it, else "autre"; and whether it was made so."""
    rare = f"({value} IS NOT NULL AND {common}.value IS NULL)"
    return f"CASE WHEN {rare} THEN 'autre' ELSE {value} END", rare


def clipped(value: str, bounds: str) -> tuple[str, str]:
    """`value` brought between the two `bounds` (a list); and whether it was outside."""
    low, high = f"{bounds}[1]", f"{bounds}[2]"
    bound = f"CASE WHEN {value} < {low} THEN {low} WHEN {value} > {high} THEN {high} ELSE {value} END"
    return bound, f"coalesce({value} < {low} OR {value} > {high}, false)"


def is_reinforced(one: dict, *, say, table: str = "source") -> str:
    """Whether the code of a row of `table` is of a class that does not leave. Its category: what stands before
    the point, figures brought to three signs, letters cut to three (`consent.codes`)."""
    of = f"upper(trim({table}.{name_of(one['column'])}))"
    before, after = f"split_part({of}, '.', 1)", f"split_part({of}, '.', 2)"
    is_figures = f"{say('match', x=before, pattern='^[0-9]+$', group=0)} <> ''"
    padded = f"CASE WHEN length({before}) < 3 THEN lpad({before}, 3, '0') ELSE {before} END"
    category = f"(CASE WHEN {is_figures} THEN {padded} ELSE substr({before}, 1, 3) END)"
    tests = []
    if one["categories"]:
        tests.append(f"{category} IN ({', '.join(text_of(code) for code in one['categories'])})")
    tests += [f"{category} || '.' || {after} LIKE {text_of(code + '%')}" for code in one["beginnings"]]
    return f"coalesce({' OR '.join(tests) or 'false'}, false)"
