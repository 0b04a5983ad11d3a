"""Which digits can be a number of some kind: check digits and ranges. Pure; every argument is ASCII digits, or as said.

Own code: each rule is a line or two, and the library that has them (python-stdnum) is under the LGPL.
"""

from __future__ import annotations

from itertools import cycle

_CARDS = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (6011, 6011, (16, 17, 18, 19)),  # Discover
    (644, 659, (16, 17, 18, 19)),
    (300, 305, (14, 15, 16, 17, 18, 19)),  # Diners Club
    (3095, 3095, (14, 15, 16, 17, 18, 19)),
    (36, 36, (14, 15, 16, 17, 18, 19)),
    (38, 39, (14, 15, 16, 17, 18, 19)),
    (62, 62, (16, 17, 18, 19)),  # UnionPay
)
"""First and last of a range of leading digits, and the lengths of its numbers, as the schemes publish them."""

IBAN_LENGTHS = {
    country: length
    for length, countries in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FO GL NL"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO EG GT HU LB PL SV"),
        (29, "BR PS QA UA"),
        (30, "JO KW MU"),
        (31, "MT SC"),
        (32, "LC"),
    )
    for country in countries.split()
}
"""By country, as in the IBAN registry of SWIFT."""


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def is_payment_card(digits: str) -> bool:
    """A range of a scheme, a length that it has, and Luhn's digit."""
    known = any(
        first <= int(digits[: len(str(first))]) <= last and len(digits) in lengths for first, last, lengths in _CARDS
    )
    return known and luhn(digits)


def is_iban(iban: str) -> bool:
    """Letters in upper case, without spaces: ISO 13616, the remainder by 97 (ISO 7064)."""
    if IBAN_LENGTHS.get(iban[:2]) != len(iban):
        return False
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def is_aba_routing(digits: str) -> bool:
    """Nine digits, of a Federal Reserve district, weighted 3, 7, 1."""
    prefix = int(digits[:2])
    district = prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80
    return district and digits != "0" * 9 and _weighted(digits, (3, 7, 1)) % 10 == 0


def is_ssn(digits: str) -> bool:
    """Nine digits that the Social Security Administration can have issued: areas 000, 666 and 9xx, group 00 and serial
    0000 never were. Two numbers that were printed in advertisements are nobody's."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    issued = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return issued and digits not in ("078051120", "219099999")


def is_itin(digits: str) -> bool:
    """Nine digits from 9 on, with a group that the IRS assigns."""
    group = int(digits[3:5])
    return digits[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99)


def is_my_number(digits: str) -> bool:
    """Twelve digits, the last a check digit: Ordinance 85 of the Ministry of Internal Affairs (2014), article 5."""
    rest = _weighted(digits[:11], (6, 5, 4, 3, 2, 7)) % 11
    return digits[11] == str(0 if rest <= 1 else 11 - rest) and len(set(digits)) > 1


def is_japanese_drivers_licence(digits: str) -> bool:
    """Twelve digits: two for who issued it, the last but one a check digit, by weights 5, 4, 3, 2, 7, 6 and 11."""
    issuer = int(digits[:2])
    rest = _weighted(digits[:10], (5, 4, 3, 2, 7, 6)) % 11
    return (issuer == 0 or 10 <= issuer <= 97) and digits[10] == str((11 - rest) % 10)


def is_passport_line(line: str) -> bool:
    """The lower line of a passport's machine-readable zone, 44 characters (ICAO 9303, part 4): the check digits of the
    number, the day of birth and the last day."""
    return all(_mrz_digit(line[start:end]) == line[end] for start, end in ((0, 9), (13, 19), (21, 27)))


def _mrz_digit(field: str) -> str:
    """ICAO 9303, part 3, section 4.9."""
    values = (0 if character == "<" else int(character, 36) for character in field)
    return str(sum(value * weight for value, weight in zip(values, cycle((7, 3, 1)), strict=False)) % 10)


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, cycle(weights), strict=False))
