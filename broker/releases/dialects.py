"""The fragments of SQL that engines write each their own way; every other word of a plan is shared. Pure.

Statements are written with the quotes of the standard, "name" and 'text' (a sign of quotation inside is doubled). What
an engine spells otherwise is done to the finished text, sign by sign: see `spelled`.

The keys of HMAC-SHA-256 never stand in a text. Both engines are handed two pads a key, `pseudonym_inner`,
`pseudonym_outer`, `token_inner`, `token_outer`: variables of the session (DuckDB), the columns of a table of one row,
`terrain_key` (Spark, which prints neither in a plan nor in its pages what a table that came with a query holds).
"""

import re

ACCENTS = "'àáâãäåçèéêëìíîïñòóôõöùúûüýÿ', 'aaaaaaceeeeiiiinooooouuuuyy'"

DIALECTS: dict[str, dict[str, str]] = {
    "duckdb": {
        # HMAC-SHA-256 with a 64-byte key whose pads are ready. `sha256` returns hexadecimal, hence `unhex`.
        "hmac": "sha256(CAST(getvariable('{key}_outer') AS BLOB) || "
        "unhex(sha256(CAST(getvariable('{key}_inner') AS BLOB) || encode({x}))))",
        "hex_number": "CAST(('0x' || {h}) AS UBIGINT)",
        "hex_order": "CAST(('0x' || {h}) AS UBIGINT)",  # sorts as {h} does, faster
        "add_days": "{t} + to_days({d})",
        "micros": "epoch_us({t})",
        "same": "{a} IS NOT DISTINCT FROM {b}",
        "match": "coalesce(regexp_extract({x}, '{pattern}', {group}), '')",
        # Small letters and figures of ASCII, accents taken off, all else being one space, with one at both ends.
        "bare": f"' ' || trim(regexp_replace(translate(lower({{x}}), {ACCENTS}), '[^a-z0-9]+', ' ', 'g')) || ' '",
        "holds": "contains({x}, {y})",
        "words": "unnest(regexp_split_to_array({x}, '{pattern}'))",
        "try_cast": "TRY_CAST({x} AS {type})",  # of a text that was read
        "cast": "CAST({x} AS {type})",  # of what is surely one
        "quantiles": "quantile_disc({x}, [{low}, {high}])",
        "nth": "{x}[{n}]",
        "table": "CREATE TEMP TABLE {name} AS ",
        "view": "CREATE TEMP VIEW {name} AS ",
        "packed": "CAST({h} AS UUID)",  # the 32 signs of a pseudonym in 16 bytes, while its row is carried about
        "signs": "replace(CAST({x} AS VARCHAR), '-', '')",
    },
    "spark": {
        "hmac": "sha2(concat((SELECT {key}_outer FROM terrain_key), unhex(sha2(concat("
        "(SELECT {key}_inner FROM terrain_key), encode({x}, 'UTF-8')), 256))), 256)",
        "hex_number": "CAST(conv({h}, 16, 10) AS BIGINT)",  # up to 15 signs
        "hex_order": "{h}",
        "add_days": "CAST({t} AS TIMESTAMP_NTZ) + make_dt_interval({d})",
        "micros": "unix_micros(CAST({t} AS TIMESTAMP))",
        "same": "{a} <=> {b}",
        "match": "coalesce(regexp_extract({x}, '{pattern}', {group}), '')",
        "bare": f"concat(' ', trim(regexp_replace(translate(lower({{x}}), {ACCENTS}), '[^a-z0-9]+', ' ')), ' ')",
        "holds": "contains({x}, {y})",
        "words": "explode(split({x}, '{pattern}'))",
        "try_cast": "TRY_CAST({x} AS {type})",  # and see CASTS
        "cast": "CAST({x} AS {type})",
        "quantiles": "array(CAST(percentile_disc({low}) WITHIN GROUP (ORDER BY {x}) AS {type}), "
        "CAST(percentile_disc({high}) WITHIN GROUP (ORDER BY {x}) AS {type}))",  # Sail answers in doubles
        "nth": "element_at({x}, {n})",
        "table": "",  # the build writes what a query finds, and names it: `spark.Session.make`
        "view": "",
        "packed": "{h}",
        "signs": "{x}",
    },
}

