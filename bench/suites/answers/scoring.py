"""How much of an accepted answer an answer says. Pure functions."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_ARTICLES = frozenset(("a", "an", "the"))
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[^\W\d_] )[A-Z\u00c0-\u00de][^\W\d_]+|[\u30a1-\u30fa][\u30a1-\u30fa\u30fc]{2,}")


def units(text: str, *, japanese: bool) -> list[str]:
    """What is compared: in English words, without case, punctuation and articles, as the evaluation of SQuAD has it
    (Rajpurkar et al., 2016); in Japanese characters, without punctuation and white space. After NFKC."""
    plain = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(c for c in plain if not unicodedata.category(c).startswith(("P", "S")))
    if japanese:
        return [character for character in kept if not character.isspace()]
    return [word for word in kept.split() if word not in _ARTICLES]


def exact(answer: str, accepted: Iterable[str], *, japanese: bool) -> bool:
    said = units(answer, japanese=japanese)
    return any(units(one, japanese=japanese) == said for one in accepted)


def f1(answer: str, accepted: Iterable[str], *, japanese: bool) -> float:
    """Of the accepted answer that fits best; 0 without any."""
    said = units(answer, japanese=japanese)
    return max((_overlap(said, units(one, japanese=japanese)) for one in accepted), default=0.0)


def holds(answer: str, accepted: Iterable[str], *, japanese: bool) -> bool:
    """Whether the answer says one of them, whatever else it says."""
    said = units(answer, japanese=japanese)
    wanted = (units(one, japanese=japanese) for one in accepted)
    return any(one and any(said[at : at + len(one)] == one for at in range(len(said) - len(one) + 1)) for one in wanted)


def foreign_numbers(sentence: str, passage: str) -> list[str]:
    """Numbers of the sentence that the passage does not have, digit groups written in either way."""
    known = set(_numbers(passage))
    return [number for number in _numbers(sentence) if number not in known]


def foreign_names(sentence: str, passage: str) -> list[str]:
    """Words with a capital behind another word, and words in katakana, that the passage does not have in any case."""
    known = unicodedata.normalize("NFKC", passage).casefold()
    names = _NAME.findall(unicodedata.normalize("NFKC", sentence))
    return [name for name in names if name.casefold() not in known]


def calibration_error(told: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al., 2017) of confidences and whether each was
    right; 0 without any."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in told:
        bins.setdefault(min(int(confidence * 10), 9), []).append((confidence, right))
    gaps = (abs(sum(confidence - right for confidence, right in held)) for held in bins.values())
    return sum(gaps) / len(told) if told else 0.0


def _numbers(text: str) -> list[str]:
    return [found.replace(",", "") for found in _NUMBER.findall(unicodedata.normalize("NFKC", text))]


def _overlap(said: Sequence[str], wanted: Sequence[str]) -> float:
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted)) if shared else 0.0
