"""From the treatment of one column to SQL: the type, the value, what is merged, clipped or blanked. Pure.

Every function takes a `Cell` and answers an expression over a row of `base` (`of` is the column as it was read, a
text): a kind that has no function leaves the value as its type. Nothing here knows a table but those it is told of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.releases.dialects import name_of, text_of

NUMERIC = {
    "integer": "BIGINT", "bigint": "BIGINT", "number": "DOUBLE", "float": "DOUBLE", "decimal": "DOUBLE",
    "double": "DOUBLE",
}  # fmt: skip
MOMENT = {"timestamp": "TIMESTAMP", "datetime": "TIMESTAMP", "date": "DATE"}

NO_END = 999  # the last age of a band without end
MERGED = ("category", "department", "commune_group")  # kinds whose rare values become "autre"
DEGREE_KM = "111.195e0"  # of latitude, on a sphere of 6,371.0088 km


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of one column in a row: `of` as read, `typed` as its type (`type`, an SQL type or ""), `say` the
    fragments of the dialect, `beside` the coordinates of its point by axis."""

    of: str
    typed: str
    treatment: dict
    say: Callable[..., str]
    type: str = ""
    beside: dict[str, str] = field(default_factory=dict)
    number: str = ""  # the subject's own number (`subject_number`), where the row has it already


def sql_type(column: dict) -> str:
    """The SQL type of `column`; "" for text."""
    kind = column["type"].lower()
    return NUMERIC.get(kind) or MOMENT.get(kind) or ""


def typed(column: dict, *, say, of: str, decimal: str = ".", as_read: bool = False) -> str:
    """`of` as the type of `column`, null where it is not; `as_read` keeps the text."""
    wanted = sql_type(column)
    if not wanted or as_read:
        return of
    if wanted == "DOUBLE" and decimal == ",":
        of = f"replace({of}, ',', '.')"
    return say("try_cast", x=of, type=wanted)


def type_of(column: dict) -> str | None:
    """The engine's type of `column`, where it is no text."""
    return NUMERIC.get(column["type"].lower()) or MOMENT.get(column["type"].lower())


FARTHEST = {
    "DOUBLE": ("-1.7976931348623157E308", "1.7976931348623157E308"),
    "TIMESTAMP": ("'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"),
    "DATE": ("'0001-01-01'", "'9999-12-31'"),
}


def is_within(column: dict, value: str, *, say) -> str:
    """Whether the typed `value` is one that other tools can hold: no NaN (greater than every number in both engines),
    no infinity, no date outside the calendar. Null where there is no value."""
    kind = type_of(column) or ""
    if kind not in FARTHEST:
        return f"({value} IS NOT NULL)"
    low, high = (say("cast", x=end, type=kind) for end in FARTHEST[kind])
    return f"({value} BETWEEN {low} AND {high})"


def is_written_as(column: dict, of: str, *, say, decimal: str) -> str:
    """Whether the text `of` is written as the type of `column` says, in the way that any reader understands."""
    kind, sign = NUMERIC.get(column["type"].lower()), "," if decimal == "," else "[.]"
    if kind:
        digits = "[0-9]+" if kind == "BIGINT" else f"([0-9]+({sign}[0-9]*)?|{sign}[0-9]+)([eE][+-]?[0-9]+)?"
        written = say("match", x=of, pattern=rf"^[+-]?{digits}\z", group=0)
        return f"{written} <> '' OR {of} IS NULL"
    return f"{is_within(column, typed(column, say=say, of=of), say=say)} OR {of} IS NULL"


def department(cell: Cell) -> str:
    """The first two signs of a commune or postal code, three overseas."""
    return _department(cell.of)


def _department(of: str) -> str:
    # Four signs: a file that was read as numbers lost its leading zero (`commune`).
    return (
        f"CASE WHEN length({of}) = 4 THEN '0' || substr({of}, 1, 1) "
        f"WHEN substr({of}, 1, 2) IN ('97', '98') THEN substr({of}, 1, 3) ELSE substr({of}, 1, 2) END"
    )


