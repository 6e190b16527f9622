"""Which direct identifier the values of a column are, told by their form and their check digits. Pure.

    kind        what is asked of a value, beside its form                       source
    nir         the control key, 97 minus the number modulo 97                  stdnum.fr.nir (Insee); sex and month
    ins         the same of a matricule that waits for its NIR, or its OID      ANS, référentiel INS, annexe OID
    iban        the check digits modulo 97, the length of the country           stdnum.iban (ISO 13616)
    plate       the forms of 2009 and before, letters that exist                arrêté du 9 février 2009
    vin         the check digit, or a maker of Europe and four last figures     ISO 3779, 49 CFR 565.15
    phone       a French number, ten figures or with +33                        plan de numérotation, Arcep
    email       one address                                                     RFC 5322, the usual part
    siret       the Luhn key, that of its first nine figures too                stdnum.fr.siret
    siren       the Luhn key                                                    stdnum.fr.siren
    coordinates two numbers that are a latitude and a longitude                 RFC 5870, WKT

A kind is found where `SHARE` of the distinct values have it. One random number in ten passes a Luhn key, one in eleven
the key of a VIN: of those kinds at least `FEWEST` different values are asked for, so that a column of random numbers of
the right length raises an alarm less than twice in ten thousand.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stdnum import iban
from stdnum.fr import nir, siren, siret

SHARE = 0.6
FEWEST = 10  # different values, for a key that chance often meets
SAMPLE = 2000  # distinct values looked at

NIR = re.compile(
    r"[1-478][ .]?\d{2}[ .]?(0[1-9]|1[0-2]|[2-4]\d|[5-9]\d)[ .]?(\d{2}|2[AB])[ .]?\d{3}[ .]?\d{3}[ .]?\d{2}"
)
INS_OID = re.compile(r"(.*)\b1\.2\.250\.1\.213\.1\.4\.(8|9|10|11)\b(.*)")
PLATE = re.compile(
    r"([A-HJ-NP-TV-Z]{2})[ -]?(\d{3})[ -]?([A-HJ-NP-TV-Z]{2})|\d{1,4} ?[A-HJ-NP-TV-Z]{1,3} ?(\d{2}|2[AB]|97[1-6])"
)
VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
PHONE = re.compile(r"(\+33|0033|0)[ .-]?(\(0\))?[1-9]([ .-]?\d{2}){4}")
EMAIL = re.compile(r"[^\s@<>,;:\"]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}")
DEGREES = r"[+-]?\d{1,3}\.\d{3,}"
PAIR = re.compile(
    rf"(?P<wkt>POINT ?Z? ?\()?(geo:)?[\[(]?\s*(?P<one>{DEGREES})\s*[,;/ ]\s*(?P<two>{DEGREES})\s*[\])]*", re.IGNORECASE
)
VIN_VALUES = {
    **{str(n): n for n in range(10)},
    **dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True)),
}  # fmt: skip
VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
EUROPE = "STUVWXYZ"  # first sign of a maker's code, ISO 3780


def _is_nir(value: str) -> bool:
    return bool(NIR.fullmatch(value)) and value[0] in "12" and nir.is_valid(value)


def _is_ins(value: str) -> bool:
    if match := INS_OID.fullmatch(value):
        return any(nir.is_valid(part.strip(" ^&|;,:")) or _bare(part) for part in (match[1], match[3]))
    return bool(NIR.fullmatch(value)) and value[0] in "3478" and nir.is_valid(value)


def _bare(part: str) -> bool:
    """Thirteen figures, without their key: beside the OID they are what it names."""
    return re.fullmatch(r"[^\dA-Za-z]*[1-478]\d{4}(\d{2}|2[AB])\d{6}[^\dA-Za-z]*", part) is not None


def _is_iban(value: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z]{2}\d{2}[A-Za-z0-9 ]{11,38}", value)) and iban.is_valid(value)


def _is_plate(value: str) -> bool:
    match = PLATE.fullmatch(value.upper())
    return match is not None and not (match[1] and ("SS" in (match[1], match[3]) or match[1] == "WW"))


def _is_vin(value: str) -> bool:
    number = value.upper()
    if not VIN.fullmatch(number) or number.isdecimal() or number.isalpha():
        return False
    rest = sum(VIN_VALUES[sign] * weight for sign, weight in zip(number, VIN_WEIGHTS, strict=True)) % 11
    if number[8] == ("X" if rest == 10 else str(rest)):
        return True
    return number[0] in EUROPE and number[1].isalnum() and number[-4:].isdecimal()


def _is_phone(value: str) -> bool:
    return bool(PHONE.fullmatch(value))


def _is_email(value: str) -> bool:
    return bool(EMAIL.fullmatch(value))


def _is_siret(value: str) -> bool:
    number = value.replace(" ", "")
    return len(number) == 14 and number.isdecimal() and siret.is_valid(number)


def _is_siren(value: str) -> bool:
    number = value.replace(" ", "")
    return len(number) == 9 and number.isdecimal() and siren.is_valid(number)


def _is_place(value: str) -> bool:
    match = PAIR.fullmatch(value)
    if match is None or (match["wkt"] and not value.endswith(")")):
        return False
    one, two = abs(float(match["one"])), abs(float(match["two"]))
    return min(one, two) <= 90 and max(one, two) <= 180


@dataclass(frozen=True, slots=True)
class Detector:
    is_one: Callable[[str], bool]
    fewest: int = 1


DETECTORS = {
    "nir": Detector(_is_nir, 3), "ins": Detector(_is_ins, 3), "iban": Detector(_is_iban, 2),
    "email": Detector(_is_email), "phone": Detector(_is_phone, 3), "plate": Detector(_is_plate, 3),
    "vin": Detector(_is_vin, FEWEST), "siret": Detector(_is_siret, FEWEST), "siren": Detector(_is_siren, FEWEST),
    "coordinates": Detector(_is_place, 3),
}  # fmt: skip
OF_A_PERSON = frozenset({"nir", "ins", "iban", "email", "phone", "plate", "vin"})


@dataclass(frozen=True, slots=True)
class Found:
    kind: str
    share: float  # of the values looked at


def detect(values: Sequence[str]) -> Found | None:
    """The kind of identifier that most of these distinct `values` are; None when they are none of these."""
    looked = [value.strip() for value in values[:SAMPLE]]
    for kind, detector in DETECTORS.items():
        passing = sum(map(detector.is_one, looked))
        if passing >= detector.fewest and passing >= SHARE * len(looked):
            return Found(kind, passing / len(looked))
    return None


def is_identifier(value: str) -> bool:
    """Whether one value alone is plainly somebody's: it is shown to nobody, whatever the column's role."""
    value = value.strip()
    return any(DETECTORS[kind].is_one(value) for kind in ("nir", "ins", "iban", "email", "phone"))
