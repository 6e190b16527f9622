"""What a file's columns look like: types, missing, distinct, shape. Run as a process of its own with bounded memory.

    python -m zones.profile < order.json

The order holds `relation` (SQL of the table, every column text), `scratch` (a folder), `memory` (MiB), `decimal`,
`personal`, and `kinds` (types that the source itself declares, by column). Progress goes to standard output, a JSON
line a step; the last line holds `rows` and `columns`.

No row leaves. A value is shown only when at least `K` rows bear it, a bin only when it holds `K` rows, a quantile only
when `K` rows lie beyond it; the extremes are shown for data about no person only; a value that is plainly somebody's
(`zones.detection`) is shown to nobody. Reads no setting, no database of
the house.
"""

import json
import math
import resource
import sys
from typing import Any

from zones import detection

K = 5  # rows: legal-gate, section 7.2 (k of the clinical profile; distinct subjects are not known yet)
TOP = 8  # values shown
BINS = 24
SHORT = 40  # signs: longer values are never shown
LONGEST = 120  # signs of a value that may be an identifier
WHOLE = r"[+-]?(0|[1-9][0-9]{0,17})"
NUMBER = r"[+-]?(0|[1-9][0-9]*)?([.][0-9]*)?([eE][+-]?[0-9]{1,3})?"
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"

NOT_FINITE = (
    r"[+-]?([nN][aA][nN]|[iI][nN][fF]([iI][nN][iI][tT][yY])?|[01]?[.]?#([iI][nN][dDfF]|[qQsS][nN][aA][nN])[0-9]*)"
)
DECLARED = {
    "integer": "CAST(value AS BIGINT)", "number": "CAST(value AS DOUBLE)", "date": "CAST(value AS TIMESTAMP)",
    "timestamp": "CAST(value AS TIMESTAMP)", "text": "value",
}  # fmt: skip

# Dates that `zones.reading` can bring to one shape, when a column holds several.
ISO = r"[0-9]{4}([0-9]{4}|-[0-9]{2}-[0-9]{2}|[.][0-9]{2}[.][0-9]{2}|/[0-9]{2}/[0-9]{2})([ T].+)?"
BARRED = r"^([0-9]{1,2})([/.-])([0-9]{1,2})[/.-][0-9]{4}([ T].+)?$"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rounded(value: float) -> float:
    """Three significant figures: what is shown describes a column, not a row."""
    if value == 0 or not math.isfinite(value):
        return 0.0
    return round(value, 2 - math.floor(math.log10(abs(value))))


def kind_of(connection, decimal: str) -> tuple[str, str]:
    """The type of the values in table `v` (value, n), and the SQL that turns `value` into it."""
    number = f"replace(value, '{decimal}', '.')" if decimal != "." else "value"
    whole, numeric, moment, dated = connection.execute(
        f"""
        SELECT bool_and(regexp_full_match(value, '{WHOLE}')),
               bool_and(regexp_full_match({number}, '{NUMBER}') AND TRY_CAST({number} AS DOUBLE) IS NOT NULL),
               bool_and(regexp_full_match(value, '{MOMENT}') AND TRY_CAST(value AS TIMESTAMP) IS NOT NULL),
               bool_and(length(value) = 10)
        FROM v
        """
    ).fetchone()
    if whole:
        return "integer", "CAST(value AS BIGINT)"
    if numeric:
        return "number", f"CAST({number} AS DOUBLE)"
    if moment:
        return ("date" if dated else "timestamp"), "CAST(value AS TIMESTAMP)"
    return "text", "value"


def values_to_mend(connection, decimal: str, held: int) -> dict[str, Any]:
    """Texts that would all be numbers but for NaN and infinities, or all dates but for days that never were."""
    number = f"replace(value, '{decimal}', '.')" if decimal != "." else "value"
    finite, void, days, never = connection.execute(
        f"""
        SELECT coalesce(sum(n) FILTER (regexp_full_match({number}, '{NUMBER}')), 0),
               coalesce(sum(n) FILTER (regexp_full_match(value, '{NOT_FINITE}')), 0),
               coalesce(sum(n) FILTER (regexp_full_match(value, '{MOMENT}') AND TRY_CAST(value AS TIMESTAMP) IS NOT
               NULL), 0),
               coalesce(sum(n) FILTER (regexp_full_match(value, '{MOMENT}') AND TRY_CAST(value AS TIMESTAMP) IS NULL),
               0)
        FROM v
        """
    ).fetchone()
    if void and finite and finite + void == held:
        return {"void": {"kind": "number", "n": int(void)}}
    if never and days and days + never == held:
        return {"void": {"kind": "date", "n": int(never)}}
    return {}


