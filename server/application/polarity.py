"""Whether a text says that something is so, or that it is not, as far as its words tell. English and Japanese."""

from __future__ import annotations

import re
import unicodedata

_ENGLISH = re.compile(
    r"""\b(?:not(?!\ only\b)|no(?!\.\s*\d|\ doubt\b)|never|none|neither|nobody|nothing|nowhere|without|cannot|unable
        |lacks?|forbid(?:s|den)?|prohibit(?:s|ed)?|ban(?:s|ned)?|disallow(?:s|ed)?|refused?|denied)\b|n['\u2019]t\b""",
    re.VERBOSE,
)
_MUST = re.compile("(?:なければ|なくては|ねば)(?:なら|なり|いけ)(?:なかった|ない|ません)")
"""Two negations that say that something has to be."""
_JAPANESE = re.compile(
    r"(?<![少危])な(?:い|かった|く)|ません|禁止|禁じ|不可|不能|未[定了成払]|断[りる]|できず|せず|いいえ"
)
_TRUTHS = {"yes": True, "true": True, "はい": True, "no": False, "false": False, "いいえ": False}


def negates(text: str) -> bool:
    """By an odd number of its words. What has a word of its own is not known to be an opposite: a closed door is none
    that is not open."""
    folded = _MUST.sub("", unicodedata.normalize("NFKC", text).casefold())
    return (len(_ENGLISH.findall(folded)) + len(_JAPANESE.findall(folded))) % 2 == 1


def truth_of(value: object) -> bool | None:
    """What a value says that is true or false, also as a word; None: it says something else."""
    if isinstance(value, bool):
        return value
    return _TRUTHS.get(value.strip().casefold()) if isinstance(value, str) else None
