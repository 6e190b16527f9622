"""The glossary says what the code says: each identifier is there, or is said to be reserved."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("broker", "zones", "consent")
RESERVED = re.compile(r"\(`([^`]+)`\)")
NAMED = re.compile(r"`([^`]+)`")


def identifiers(pattern: re.Pattern) -> set[str]:
    """The names of the third column, each part of a dotted one, without what a call takes."""
    rows = [
        line.split("|")[3] for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line[:3] == "| *"
    ]
    found = {name for row in rows for name in pattern.findall(row)}
    return {part.partition("(")[0].partition("=")[0] for name in found for part in name.split(".")}


def words_of_the_code() -> set[str]:
    sources = (path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "migrations" not in path.parts)
    return {word for path in sources for word in re.findall(r"\w+", path.read_text())}


def test_each_identifier_is_in_the_code_or_reserved():
    missing = identifiers(NAMED) - identifiers(RESERVED) - words_of_the_code()

    assert missing == set()


def test_what_is_reserved_does_not_exist_yet():
    classes = {
        name
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"^class (\w+)", path.read_text(), re.M)
    }

    assert identifiers(RESERVED) & classes == set()