def dates_to_mend(connection, kind: str, held: int) -> dict[str, Any]:
    """Dates of the years 1 to 99, and texts that are all dates but of several shapes: what a reading could mend."""
    if kind in ("date", "timestamp"):
        (early,) = connection.execute(
            "SELECT coalesce(sum(n), 0) FROM v WHERE value LIKE '00__-%' AND value NOT LIKE '0000-%'"
        ).fetchone()
        return {"years_00": int(early)} if early else {}
    if kind != "text":
        return {}
    iso, barred, first, second = connection.execute(
        f"""
        SELECT coalesce(sum(n) FILTER (regexp_full_match(value, '{ISO}')), 0),
               coalesce(sum(n) FILTER (one IS NOT NULL), 0),
               coalesce(sum(n) FILTER (one > 12), 0),
               coalesce(sum(n) FILTER (two > 12), 0)
        FROM (SELECT value, n, TRY_CAST(regexp_extract(value, '{BARRED}', 1) AS INTEGER) one,
                     TRY_CAST(regexp_extract(value, '{BARRED}', 3) AS INTEGER) two FROM v)
        """
    ).fetchone()
    if not barred or iso + barred != held:
        return {}
    return {"shapes": {"n": int(barred), "first_over_12": int(first), "second_over_12": int(second)}}


def quantiles(connection, typed: str, held: int, personal: bool) -> dict[str, Any]:
    """Rounded quantiles that have at least `K` rows beyond them, and the extremes where nobody is described."""
    shares = [s for s in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99) if min(s, 1 - s) * held >= K]
    found: dict[str, Any] = {}
    if shares:
        values = connection.execute(
            # Cumulated counts over distinct values: the quantiles of the rows without sorting the rows.
            f"""
            WITH o AS (SELECT {typed} x, n, sum(n) OVER (ORDER BY {typed}) upto FROM v)
            SELECT {", ".join(f"min(x) FILTER (upto >= {s} * {held})" for s in shares)} FROM o
            """
        ).fetchone()
        found = {f"p{round(share * 100)}": rounded(float(value)) for share, value in zip(shares, values, strict=True)}
    if not personal:
        low, high = connection.execute(f"SELECT min({typed}), max({typed}) FROM v").fetchone()
        found |= {"min": rounded(float(low)), "max": rounded(float(high))}
    return found


def histogram(connection, typed: str, shape: dict[str, Any], personal: bool) -> dict[str, Any] | None:
    """Counts in equal steps between two shown bounds; a bin under `K` rows counts nothing."""
    low, high = (shape.get("p1"), shape.get("p99"))
    if low is None or high is None:
        low, high = (shape.get("p5"), shape.get("p95"))
    if low is None or high is None or high <= low:
        return None
    bins = [0] * BINS
    width = (high - low) / BINS
    for at, count in connection.execute(
        f"""
        SELECT CAST(least({BINS - 1}, floor((x - {low!r}) / {width!r})) AS INTEGER) bin, sum(n)
        FROM (SELECT CAST({typed} AS DOUBLE) x, n FROM v)
        WHERE x BETWEEN {low!r} AND {high!r} GROUP BY bin
        """
    ).fetchall():
        bins[at] = int(count)
    if personal:
        bins = [count if count >= K else 0 for count in bins]
    return {"from": low, "to": high, "bins": bins}


def detected(connection) -> detection.Found | None:
    """The direct identifier that most values of table `v` are. A sample of them is looked at, the same every time."""
    values = connection.execute(
        f"SELECT CAST(value AS VARCHAR) FROM v WHERE length(CAST(value AS VARCHAR)) <= {LONGEST} "
        f"ORDER BY hash(value) LIMIT {detection.SAMPLE}"
    ).fetchall()
    return detection.detect([value for (value,) in values])


