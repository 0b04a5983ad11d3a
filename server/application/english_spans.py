"""Phrases of English sentences that might answer a question, and what a linear model looks at in them.

Candidates are runs of up to ten tokens of one sentence that neither begin nor end inside a name or a number. Features
are hashed: which words ask, and for what kind of thing, against the classes of the phrase's tokens and its neighbours;
how near the question's words stand, above all those that follow the asking word. The idea of a log-linear model over
spans is that of Rajpurkar et al. (2016, section 5); word classes take the place of parse trees.

What is trained depends on every detail here: a change needs new weights, and another `VERSION`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import Stemmer

from server.application.english_words import MONTHS, ONES, SCALES, TEENS, TENS
from server.application.span_candidates import MOST_OF_A_SENTENCE, MOST_SENTENCES, SpanCandidate, bucket, magnitude
from server.domain.passages import TextSpan

VERSION = 2
FEATURES = 45
"""Of each candidate."""
_MOST_TOKENS = 10
_AROUND = 6
_FAR = 99

_TOKEN = re.compile(
    r"""\d{1,2}:\d\d(?:\ ?[ap]\.?m\b\.?)?  # a time
    | (?:us)?[$£€¥#]?\d[\d,.]*  # a number, with the sign before it
        (?:(?<=\d)(?:\ ?[–-]\ ?\d[\d,.]*\d|st\b|nd\b|rd\b|th\b|s\b|(?:-[^\W\d_]+)+))?(?<![.,])%?
    | \b(?:st|dr|mr|mrs|ms|jr|sr|gen|col|lt|rev|prof|inc|corp|co)\.(?!\ [a-z])
    | \b(?:[^\W\d_]\.){1,4}(?=[\s,;)"'’]|$)  # initials
    | [^\W_]+(?:[.'’-][^\W_]+)*
    | \S""",
    re.IGNORECASE | re.VERBOSE,
)
_YEARS = re.compile(r"(?:1\d|20)\d\d(?: ?[–-] ?\d+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPELLED = frozenset((*ONES, *TEENS, *TENS, "hundred", *SCALES)) | _words("dozen half twice once several")
_SCALES = frozenset(SCALES) | {"percent", "per"}
_ORDINALS = _words("first second third fourth fifth sixth seventh eighth ninth tenth last")
_DETERMINERS = _words(
    "the a an this that these those its his her their our my your some any no each every all both another such"
)
_PREPOSITIONS = _words(
    "of in on at by for from to with as into about through during between after before under over against among within"
    " without until since near across along around throughout upon toward towards than via per like"
)
_CONJUNCTIONS = _words("and or but nor &")
_BE = _words("is was are were be been being am")
AUXILIARIES = _BE | _words("do does did has have had can could may might must will would shall should")
_PRONOUNS = _words(
    "he she it they we i you him them us who which that whom whose what when where why how there himself itself"
    " themselves"
)
_ADVERBS = _words(
    "not also only just even still already often usually generally first then later now so very more most much many"
    " well about approximately nearly around however"
)
UNITS = _words(
    "percent per cent years year months month weeks days day hours hour minutes seconds miles mile km kilometres"
    " kilometers meters metres feet foot inches people acres tons pounds dollars times degrees"
)
FUNCTION_WORDS = _DETERMINERS | _PREPOSITIONS | _CONJUNCTIONS | AUXILIARIES | _PRONOUNS | _ADVERBS
_OPENING_ADVERBS = _words("first only more most about approximately nearly around very often generally many")
_CLASSES = (
    (_SPELLED, "n"),
    (_ORDINALS, "o"),
    (_DETERMINERS, "D"),
    (_PREPOSITIONS, "P"),
    (_CONJUNCTIONS, "&"),
    (AUXILIARIES, "A"),
    (_PRONOUNS, "R"),
    (_ADVERBS, "v"),
)
_ENDINGS = (("ing", "g"), ("ed", "d"), ("ly", "y"))

_ASKING = re.compile(
    r"\b(how (?:many|much|long|old|far|tall|high|deep|wide|large|big|often|fast)"
    r"|who|whom|whose|when|where|why|how|what|which)\b"
)
_MAY_OPEN_A_CLAUSE = _words("when where who which")
_WHOLLY_ASKING = _words("what which who whom how") | {"how many", "how much"}
_FRAMES = _words("name names type types kind kinds sort form term title part number percentage percent")
_NOT_CONTENT = _words("name names type kind")
_STEMMER = Stemmer.Stemmer("english")


class _Token(NamedTuple):
    """`kind`: $ money, Y year, N number, n spelled number, o ordinal, M month, C capitalized; function words by their
    class; u unit, g d y s by ending, w another word; a sign of punctuation for itself, x another."""

    text: str
    start: int
    end: int
    lower: str
    kind: str
    stem: str


class _Question(NamedTuple):
    """`thing`: what is asked for: the city of "which city". `frame`: how the asking word meets it: be, do, name of.
    `preposition`: before the asking word. `following`: the first two and the last of the content words behind it."""

    asking: str
    thing: str
    frame: str
    preposition: str
    content: frozenset[str]
    following: tuple[str, str, str]


class _Sentence(NamedTuple):
    """`before`: int64[n + 1], how many of the tokens before each one the question has; `places`: where they are;
    `named`: where the question's thing and `following` are."""

    tokens: tuple[_Token, ...]
    before: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    named: tuple[tuple[int, ...], ...]


def english_candidates(
    question: str, sentences: Sequence[str], coverages: Sequence[float]
) -> tuple[list[SpanCandidate], npt.NDArray[np.int32]]:
    """Candidates with their features, int32[n, FEATURES], buckets below BUCKETS. sentences: the likeliest first, of
    which three are looked at. coverages: the share of the question's content words in each. None repeats what the
    question says. Cost: about 25 ms for 240 candidates."""
    asked = _question(question)
    found: list[SpanCandidate] = []
    features: list[list[int]] = []
    for rank, text in enumerate(sentences[:MOST_SENTENCES]):
        sentence = _sentence(asked, text)
        of_sentence = [bucket("rank", rank), bucket("cov", int(coverages[rank] * 10))]
        for first, last in islice(_runs(asked, sentence), MOST_OF_A_SENTENCE):
            span = TextSpan(sentence.tokens[first].start, sentence.tokens[last].end)
            found.append(SpanCandidate(rank, span, text[span.start : span.end]))
            features.append(
                _form(asked, sentence, first, last) + _surroundings(asked, sentence, first, last) + of_sentence
            )
    return found, np.array(features, np.int32).reshape(-1, FEATURES)


def _runs(asked: _Question, sentence: _Sentence) -> Iterator[tuple[int, int]]:
    """First and last tokens of the candidates."""
    tokens = sentence.tokens
    for first, begin in enumerate(tokens):
        if not _may_begin(begin) or (first and _goes_on(tokens[first - 1], begin)):
            continue
        content = 0
        for last in range(first, min(first + _MOST_TOKENS, len(tokens))):
            end = tokens[last]
            if end.kind in ';:"“”|' or end.text == ".":
                break
            content += end.lower not in FUNCTION_WORDS
            if not _may_end(end) or (last + 1 < len(tokens) and _goes_on(end, tokens[last + 1])):
                continue
            own = sentence.before[last + 1] - sentence.before[first]
            if own < content and _balanced(tokens[first : last + 1]):
                yield first, last


def _may_begin(token: _Token) -> bool:
    if token.kind == "v":
        return token.lower in _OPENING_ADVERBS
    return token.kind not in ("P", "&", "A", "R", "'s", "x") and token.kind not in ',;:()"“”%-–—|'


def _may_end(token: _Token) -> bool:
    return token.kind not in ("P", "D", "&", "A", "R", "v", "'s", "x") and token.kind not in ",(-–—"


def _goes_on(token: _Token, following: _Token) -> bool:
    """Whether a name, a number or a date has its next part there."""
    return (
        token.kind == following.kind == "C"
        or (token.kind in "Nn$" and following.lower in _SCALES)
        or (token.kind == "M" and following.kind in "NYo")
        or (token.kind in "No" and following.kind == "M")
    )


def _balanced(tokens: Sequence[_Token]) -> bool:
    return sum(each.kind == "(" for each in tokens) == sum(each.kind == ")" for each in tokens)


def _form(asked: _Question, sentence: _Sentence, first: int, last: int) -> list[int]:
    """What the phrase looks like, and what stands beside it, against what asks."""
    tokens = sentence.tokens
    inside = tokens[first : last + 1]
    asking, thing, framed = asked.asking, f"{asked.asking}:{asked.thing}", asked.asking + asked.frame
    shape = "".join(kind for kind, _ in groupby(token.kind[0] for token in inside))[:6]
    length = len(inside)
    before, earlier = _word_at(tokens, first - 1), _word_at(tokens, first - 2)
    after, later = _word_at(tokens, last + 1), _word_at(tokens, last + 2)
    opening, closing = inside[0], inside[-1]
    return [
        bucket("shape", asking, shape),
        bucket("shape1", framed, shape),
        bucket("shape2", thing, shape),
        bucket("shape3", shape, length),
        bucket("length", asking, length),
        bucket("length1", thing, magnitude(length)),
        bucket("first", asking, _word(opening)),
        bucket("last", asking, _word(closing)),
        bucket("first1", thing, opening.stem),
        bucket("last1", thing, closing.stem),
        bucket("last2", asked.thing, closing.kind, asking[:3]),
        bucket("before", asking, before),
        bucket("before1", earlier, before),
        bucket("before2", before, opening.kind),
        bucket("before3", thing, before),
        bucket("after", asking, after),
        bucket("after1", after, later),
        bucket("after2", closing.kind, after),
        bucket("around", before, after),
        bucket("quoted", asking, before in '"“' and after in '"”'),
        bucket("preposition", asked.preposition, before),
        bucket("preposition1", asked.preposition != "" and asked.preposition == before),
        bucket("place", asking, magnitude(first)),
    ]


def _surroundings(asked: _Question, sentence: _Sentence, first: int, last: int) -> list[int]:
    """How much of the phrase the question has, and how near its other words are."""
    tokens, counts, places = sentence.tokens, sentence.before, sentence.places
    asking, framed = asked.asking, asked.asking + asked.frame
    length = last + 1 - first
    own = int(counts[last + 1] - counts[first])
    at = int(np.searchsorted(places, first))
    left = first - int(places[at - 1]) if at else _FAR
    to_left = tokens[first - left + 1 : first] if at else None
    at = int(np.searchsorted(places, last + 1))
    right = int(places[at]) - last if at < len(places) else _FAR
    to_right = tokens[last + 1 : last + right] if at < len(places) else None
    near = int(
        counts[min(len(tokens), last + 1 + _AROUND)]
        - counts[last + 1]
        + counts[first]
        - counts[max(0, first - _AROUND)]
    )
    left_step, right_step = magnitude(left), magnitude(right)
    before, after = _word_at(tokens, first - 1), _word_at(tokens, last + 1)
    thing, next_to, second, final = (_side(named, first, last) for named in sentence.named)
    shape = "".join(kind for kind, _ in groupby(token.kind[0] for token in tokens[first : last + 1]))[:6]
    return [
        bucket("own", asking, min(own, 3), length),
        bucket("own1", own * 5 // length),
        bucket("left", left_step),
        bucket("right", right_step),
        bucket("sides", left_step, right_step),
        bucket("left1", asking, left_step, before),
        bucket("right1", asking, right_step, after),
        bucket("near", min(near, _AROUND)),
        bucket("gap", asking, _gap(to_left)),
        bucket("gap1", asking, _gap(to_right)),
        bucket("next", asking, next_to),
        bucket("next1", next_to, before),
        bucket("second", asking, second),
        bucket("final", asking, final),
        bucket("final1", final, before),
        bucket("ends", final, next_to),
        bucket("thing", framed, thing),
        bucket("thing1", thing, shape),
        bucket("thing2", asked.thing != "" and thing == "-", asking),
        bucket("thing3", asking, thing, next_to),
    ]


def _gap(between: Sequence[_Token] | None) -> str:
    return "^" if between is None else "".join(token.kind[0] for token in between)[:4]


def _side(places: Sequence[int], first: int, last: int) -> str:
    """Where the nearest of the places is: how far to the left or to the right, or inside."""
    if not places:
        return "-"
    distance = min((place - last if place > last else min(0, place - first) for place in places), key=abs)
    if distance == 0:
        return "in"
    return f"{'R' if distance > 0 else 'L'}{magnitude(abs(distance))}"


def _sentence(asked: _Question, text: str) -> _Sentence:
    tokens = _tokens(text)
    shared = np.array([token.stem in asked.content and token.lower not in FUNCTION_WORDS for token in tokens], bool)
    named = tuple(
        tuple(at for at, token in enumerate(tokens) if stem and token.stem == stem)
        for stem in (asked.thing, *asked.following)
    )
    return _Sentence(tokens, np.concatenate([[0], np.cumsum(shared)]).astype(np.int64), np.flatnonzero(shared), named)


def _question(question: str) -> _Question:
    text = unicodedata.normalize("NFKC", question).lower().rstrip("?. ")
    found = list(_ASKING.finditer(text))
    asking = found[0] if found else None
    if asking and asking.start() and asking.group() in _MAY_OPEN_A_CLAUSE:
        # "When the store was launched, what format was used" asks what.
        asking = next((each for each in found[1:] if each.group() in _WHOLLY_ASKING), asking)
    words = "who" if asking and asking.group() == "whom" else asking.group() if asking else ""
    tokens = _tokens(text)
    at = next((number for number, token in enumerate(tokens) if asking and token.start >= asking.start()), len(tokens))
    rest = tokens[at + len(words.split()) :] if asking else tokens
    thing, frame = _thing(words, rest)
    content = frozenset(
        token.stem
        for token in tokens
        if token.lower not in FUNCTION_WORDS | _NOT_CONTENT and token.text[0].isalnum() | (token.text[0] in "$£€¥#")
    )
    behind = [token.stem for token in rest if token.lower not in FUNCTION_WORDS and token.stem != thing]
    return _Question(
        asking=("what+" if thing else "what") if words in ("what", "which") else words,
        thing=thing,
        frame=frame,
        preposition=tokens[at - 1].lower if asking and at and tokens[at - 1].lower in _PREPOSITIONS else "",
        content=content,
        following=(
            behind[0] if behind else "",
            behind[1] if len(behind) > 1 else "",
            behind[-1] if behind else "",
        ),
    )


def _thing(asking: str, rest: Sequence[_Token]) -> tuple[str, str]:
    """The stem of the kind of thing that is asked for, empty where none is named, and how it is asked for."""
    if not (asking in ("what", "which", "whose") or asking.startswith("how ")):
        return "", ""
    at, frame = 0, ""
    if rest and rest[0].lower in AUXILIARIES | {"'s"}:
        if rest[0].lower not in ("is", "was", "are", "were", "'s"):
            return "", "do"
        at, frame = 1, "be"
        while at < len(rest) and (rest[at].lower in _DETERMINERS or rest[at].kind in ("o", "v")):
            at += 1
    if at < len(rest) and rest[at].lower == "of":
        at += 1
    at = _past_determiners(rest, at)
    words, end = _noun_phrase(rest, at)
    if words and words[-1].lower in _FRAMES and end < len(rest) and rest[end].lower in ("of", "for", "given"):
        frame += words[-1].lower.rstrip("s")
        words = _noun_phrase(rest, _past_determiners(rest, end + 1))[0] or words
    if not words:
        return "", frame
    if frame or (end < len(rest) and rest[end].kind in "AP"):
        return words[-1].stem, frame
    # "What magazine declared her …" asks for the noun before the verb.
    verb = next((number for number, token in enumerate(words) if number and token.kind == "d"), 1)
    return words[verb - 1].stem, frame


def _past_determiners(tokens: Sequence[_Token], at: int) -> int:
    while at < len(tokens) and tokens[at].lower in _DETERMINERS:
        at += 1
    return at


def _noun_phrase(tokens: Sequence[_Token], at: int) -> tuple[list[_Token], int]:
    """Words up to the next function word, without what has a genitive; and where it stands."""
    words: list[_Token] = []
    while at < len(tokens) and tokens[at].lower not in FUNCTION_WORDS - {"first"} and tokens[at].kind != ",":
        if tokens[at].lower == "'s":
            words = []
        else:
            words.append(tokens[at])
        at += 1
    return words, at


def _tokens(text: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    for found in _TOKEN.finditer(text):
        word, start, end = found.group(), found.start(), found.end()
        genitive = word.lower().replace("’", "'").endswith("'s")
        if genitive and len(word) > 2:
            tokens.append(_token(word[:-2], start))
            word, start = word[-2:], end - 2
        tokens.append(_Token(word, start, end, "'s", "'s", "'s") if genitive else _token(word, start))
    if len(tokens) > 1 and tokens[0].kind == "C" and not _is_part_of_a_name(tokens[1]):
        # The first word of a sentence has a capital in any case.
        tokens[0] = tokens[0]._replace(kind=_kind(tokens[0].lower, tokens[0].lower))
    return tuple(tokens)


def _token(word: str, start: int) -> _Token:
    lower = word.lower().replace("’", "'")
    return _Token(word, start, start + len(word), lower, _kind(word, lower), _stem(lower))


def _is_part_of_a_name(following: _Token) -> bool:
    return following.text[0].isupper() or following.kind in ("A", "'s", ",", "(") or following.lower == "of"


def _kind(word: str, lower: str) -> str:
    sign = word[0]
    if sign in "$£€¥" or lower.startswith("us$"):
        return "$"
    if sign.isdigit() or (sign == "#" and len(word) > 1):
        if _YEARS.fullmatch(word) or word.endswith("0s"):
            return "Y"
        return "o" if word[-1] in "stndrh" else "N"
    if not sign.isalpha():
        return word if word in ',;:()"“”%-–—|' else "x"
    if lower in MONTHS and sign.isupper():
        return "M"
    for words, kind in _CLASSES:
        if lower in words:
            return kind
    if sign.isupper():
        return "C"
    if lower in UNITS:
        return "u"
    for ending, kind in _ENDINGS:
        if lower.endswith(ending):
            return kind
    return "s" if lower.endswith("s") and not lower.endswith("ss") else "w"


def _word_at(tokens: Sequence[_Token], at: int) -> str:
    return "^" if at < 0 else "$" if at >= len(tokens) else _word(tokens[at])


def _word(token: _Token) -> str:
    """The word itself where there are few of its class."""
    few = token.lower in FUNCTION_WORDS or not token.text[0].isalnum() or token.kind in ("n", "o", "u")
    return token.lower if few else token.kind


@lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return stem
