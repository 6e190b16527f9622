"""The fragments of SQL that engines write each their own way; every other word of a plan is shared. Pure."""

DIALECTS = {
    "duckdb": {
        # HMAC-SHA-256 with a 64-byte key whose pads are ready. `sha256` returns hexadecimal, hence `unhex`.
        "hmac": "sha256(CAST(getvariable('{key}_outer') AS BLOB) || "
        "unhex(sha256(CAST(getvariable('{key}_inner') AS BLOB) || encode({x}))))",
        "hex_number": "CAST(('0x' || {h}) AS UBIGINT)",
        "add_days": "{t} + to_days({d})",
        "same": "{a} IS NOT DISTINCT FROM {b}",
        "match": "coalesce(regexp_extract({x}, '{pattern}', {group}), '')",
        "try_cast": "TRY_CAST({x} AS {type})",
        "quantiles": "quantile_disc({x}, [{low}, {high}])",
        "table": "CREATE TEMP TABLE {name} AS ",
    },
}


def name_of(column: str) -> str:
    """`column` as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def text_of(value: str) -> str:
    """`value` as an SQL text."""
    return "'" + value.replace("'", "''") + "'"
