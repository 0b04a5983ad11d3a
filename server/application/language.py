"""The language of a text, as a BCP 47 tag."""

from __future__ import annotations

import functools
import re

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

UNDETERMINED = "und"
_SAMPLE = 1000
_DECISIVE = 0.25
# Words that English alone has among the languages told apart here. One of them makes a text English.
_ENGLISH_WORD = re.compile(
    r"\b(?:the|of|and|what|who|when|where|which|how|why|does|did|are|were|from|with|by|this|that|these|has|have|been)\b",
    re.IGNORECASE,
)

_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff々〆]")
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_OTHER_SCRIPTS = {
    "ru": re.compile("[\u0400-\u04ff]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "ar": re.compile("[\u0600-\u06ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
}
# Frequent characters that the simplified script alone has: Han without kana is Chinese if one of them is there.
_SIMPLIFIED = re.compile(
    "[这们为个说时对发开关门问间东车书长见认让语请谁读还进远过运边达选钱银错队阳阴险随难电视务员图费样业应现]"
)


def detect_language(text: str) -> str:
    """`en`, `ja`, `zh`, `ko`, `de`, `fr`, … or `und` for a text without letters. Looks at the first 1,000 characters.

    Scripts decide between Japanese, Chinese and Korean in microseconds, also in a question of a few words; words
    written in Han alone count as Japanese. Latin text is English unless the detector is sure of another language
    (below 1 ms)."""
    sample = text[:_SAMPLE]
    counts = {
        "ja": 2 * len(_KANA.findall(sample)),
        "han": 2 * len(_HAN.findall(sample)),
        "ko": 2 * len(_HANGUL.findall(sample)),
        "latin": len(_LATIN.findall(sample)),
    }
    counts |= {language: len(script.findall(sample)) for language, script in _OTHER_SCRIPTS.items()}
    east_asian = counts["ja"] + counts["han"]
    best = max(counts, key=lambda script: counts[script])
    if counts[best] == 0:
        return UNDETERMINED
    if best in ("ja", "han") or east_asian > counts[best]:
        return "zh" if counts["ja"] == 0 and _SIMPLIFIED.search(sample) else "ja"
    # A Japanese sentence about Latin product names: kana are grammar, and no other language has them.
    if best == "latin" and counts["ja"] >= 4 and east_asian * 2 >= counts["latin"]:
        return "ja"
    return _latin_language(sample) if best == "latin" else best


def _latin_language(text: str) -> str:
    words = text.count(" ") + 1
    if len(_ENGLISH_WORD.findall(text)) * 12 >= words:
        return "en"
    values = _detector().compute_language_confidence_values(text)
    best = values[0]
    english = next(value.value for value in values if value.language == Language.ENGLISH)
    if best.value - english < _DECISIVE:
        return "en"
    return best.language.iso_code_639_1.name.lower()


@functools.cache
def _detector() -> LanguageDetector:
    """A few languages in low-accuracy mode (trigrams only): small and fast."""
    languages = (
        Language.ENGLISH, Language.GERMAN, Language.FRENCH, Language.SPANISH, Language.ITALIAN,
        Language.PORTUGUESE, Language.DUTCH,
    )  # fmt: skip
    return LanguageDetectorBuilder.from_languages(*languages).with_low_accuracy_mode().build()
