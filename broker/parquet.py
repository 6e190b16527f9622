"""The SQL that reads a Parquet file as text, as every source is read: shared by the profile and by the engine. Pure.

The values are the text that a CSV would hold; a moment with a zone is told in UTC; marks of absence are those of text
columns. `reading` is that of the version (`zones.reading`).
"""

from collections.abc import Collection
from typing import Any

WHOLE = "WHOLE"  # our name for floating numbers that are all whole: keys with missing values, as pandas writes them
FLOATS = ("FLOAT", "DOUBLE")
SAME = {
    "BIGINT": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    "DOUBLE": ("DOUBLE",),
    "TIMESTAMP": ("TIMESTAMP",),
    "DATE": ("DATE",),
}
FIRST, LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"  # moments of the calendar


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def in_calendar(column: str) -> str:
    """Whether a date or a moment stands in the years 1 to 9999; false for none."""
    return f"coalesce(TRY_CAST({column} AS TIMESTAMP) BETWEEN '{FIRST}' AND '{LAST}', false)"


def text(name: str, declared: str, reading: dict[str, Any]) -> str:
    """The SQL of one column as the text that a CSV would hold; a moment with a zone is told in UTC."""
    column = quoted(name)
    value = f"CAST({column} AS VARCHAR)"
    if declared == WHOLE:
        value = f"CAST(CAST({column} AS BIGINT) AS VARCHAR)"
    elif declared == "TIMESTAMP WITH TIME ZONE":
        value = f"CAST(timezone('UTC', {column}) AS VARCHAR)"
    elif declared == "TIMESTAMP_NS":
        value = f"CAST(CAST({column} AS TIMESTAMP) AS VARCHAR)"
    if name in reading.get("absent", {}):
        kept = f"isfinite({column})" if declared in (*FLOATS, WHOLE) else in_calendar(column)
        return f"CASE WHEN {kept} THEN {value} END"
    if declared == "VARCHAR":
        marks = ", ".join(literal(mark) for mark in ("", *reading.get("missing", [])))
        return f"CASE WHEN {column} NOT IN ({marks}) THEN {column} END"
    return value


def is_same(declared: str, wanted: str) -> bool:
    """Whether a value of the type `declared` is, as it stands, what its text would be read as under `wanted`."""
    return declared in SAME.get(wanted, ())


def relation(
    path: str,
    reading: dict[str, Any],
    *,
    only: set[str] | None = None,
    native: Collection[str] = (),
    line: str = "",
) -> str:
    """The SQL of the table: the columns (`only` those) as text, but for `native` ones which keep their type, missing
    values NULL; `line` names a column that numbers the rows of the file from 1. `reading["types"]` are pairs of a name
    and the engine's type, in order."""
    columns = [
        f"{quoted(name) if name in native else text(name, declared, reading)} AS {quoted(name)}"
        for name, declared in reading["types"]
        if only is None or name in only
    ]
    if line:
        columns.insert(0, f"file_row_number + 1 AS {line}")
    numbered = ", file_row_number = true" if line else ""
    return f"(SELECT {', '.join(columns)} FROM read_parquet({literal(path)}{numbered}))"
