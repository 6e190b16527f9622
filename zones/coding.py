"""Columns of codes whose system nobody here has a table of: nothing is blanked in them (rule G24). Pure.

Diagnoses coded by the ICD are blanked by class (`consent.codes`). SNOMED CT, ATC, LOINC, RxNorm, CCAM and the concepts
of OMOP are not: no public list tells which of their codes are of reinforced sensitivity.
"""

from zones.suggestion import words_of

HEALTH = frozenset(("clinical", "imaging", "community_care", "biological", "genetic", "medico_economic"))
SYSTEMS = frozenset(("snomed", "sct", "atc", "loinc", "rxnorm", "cvx", "ccam", "nabm", "ucd", "cip", "cip13"))
CODES = SYSTEMS | {"code", "codes", "coding", "concept"}
# The ICD, which is known, and codes of something else than care.
OTHERS = frozenset(
    ("diag", "diagnosis", "diagnostic", "icd", "icd9", "icd10", "cim", "cim10", "postal", "post", "zip", "insee",
     "commune", "pays", "country", "region", "departement", "county", "type", "language", "currency", "unit")
)  # fmt: skip
LEAVING = frozenset(("", "measure", "quasi_identifier"))  # roles whose values leave without an approval of their own


def is_unknown(name: str, role: str) -> bool:
    """Whether a column of a dataset of care is called as codes that are not of the ICD, and would leave as they are.

    >>> is_unknown("drug_atc", "measure"), is_unknown("diag_1", "measure"), is_unknown("CODE", "sensitive")
    (True, False, False)
    """
    words = words_of(name.replace(".", " "))
    return role in LEAVING and bool(words & CODES) and (bool(words & SYSTEMS) or not words & OTHERS)