def band_age(cell: Cell) -> str:
    """The band of the row's age (`terrain_low` to `terrain_high`), widened outward to multiples of the width."""
    width, top = int(cell.treatment["width"]), int(cell.treatment["top"])
    low, high = f"(terrain_low - terrain_low % {width})", f"(terrain_high - terrain_high % {width} + {width - 1})"
    return (
        f"CASE WHEN terrain_low IS NULL OR terrain_high IS NULL THEN NULL WHEN {low} >= {top} THEN '{top}+' "
        f"WHEN terrain_high = {NO_END} THEN CAST({low} AS STRING) || '+' "
        f"ELSE CAST({low} AS STRING) || '-' || CAST({high} AS STRING) END"
    )


def subject_number(say: Callable[..., str], *, of: str = "") -> str:
    """A number that is the subject's own, from the part of its HMAC that is no part of the pseudonym. `of`: the table
    that the HMAC stands in, where there are several."""
    return say("hex_number", h=f"substr({of + '.' if of else ''}terrain_h, 33, 8)")


def shift_days(cell: Cell) -> str:
    """The moment moved by the subject's own number of days, from -182 to +182."""
    number = cell.number or subject_number(cell.say)
    return cell.say("add_days", t=cell.typed, d=f"CAST({number} % 365 AS INTEGER) - 182")


def shift_weeks(cell: Cell) -> str:
    """The moment moved by the subject's own number of weeks, from -4 to +4."""
    number = cell.number or subject_number(cell.say)
    return cell.say("add_days", t=cell.typed, d=f"CAST({number} % 9 AS INTEGER) * 7 - 28")


def birth_band(cell: Cell) -> str:
    """The band of the year of birth that the value begins with. Everybody of `top` years or more in the reception's
    year is in one band, "<1940": it ends with the band of the youngest of them."""
    width, oldest = int(cell.treatment["width"]), int(cell.treatment["year"]) - int(cell.treatment["top"])
    read = cell.say("match", x=cell.of, pattern=r"^([0-9]{4})(-|\z)", group=1)
    year = cell.say("try_cast", x=f"nullif({read}, '')", type="INTEGER")
    low, bottom = f"({year} - {year} % {width})", oldest - oldest % width
    return (
        f"CASE WHEN {year} IS NULL THEN NULL WHEN {low} <= {bottom} THEN '<{bottom + width}' "
        f"ELSE CAST({low} AS STRING) || '-' || CAST({low} + {width - 1} AS STRING) END"
    )


def start_of(cell: Cell) -> str:
    """The start of the minute, hour, day or month."""
    start = f"date_trunc('{cell.treatment['kind']}', {cell.typed})"
    return cell.say("cast", x=start, type=cell.type) if cell.type in MOMENT.values() else "NULL"


def grid_1km(cell: Cell) -> str:
    """One coordinate of the middle of the cell (`consent.treatments` says which cells)."""
    at = cell.beside
    middle = f"((floor({at['latitude']} * {DEGREE_KM}) + 0.5e0) / {DEGREE_KM})"
    there = f"{at['latitude']} BETWEEN -89 AND 89 AND {at['longitude']} BETWEEN -180 AND 180"
    value = middle
    if cell.treatment["axis"] == "longitude":
        wide = f"({DEGREE_KM} * cos(radians({middle})))"
        value = f"((floor({at['longitude']} * {wide}) + 0.5e0) / {wide})"
    return f"CASE WHEN {there} THEN {_rounded(value, 5)} END"


def rounded(cell: Cell) -> str:
    """The measure to so many decimals. A half goes up, in the same arithmetic of doubles in every engine."""
    return cell.typed if cell.type == "BIGINT" else _rounded(cell.typed, int(cell.treatment["decimals"]))


def _rounded(value: str, decimals: int) -> str:
    """`value` to so many decimals where it is small enough for that to mean anything."""
    scale = f"CAST({10**decimals} AS DOUBLE)"
    return f"CASE WHEN abs({value}) < 1e12 THEN floor({value} * {scale} + 0.5e0) / {scale} ELSE {value} END"


PAUSE, REST = 600, 100  # a pause between trips in seconds; how far one may stray in a rest, in metres
NEAR, SPREAD = 300, 201  # metres cut at each end of a trip at least, and how many more there may be


def day(moment: str, *, say) -> str:
    """The day of a moment as text, "" where there is none."""
    return f"coalesce(substr(CAST({say('try_cast', x=moment, type='TIMESTAMP')} AS STRING), 1, 10), '')"


