"""The tables of a dataset: how they are called, the fingerprint of several files, and the keys between them. Pure.

Nothing here opens a file: `zones.linking` measures, in a process of its own, the pairs that are worth it.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785
from django.utils.translation import gettext as _

from zones.reading import EXTENSIONS
from zones.suggestion import words_of

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


def likely(name: str, among: Iterable[str]) -> str:
    """The table of `among` that a table called `name` would be: the one whose letters are the same, whatever its year
    and its signs; "" where none is, or several.

    >>> likely("Stays_2026-03", ["patients", "stays"])
    'stays'
    """
    found = [one for one in among if _letters(one) == _letters(name) != ""]
    return found[0] if len(found) == 1 else ""


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]+", "", name).casefold()


def sha256_of(files: Iterable[tuple[str, str]]) -> str:
    """The SHA-256 of a version, from (table, SHA-256) in the order of the tables: of one file it is its own."""
    pairs = [list(pair) for pair in files]
    return pairs[0][1] if len(pairs) == 1 else hashlib.sha256(rfc8785.dumps(pairs)).hexdigest()


def path_of(table: str, column: str, *, several: bool) -> str:
    """How a column is called in its dataset."""
    return f"{table}.{column}" if several else column


# Keys


KEY_WORDS = frozenset({"id", "key", "cle", "uuid", "ref", "reference", "nbr", "num", "number", "numero", "no", "code"})
PERSONS = frozenset(
    ("patient", "person", "personne", "subject", "sujet", "user", "usager", "customer", "client", "member", "adherent")
)
LISTS_OF_CODES = frozenset(("concept", "vocabulary", "vocabulaire", "code", "nomenclature", "referentiel", "lookup"))
BIRTH = re.compile(r"birth ?date|date of birth|birth datetime|year of birth|birth ?year|dob|naissance", re.IGNORECASE)
# What a row of a table calls another row of it.
OTHER_ROW = frozenset(
    ("parent", "mother", "father", "mere", "pere", "child", "enfant", "previous", "preceding", "precedent",
     "precedente", "next", "suivant", "suivante", "manager", "superieur", "replaced", "remplace", "origin")
)  # fmt: skip
LONG_KEY = 16  # signs on average: such values meet by being the same things, short numbers also by chance
ENOUGH = 0.9  # share of distinct values found, for a key that no name speaks for
ENOUGH_NAMED = 0.5  # the same, when the name says which table is meant


@dataclass(frozen=True, slots=True)
class Seen:
    """What the profile saw of one column, as far as keys are concerned."""

    table: str
    name: str
    type: str
    rows: int
    missing: int
    distinct: int
    length: float

    @property
    def held(self) -> int:
        return self.rows - self.missing

    @property
    def is_unique(self) -> bool:
        return self.held == self.rows == self.distinct and self.rows > 0 and self.type in ("integer", "text")


@dataclass(frozen=True, slots=True)
class Pair:
    """A column and the key whose values it may hold, of another table or of its own. Names of (table, column)."""

    child: tuple[str, str]
    key: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Link:
    """A pair as it was measured: of the `held` rows of the child that bear a value, `found` find their parent."""

    pair: Pair
    held: int
    found: int
    values: int  # distinct values of the child
    known: int  # of which the key holds
    own: int = 0  # rows that bear their own key: of a column that only repeats it, all of them

    @property
    def orphans(self) -> int:
        return self.held - self.found

    def as_json(self) -> dict[str, Any]:
        return {"of": list(self.pair.key), "held": self.held, "found": self.found}


def _words(name: str) -> frozenset[str]:
    """`encounters`, `ENCOUNTER` and `encounter_id` share the word "encounter"."""
    return frozenset(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in words_of(name))


def _names_of_table(table: str) -> frozenset[str]:
    return _words(table) - KEY_WORDS


def _is_own(column: Seen) -> bool:
    """Whether a column is called as the key of its own table: Id, or person_id in PERSON."""
    words = _words(column.name)
    return bool(words & KEY_WORDS) and (words - KEY_WORDS) <= _names_of_table(column.table)


def keys(columns: Sequence[Seen]) -> dict[str, Seen]:
    """The key of each table that has one: a different value in each row, called after the table or as a key."""
    found: dict[str, Seen] = {}
    for column in columns:
        if not column.is_unique or not _names_of_table(column.table).isdisjoint(LISTS_OF_CODES):
            continue
        former = found.get(column.table)
        if _is_own(column):
            found[column.table] = former if former is not None and _is_own(former) else column
        elif _words(column.name) & KEY_WORDS:
            found.setdefault(column.table, column)
    return found


def is_named_after(column: Seen, key: Seen) -> bool:
    """PATIENT or patient_id means patients.Id; visit_occurrence_id means the column of the same name."""
    words = _words(column.name)
    if words == _words(key.name) and not words <= KEY_WORDS:
        return True
    meant = _names_of_table(key.table)
    return bool(meant) and meant <= words and _is_own(key)


def is_other_row(column: Seen, key: Seen) -> bool:
    """Whether a column may name another row of its own table: called so, or after the table, or as long as its key. One
    with a different value in each row is a key itself."""
    if column.is_unique or (column.table, column.name) == (key.table, key.name):
        return False
    alike = key.type == "text" and column.length >= LONG_KEY and abs(key.length - column.length) < 1
    return alike or is_named_after(column, key) or not OTHER_ROW.isdisjoint(_words(column.name))


def pairs(columns: Sequence[Seen], declared: Iterable[Pair] = ()) -> list[Pair]:
    """What is worth measuring: by name, by the length of what both hold, and what a person declared."""
    known = keys(columns)
    found = dict.fromkeys(declared)
    told = {pair.child for pair in found}
    for column in columns:
        if column.held == 0 or column.type not in ("integer", "text") or (column.table, column.name) in told:
            continue
        if known.get(column.table) == column and _is_own(column):
            continue
        for key in known.values():
            if (key.type == "integer") != (column.type == "integer"):
                continue
            if key.table == column.table:
                if is_other_row(column, key) and column.distinct <= key.distinct:
                    found[Pair((column.table, column.name), (key.table, key.name))] = None
                continue
            alike = key.type == "text" and column.length >= LONG_KEY and abs(key.length - column.length) < 1
            if is_named_after(column, key) or (alike and column.distinct <= key.distinct):
                found[Pair((column.table, column.name), (key.table, key.name))] = None
    return list(found)


def links(columns: Sequence[Seen], measured: Iterable[Link]) -> dict[tuple[str, str], Link]:
    """The key that each column holds, the likeliest of those measured, by (table, column)."""
    by_place = {(column.table, column.name): column for column in columns}
    known = keys(columns)
    best: dict[tuple[str, str], tuple[Any, Link]] = {}
    for link in measured:
        child, key = by_place.get(link.pair.child), by_place.get(link.pair.key)
        if child is None or key is None or known.get(key.table) != key or link.values == 0:
            continue
        named = is_named_after(child, key)
        if key.table == child.table:
            named = not OTHER_ROW.isdisjoint(_words(child.name))
            if link.own == link.found:
                continue
        share = link.known / link.values
        if share < (ENOUGH_NAMED if named else ENOUGH) or (not named and link.values < 2):
            continue
        rank = (named, _is_own(key), share, key.distinct)
        if link.pair.child not in best or rank > best[link.pair.child][0]:
            best[link.pair.child] = (rank, link)
    return {child: link for child, (_rank, link) in best.items()}


def subject_table(columns: Sequence[Seen], found: Mapping[tuple[str, str], Link]) -> str:
    """The table with a row a person: called so, its key held by others; the most referenced one. "" when none is."""
    referenced = Counter(link.pair.key[0] for link in found.values())
    persons = [table for table in keys(columns) if not _names_of_table(table).isdisjoint(PERSONS)]
    return max(persons, key=lambda table: referenced[table], default="")


def is_birth(column: Seen) -> bool:
    """A date of birth, or its year."""
    told = " ".join(sorted(words_of(column.name))), column.name.replace("_", " ")
    return any(BIRTH.search(one) for one in told) and column.type in ("date", "timestamp", "integer")


def suggested(
    columns: Sequence[Seen], found: Mapping[tuple[str, str], Link], *, personal: bool
) -> dict[tuple[str, str], tuple[str, str]]:
    """(role, reason) of the columns that keys speak for, by (table, column): they go before names and shapes."""
    persons = subject_table(columns, found) if personal else ""
    known = keys(columns)
    told: dict[tuple[str, str], tuple[str, str]] = {}
    held = {link.pair.key for link in found.values()}
    for column in columns:
        place = (column.table, column.name)
        if link := found.get(place):
            is_own = link.pair.key[0] == persons != column.table
            role = "subject_key" if is_own else "record_key"
            told[place] = (
                role,
                _("ses valeurs sont celles de %(key)s : %(share)s %% des lignes y trouvent la leur")
                % {"key": ".".join(link.pair.key), "share": share_of(link.found, link.held)},
            )
        elif known.get(column.table) == column and column.table == persons:
            told[place] = ("subject_key", _("« %(table)s » a une ligne par personne") % {"table": column.table})
        elif place in held:
            told[place] = ("record_key", _("d'autres lignes renvoient à cette colonne"))
        elif personal and is_birth(column):
            told[place] = ("birth", _("le nom désigne une naissance"))
    return told


def share_of(found: int, held: int) -> str:
    """In percent, never rounded up to all nor down to none."""
    if not held or found == held:
        return "100" if held else "0"
    return f"{min(max(round(100 * found / held, 1), 0.1), 99.9):g}" if found else "0"