def profile_column(
    connection, name: str, *, rows: int, personal: bool, decimal: str, declared: str = ""
) -> dict[str, Any]:
    column = quoted(name)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE v AS SELECT {column} AS value, count(*) AS n FROM t "
        f"WHERE {column} IS NOT NULL GROUP BY {column}"
    )
    held, distinct, longest, signs, commonest = connection.execute(
        "SELECT coalesce(sum(n), 0), count(*), coalesce(max(length(value)), 0), "
        "coalesce(sum(length(value) * n) / sum(n), 0), coalesce(max(n), 0) FROM v"
    ).fetchone()
    held = int(held)
    seen: dict[str, Any] = {
        "name": name,
        "type": "text",
        "missing": rows - held,
        "distinct": int(distinct),
        "length": round(float(signs), 1),
        "longest": int(longest),
        "most": int(commonest),
    }
    if not held:
        return seen | {"type": "empty"}
    if declared:
        seen["type"], typed = declared, DECLARED[declared]
    else:
        seen["type"], typed = kind_of(connection, decimal)
        seen |= dates_to_mend(connection, seen["type"], held)
        if seen["type"] == "text":
            seen |= values_to_mend(connection, decimal, held)
    if seen["type"] in ("integer", "text") and (found := detected(connection)):
        seen["detected"] = {"kind": found.kind, "share": round(found.share, 2)}
    alone = distinct == held and held > 1  # a value a row: an identifier, or an exact measure
    if seen["type"] in ("integer", "number") and not (personal and alone):
        seen["shape"] = quantiles(connection, typed, held, personal)
        seen["histogram"] = histogram(connection, typed, seen["shape"], personal)
    if seen["type"] in ("date", "timestamp"):
        first, last = connection.execute(
            f"""
            WITH o AS (SELECT {typed} x, n, sum(n) OVER (ORDER BY {typed}) upto FROM v)
            SELECT strftime(min(x) FILTER (upto >= {K}), '%Y-%m'),
                   strftime(max(x) FILTER (upto - n <= {held - K}), '%Y-%m')
            FROM o
            """
        ).fetchone()  # months only, with at least K rows on or beyond each
        if held >= 2 * K:
            seen["from"], seen["to"] = first, last
    if seen["type"] == "text" or distinct <= 12:
        seen["top"] = [
            # Of persons a rounded count: the exact one would tell how few rows bear another value.
            [value, int(rounded(n)) if personal else int(n)]
            for value, n in connection.execute(
                f"SELECT value, n FROM v WHERE n >= {K} AND length(value) <= {SHORT} ORDER BY n DESC, value LIMIT {TOP}"
            ).fetchall()
            if not detection.is_identifier(str(value))
        ]
    return seen


def profile(order: dict[str, Any], tell=lambda line: None) -> dict[str, Any]:
    """The rows and columns of the table that `order` names. `tell` hears the progress."""
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": f"{order['memory']}MiB",
            "temp_directory": order["scratch"],
            "threads": 2,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    tell({"step": "load", "percent": 30})
    connection.execute(f"CREATE TEMP TABLE t AS SELECT * FROM {order['relation']}")
    connection.execute("SET enable_external_access = false")
    (rows,) = connection.execute("SELECT count(*) FROM t").fetchone() or (0,)
    names = [row[0] for row in connection.execute("DESCRIBE t").fetchall()]
    columns = []
    for at, name in enumerate(names):
        tell({"step": "columns", "percent": 40 + 58 * at // len(names)})
        columns.append(
            profile_column(
                connection,
                name,
                rows=rows,
                personal=order["personal"],
                decimal=order["decimal"],
                declared=order.get("kinds", {}).get(name, ""),
            )
        )
    return {"rows": rows, "columns": columns}


def main() -> None:
    order = json.load(sys.stdin)
    # Beside the engine's own limit: what escapes it dies here rather than taking the machine along.
    most = (order["memory"] * 2 + 2048) * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps(profile(order, tell=lambda line: print(json.dumps(line), flush=True))), flush=True)


if __name__ == "__main__":
    main()
