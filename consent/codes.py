"""Codes of reinforced sensitivity inside coded columns: which cells the build blanks (rule G24). Pure.

A column of diagnoses is a measure; some of its values are not ordinary: they tell HIV, psychiatry, addiction, sexual
and reproductive health, violence. Unless one of these classes was approved by itself with the DPO's opinion, its
cells leave empty.

A code is compared by its *category*: what stands before the point, the figures brought back to three signs (files
often lose the leading zeros: "42" is 042), the letters cut to three. Some classes need what follows the point: those
are told whole ("079.53"). Without its point such a code is not recognised; its category then is not blanked.

Sources: ICD-9-CM official guidelines and tabular list (CDC, NCHS, FY2015, the last one): 290-319 mental disorders, of
which 291, 292, 303-305 alcohol and drugs; 042, 079.53, 795.71, V08 HIV; 630-679, V22-V28 pregnancy, birth and
contraception; 090-099 sexually transmitted diseases; 995.5, 995.8, E960-E969, V15.4, V61.1, V61.2 abuse and assault.
ICD-10 (WHO 2019; ATIH CIM-10 FR 2024): F00-F99, of which F10-F19; B20-B24, R75, Z21; O00-O99, Z30-Z39, A50-A64;
T74, X85-X99, Y00-Y09.
"""

import re
from dataclasses import dataclass

CLASSES = ("hiv", "psychiatry", "addiction", "sexual_health", "violence")
SYSTEMS = ("icd9cm", "icd10", "icd")  # "icd": nothing tells which of the two, so both tables hold

NAMED_AS_CODES = re.compile(r"(^|_)(diag(nos[a-z]*)?|icd(9|10|9cm)?|cim(10)?|dp|dr|das)_?\d*(_|$)", re.IGNORECASE)


def _numbers(first: int, last: int) -> list[str]:
    return [f"{number:03d}" for number in range(first, last + 1)]


def _letter(letter: str, first: int, last: int) -> list[str]:
    return [f"{letter}{number:02d}" for number in range(first, last + 1)]


CATEGORIES = {
    "icd9cm": {
        "hiv": ["042", "V08"],
        "psychiatry": ["290", *_numbers(293, 302), *_numbers(306, 319)],
        "addiction": ["291", "292", "303", "304", "305"],
        "sexual_health": [*_numbers(90, 99), *_numbers(630, 679), *_letter("V", 22, 28)],
        "violence": ["E96"],
    },
    "icd10": {
        "hiv": [*_letter("B", 20, 24), "R75", "Z21"],
        "psychiatry": [*_letter("F", 0, 9), *_letter("F", 20, 99)],
        "addiction": _letter("F", 10, 19),
        "sexual_health": [*_letter("A", 50, 64), *_letter("O", 0, 99), *_letter("Z", 30, 39)],
        "violence": ["T74", *_letter("X", 85, 99), *_letter("Y", 0, 9)],
    },
}
WHOLE = {
    "icd9cm": {"hiv": ["079.53", "795.71"], "violence": ["995.5", "995.8", "V15.4", "V61.1", "V61.2"]},
    "icd10": {},
}


@dataclass(frozen=True, slots=True)
class Reinforced:
    """What is blanked in one column: categories, and beginnings of codes with their point."""

    categories: tuple[str, ...]
    beginnings: tuple[str, ...]


def reinforced(system: str, classes) -> Reinforced:
    """The codes of `classes` in `system`. Raises KeyError on a system that has no table."""
    tables = ("icd9cm", "icd10") if system == "icd" else (system,)
    categories = {code for table in tables for one in classes for code in CATEGORIES[table].get(one, ())}
    beginnings = {code for table in tables for one in classes for code in WHOLE[table].get(one, ())}
    return Reinforced(tuple(sorted(categories)), tuple(sorted(beginnings)))


def category(code: str) -> str:
    """The three signs by which a code is compared: "42" is 042, "250.83" is 250, "E909" is E90."""
    before = code.strip().upper().partition(".")[0]
    return before.rjust(3, "0") if before.isdigit() else before[:3]


def is_reinforced(code: str, of: Reinforced) -> bool:
    whole = category(code) + "." + code.strip().upper().partition(".")[2]
    return category(code) in of.categories or whole.startswith(of.beginnings)


def system_of(column) -> str:
    """The system of codes of `column` (name, type, role, profile), "" for a column that holds none.

    Told by its name; which of the two, by the values its profile saw most: figures are ICD-9-CM, letters ICD-10."""
    if column.role not in ("measure", "sensitive", "quasi_identifier") or not NAMED_AS_CODES.search(column.name):
        return ""
    if column.type.lower() not in ("text", "string", "varchar"):
        return ""
    seen = [str(value) for value, _count in (getattr(column, "profile", None) or {}).get("top", ()) if value]
    figures = sum(1 for value in seen if value[0].isdigit())
    if not seen:
        return "icd"
    return "icd9cm" if figures * 2 > len(seen) else "icd10"
