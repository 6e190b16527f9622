"""The tables of a dataset: how they are called, and the fingerprint of several files. Pure."""

import hashlib
import re
from collections.abc import Iterable

import rfc8785

from zones.reading import EXTENSIONS

NAME_SIGNS = 120  # as stored


def name_of(file_name: str) -> str:
    """The table that a file proposes: its name without what tells its format or its part of an export.

    >>> name_of("encounters.csv"), name_of("Patient.000.ndjson.gz")
    ('encounters', 'Patient')
    """
    lower = file_name.lower()
    ending = max((one for one in EXTENSIONS if lower.endswith(one)), key=len, default="")
    stem = re.sub(r"(\.\d+)+$", "", file_name[: len(file_name) - len(ending)])
    return re.sub(r"\s+", " ", re.sub(r"[^\w .-]", "_", stem)).strip(" .")[:NAME_SIGNS] or "table"


def sha256_of(files: Iterable[tuple[str, str]]) -> str:
    """The SHA-256 of a version, from (table, SHA-256) in the order of the tables: of one file it is its own."""
    pairs = [list(pair) for pair in files]
    return pairs[0][1] if len(pairs) == 1 else hashlib.sha256(rfc8785.dumps(pairs)).hexdigest()


def path_of(table: str, column: str, *, several: bool) -> str:
    """How a column is called in its dataset."""
    return f"{table}.{column}" if several else column