# What a text must look like to be a number or a moment: Spark takes "5d" for a number and "2024" for a date, and
# refuses "12.0" as an integer, where DuckDB does the contrary. What is stranger still (1_000, 0x10, a year of five
# figures) is read by DuckDB alone: Spark's build then refuses the column, it never reads another value.
_BLANK = r"[ \t\n\f\r]*"
_NUMBER = rf"^{_BLANK}[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?{_BLANK}\z"
_SPECIAL = rf"^{_BLANK}[+-]?(nan|inf|infinity){_BLANK}\z"
_DAY = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}"
_TIME = r"(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9](?::[0-5]?[0-9](?:[.][0-9]*)?)?"
_ZONE = r"(?:Z| UTC|[+-][0-9]{2}(?::[0-9]{2})?)?"
_DATE = rf"^ *({_DAY})(?:[ T]{_TIME}{_ZONE})? *\z"
_MOMENT = rf"^(({_DAY})(?:[ T]{_TIME}{_ZONE})?)\z"


def _extracted(pattern: str) -> str:
    return f"replace(nullif(regexp_extract({{x}}, '{pattern.replace('{', '{{').replace('}', '}}')}', 1), ''), '/', '-')"


_IS_NUMBER = f"{{x}} RLIKE '{_NUMBER.replace('{', '{{').replace('}', '}}')}'"
CASTS = {
    "INTEGER": f"TRY_CAST(CASE WHEN {{x}} RLIKE '^{_BLANK}[+-]?[0-9]+{_BLANK}\\z' THEN TRY_CAST({{x}} AS BIGINT) "
    f"WHEN {_IS_NUMBER} THEN TRY_CAST(round(TRY_CAST({{x}} AS DOUBLE)) AS BIGINT) END AS {{type}})",
    "DOUBLE": f"CASE WHEN {_IS_NUMBER} OR lower({{x}}) RLIKE '{_SPECIAL}' THEN TRY_CAST({{x}} AS DOUBLE) END",
    "DATE": f"TRY_CAST({_extracted(_DATE)} AS DATE)",
    "TIMESTAMP": f"TRY_CAST({_extracted(_MOMENT)} AS TIMESTAMP_NTZ)",
}
CASTS["BIGINT"] = CASTS["INTEGER"]

# Types by the word of the statements, where an engine has another for the same thing.
TYPES = {"duckdb": {}, "spark": {"TIMESTAMP": "TIMESTAMP_NTZ", "VARCHAR": "STRING"}}

QUOTED = re.compile(r"'((?:[^']|'')*)'" r'|"((?:[^"]|"")*)"')


def say(dialect: str, word: str, **parts) -> str:
    """The fragment `word` in `dialect`, its `parts` put in."""
    if word == "try_cast" and dialect == "spark" and parts["type"] in CASTS:
        return CASTS[parts["type"]].format(**parts)
    if "type" in parts:
        parts["type"] = TYPES[dialect].get(parts["type"], parts["type"])
    return DIALECTS[dialect][word].format(**parts)


def spelled(sql: str, dialect: str) -> str:
    """`sql` with the names and texts it quotes spelled as `dialect` reads them. Spark: `name`, and a backslash before
    a sign that ends a text or stands for another."""
    if dialect != "spark":
        return sql

    def spell(found: re.Match) -> str:
        text, name = found.groups()
        if name is not None:
            return "`" + name.replace('""', '"').replace("`", "``") + "`"
        return "'" + text.replace("''", "'").replace("\\", "\\\\").replace("'", "\\'") + "'"

    return QUOTED.sub(spell, sql)


def name_of(column: str) -> str:
    """`column` as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def text_of(value: str) -> str:
    """`value` as an SQL text."""
    return "'" + value.replace("'", "''") + "'"
