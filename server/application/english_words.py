"""English words of a closed kind that several rules look for: months and spelled numbers."""

from __future__ import annotations

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    "december",
)
ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("thousand", "million", "billion", "trillion")
"""Each a thousand times the one before."""

_SHORT_MONTHS = ("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept?", "oct", "nov", "dec")


def month_pattern(*, capital: bool) -> str:
    """A regular expression for a month, also abbreviated; with a capital, or for folded text."""
    whole = "|".join(name.capitalize() if capital else name for name in MONTHS)
    short = "|".join(name.capitalize() if capital else name for name in _SHORT_MONTHS)
    return rf"(?:{whole}|(?:{short})\b\.?)"
