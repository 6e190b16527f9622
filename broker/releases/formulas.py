"""Cells that a spreadsheet would take for formulas, in a CSV that leaves: shown as text by a leading apostrophe. Pure.

A number keeps its sign: "-12,5" and "+3e4" are no formulas. Nothing is done to Parquet, which types its cells.
Source: OWASP, CSV Injection (equals, plus, minus, at, tab, carriage return, line feed, and their full-width forms).
"""

RISKY = r"^[=+@\t\r\n＝＋－＠-]"
NUMBER = r"^[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?\z"
STARTS = "=+-@\t\r\n＝＋－＠"
SHIELD = "'"


def is_formula(of: str, say) -> str:
    """Whether the text `of` begins like a formula and is no number, as SQL."""
    begins, number = (say("match", x=of, pattern=pattern, group=0) for pattern in (RISKY, NUMBER))
    return f"({begins} <> '' AND {number} = '')"


def shielded(of: str, say) -> str:
    """The text `of` as it may stand in a CSV, as SQL."""
    return f"CASE WHEN {is_formula(of, say)} THEN '''' || {of} ELSE {of} END"


def shielded_name(name: str) -> str:
    """The name of a column as it may stand in the first line."""
    return SHIELD + name if name[:1] and name[0] in STARTS else name