def _metres(*, y0: str, x0: str) -> str:
    """How far a point is from (`y0`, `x0`): on a plane, the cosine being of its own latitude."""
    north, east = f"111195e0 * (terrain_y - {y0})", f"111195e0 * (terrain_x - {x0}) * cos(radians(terrain_y))"
    return f"sqrt({north} * ({north}) + {east} * ({east}))"


def points(rows: str, *, say) -> str:
    """The points of `rows` (`terrain_line`, `terrain_did` of the subject's day, `terrain_h`, `terrain_y`, `terrain_x`,
    `terrain_t`) that have a place and a moment, the first line of a moment: `terrain_at` in microseconds, and whether
    the point rests."""
    by = "PARTITION BY terrain_did ORDER BY terrain_at"
    ahead = f"OVER ({by} RANGE BETWEEN {PAUSE * 10**6} FOLLOWING AND UNBOUNDED FOLLOWING)"
    behind = f"OVER ({by} RANGE BETWEEN UNBOUNDED PRECEDING AND {PAUSE * 10**6} PRECEDING)"
    first = "row_number() OVER (PARTITION BY terrain_did, terrain_at ORDER BY terrain_line)"
    met = f"SELECT *, {say('micros', t='terrain_t')} AS terrain_at FROM ({rows}) placed"
    known = "terrain_x IS NOT NULL AND terrain_y IS NOT NULL AND terrain_at IS NOT NULL"
    every = f"SELECT *, {first} AS terrain_same FROM ({met}) timed WHERE {known}"
    once = f"SELECT * FROM ({every}) every WHERE terrain_same = 1"
    seen = (
        f"SELECT *, first_value(terrain_y) {ahead} AS terrain_y1, first_value(terrain_x) {ahead} AS terrain_x1, "
        f"last_value(terrain_y) {behind} AS terrain_y0, last_value(terrain_x) {behind} AS terrain_x0 FROM ({once}) once"
    )
    rests = " OR ".join(f"coalesce({_metres(y0=f'terrain_y{n}', x0=f'terrain_x{n}')} < {REST}, false)" for n in (0, 1))
    shown = "terrain_line, terrain_did, terrain_h, terrain_y, terrain_x, terrain_t, terrain_at"
    return f"SELECT {shown}, ({rests}) AS terrain_rests FROM ({seen}) seen"


def inside_of_trips(table: str, *, say) -> str:
    """The lines of the points (`points`) that are left: on a trip, far enough from both its ends, one a minute."""
    by = "PARTITION BY terrain_did ORDER BY terrain_at"
    lone = f"terrain_at - lag(terrain_at) OVER ({by}) > {PAUSE * 10**6}"
    parts = f"coalesce({lone} OR terrain_rests <> lag(terrain_rests) OVER ({by}), true)"
    begun = f"SELECT *, CASE WHEN {parts} THEN 1 ELSE 0 END AS terrain_new FROM {table}"
    trips = f"SELECT *, sum(terrain_new) OVER ({by} ROWS UNBOUNDED PRECEDING) AS terrain_trip FROM ({begun}) begun"
    trip = "PARTITION BY terrain_did, terrain_trip ORDER BY terrain_at"
    whole = f"OVER ({trip} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    ends = ", ".join(
        f"{word}_value(terrain_{axis}) {whole} AS terrain_{axis}{n}"
        for n, word in enumerate(("first", "last"))
        for axis in "yx"
    )
    far = " AND ".join(
        f"{_metres(y0=f'terrain_y{n}', x0=f'terrain_x{n}')} >= "
        f"{NEAR} + CAST({say('hex_number', h=f'substr(terrain_h, {at}, 8)')} % {SPREAD} AS INTEGER)"
        for n, at in enumerate((49, 57))
    )
    minute = "row_number() OVER (PARTITION BY terrain_did, date_trunc('minute', terrain_t) ORDER BY terrain_at)"
    inside = f"SELECT terrain_line, {minute} AS terrain_n FROM (SELECT *, {ends} FROM ({trips}) trips) ended"
    return f"SELECT terrain_line FROM ({inside} WHERE NOT terrain_rests AND {far}) minutes WHERE terrain_n = 1"


