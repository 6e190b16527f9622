"""Direct identifiers are told by their form and their keys, and numbers that only look like them are not."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.fr import nir

from zones.detection import FEWEST, SAMPLE, SHARE, detect, is_identifier

chance = random.Random(20261122)


def luhn(body: str) -> str:
    total = 0
    for at, sign in enumerate(reversed(body)):
        digit = int(sign) * (2 if at % 2 == 0 else 1)
        total += digit - 9 if digit > 9 else digit
    return body + str(-total % 10)


def digits(count: int) -> str:
    return "".join(chance.choice("0123456789") for _ in range(count))


def social_security_number(first="12") -> str:
    body = f"{chance.choice(first)}{digits(2)}{chance.randint(1, 12):02}{chance.randint(1, 95):02}{digits(6)}"
    return body + nir.calc_check_digits(body + "00")


def french_account() -> str:
    bank, branch, number = digits(5), digits(5), digits(11)
    key = 97 - (89 * int(bank) + 15 * int(branch) + 3 * int(number)) % 97
    body = f"{bank}{branch}{number}{key:02}"
    return f"FR{98 - int(body + '152700') % 97:02}{body}"


def chassis() -> str:
    values = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", [*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)], strict=True))
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    signs = [chance.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(17)]
    rest = sum((values[s] if s in values else int(s)) * w for s, w in zip(signs, weights, strict=True)) % 11
    signs[8] = "X" if rest == 10 else str(rest)
    return "".join(signs)


def siret_number() -> str:
    return luhn(luhn(digits(8)) + digits(4))


MADE = {
    "nir": social_security_number,
    "ins": lambda: social_security_number("3478"),
    "iban": french_account,
    "plate": lambda: f"{chance.choice('ABCDEFGH')}{chance.choice('JKLMN')}-{digits(3)}-{chance.choice('PQRST')}B",
    "vin": chassis,
    "phone": lambda: f"0{chance.randint(1, 9)} " + " ".join(digits(2) for _ in range(4)),
    "email": lambda: f"{chance.choice(['a.b', 'camille'])}{digits(3)}@exemple.fr",
    "siret": siret_number,
    "siren": lambda: luhn(digits(8)),
    "coordinates": lambda: f"{chance.uniform(41, 51):.5f}, {chance.uniform(-5, 9):.5f}",
}


@pytest.mark.parametrize("kind", MADE)
def test_a_column_of_identifiers_is_told(kind):
    found = detect([MADE[kind]() for _ in range(200)])

    assert found is not None and found.kind == kind
    assert found.share > 0.95


@pytest.mark.parametrize("kind", MADE)
def test_it_is_told_although_four_values_in_ten_are_something_else(kind):
    values = [MADE[kind]() for _ in range(130)] + [f"inconnu {n}" for n in range(70)]
    chance.shuffle(values)

    assert (found := detect(values)) is not None and found.kind == kind
    assert SHARE <= found.share < 0.7


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2 95 10 99 126 111 93", "nir"), ("253072A07300443", "nir"), ("FR76 3000 6000 0112 3456 7890 189", "iban"),
        ("AA-229-AB", "plate"), ("1234 AB 38", "plate"), ("125 BTZ 2A", "plate"), ("+33 6 12 34 56 78", "phone"),
        ("0033612345678", "phone"), ("06.12.34.56.78", "phone"), ("camille@hopital.example.fr", "email"),
        ("POINT(5.7245 45.1885)", "coordinates"), ("[5.72450, 45.18850]", "coordinates"),
        ("295109912611193^^^&1.2.250.1.213.1.4.8&ISO^INS", "ins"),
    ],
)  # fmt: skip
def test_the_ways_it_is_written(value, kind):
    assert (found := detect([value] * FEWEST)) is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    "value",
    ["295109912611199", "FR76 3000 6000 0112 3456 7890 188", "AA-229-OI", "WW-123-AA", "06 12 34 56 7", "a@b",
     "95.1885, 195.7245", "45.1, 5.7", "2024-01-31", "12:30", "1M8GDM9A0KP042788", "732829321"],
)  # fmt: skip
def test_what_lacks_its_key_or_its_form_is_not_one(value):
    assert detect([value] * FEWEST) is None


def test_of_two_thousand_columns_of_random_integers_one_at_most_raises_an_alarm():
    alarms = 0
    for length in (6, 9, 10, 13, 14, 15, 16):
        for _ in range(300):
            alarms += detect([digits(length).lstrip("0") or "0" for _ in range(30)]) is not None

    assert alarms <= 1


@given(st.lists(st.integers(min_value=-(10**18), max_value=10**18).map(str), min_size=1, max_size=60, unique=True))
@settings(max_examples=200, deadline=None)
def test_whole_numbers_of_every_size_are_no_identifier(values):
    assert detect(values) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).map(str), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_measures_are_no_identifier(values):
    assert detect(values) is None


@given(st.lists(st.text(max_size=60), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_looked_at(values):
    found = detect(values)

    assert found is None or found.share >= SHARE


def test_a_few_values_meet_a_luhn_key_by_chance_and_say_nothing():
    assert detect([luhn(digits(8)) for _ in range(FEWEST - 1)]) is None


def test_a_long_column_is_looked_at_in_part():
    assert (found := detect([MADE["email"]() for _ in range(SAMPLE)] + ["x"] * 10 * SAMPLE)) is not None
    assert found.share == 1


def test_one_value_alone_may_be_somebodys():
    assert is_identifier(social_security_number())
    assert is_identifier(" camille@exemple.fr ")
    assert not is_identifier("732829320")
    assert not is_identifier("Urgences")