def area(column: str, table: str) -> str:
    """The group of communes of the code in `column`, found in `table`; of a commune unknown there, the département."""
    return f"coalesce({table}.area, {_department(column)})"


def first_of_group(area: str) -> str:
    """The code of a commune of the `area`, or its département: what a département is read from."""
    return f"CASE WHEN substr({area}, 1, 1) = 'G' THEN substr({area}, 2) ELSE {area} END"


def commune(column: str) -> str:
    """The code in `column` on five signs: a file that was read as numbers lost its leading zero."""
    return f"CASE WHEN length({column}) = 4 THEN '0' || {column} ELSE {column} END"


def _nothing(cell: Cell) -> str:
    return "NULL"


def _as_read(cell: Cell) -> str:
    return cell.of


VALUES: dict[str, Callable[[Cell], str]] = {
    "rekey": _nothing,  # a declared key is re-keyed where its table is known (`tables`), and leaves nowhere else
    "category": _as_read,
    "department": department,
    "commune_group": _as_read,  # the group already stands in `base`, where the table of groups is joined
    "band_age": band_age,
    "birth_band": birth_band,
    "grid_1km": grid_1km,
    "round": rounded,
    "shift_days": shift_days,
    "shift_weeks": shift_weeks,
    "minute": start_of,
    "hour": start_of,
    "day": start_of,
    "month": start_of,
}


# Kinds that release a value of the column's own type: one that is not of it refuses the build.
TYPED = frozenset(
    {"keep", "clip", "round", "shift_days", "shift_weeks", "minute", "hour", "day", "month", "grid_1km", "trim_trace"}
)  # fmt: skip


def is_clipped(treatment: dict) -> bool:
    """Whether it is top and bottom coded, where something tells who the person is."""
    return treatment["kind"] in ("clip", "round") and "low_per_mille" in treatment


def treated(cell: Cell) -> str:
    """The value of the cell as its treatment makes it, before rare ones are merged or far ones clipped."""
    value = VALUES.get(cell.treatment["kind"])
    return value(cell) if value else cell.typed


def merged(value: str, common: str) -> tuple[str, str]:
    """`value` where the table `common` holds it, else "autre"; and whether it was made so."""
    rare = f"({value} IS NOT NULL AND {common}.value IS NULL)"
    return f"CASE WHEN {rare} THEN 'autre' ELSE {value} END", rare


def clipped(value: str, bounds: str, *, say: Callable[..., str]) -> tuple[str, str]:
    """`value` brought between the two `bounds` (a list); and whether it was outside."""
    low, high = (say("nth", x=bounds, n=n) for n in (1, 2))
    bound = f"CASE WHEN {value} < {low} THEN {low} WHEN {value} > {high} THEN {high} ELSE {value} END"
    return bound, f"coalesce({value} < {low} OR {value} > {high}, false)"


def codes(one: dict, *, say, source: str) -> str:
    """Each code met in a column of `source`, and whether it is of a class that does not leave: asked once a code."""
    met = f"SELECT DISTINCT {name_of(one['column'])} AS value FROM {source}"
    return f"SELECT value, {is_reinforced(one, say=say, of='value')} AS terrain_reinforced FROM ({met}) met"


def is_reinforced(one: dict, *, say, of: str) -> str:
    """Whether the code `of` is of a class that does not leave. Its category: what stands before the point, figures
    brought to three signs, letters cut to three (`consent.codes`)."""
    of = f"upper(trim({of}))"
    before, after = f"split_part({of}, '.', 1)", f"split_part({of}, '.', 2)"
    is_figures = say("match", x=before, pattern=r"^[0-9]+\z", group=0) + " <> ''"
    padded = f"CASE WHEN length({before}) < 3 THEN lpad({before}, 3, '0') ELSE {before} END"
    category = f"(CASE WHEN {is_figures} THEN {padded} ELSE substr({before}, 1, 3) END)"
    tests = []
    if one["categories"]:
        tests.append(f"{category} IN ({', '.join(text_of(code) for code in one['categories'])})")
    tests += [f"{category} || '.' || {after} LIKE {text_of(code + '%')}" for code in one["beginnings"]]
    return f"coalesce({' OR '.join(tests) or 'false'}, false)"
