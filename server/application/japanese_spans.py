"""Phrases of Japanese sentences that might answer a question, and what a linear model looks at in them.

Candidates are runs of up to nine tokens of one sentence; a token is a run of one script, and particles stand alone.
Features are hashed: which words ask, against the phrase's script, ending, length and neighbours; the kind of thing
asked about, against the phrase's ending; how near the question's own words stand. The idea of a log-linear model over
spans is that of Rajpurkar et al. (2016, section 5), without its parse trees.

What is trained depends on every detail here: a change needs new weights, and another `VERSION`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from server.application.span_candidates import MOST_OF_A_SENTENCE, MOST_SENTENCES, SpanCandidate, bucket, magnitude
from server.domain.passages import TextSpan

VERSION = 1
FEATURES = 31
"""Of each candidate."""
_MOST_TOKENS = 9
_MOST_CHARACTERS = 40
_AROUND = 12
_FAR = 99

_KANJI = "\u4e00-\u9fff\u3005\u3006\u3007"
_TOKEN = re.compile(
    rf"\d[\d,.]*|[A-Za-z\u00c0-\u024f]+|[\u30a1-\u30f6\u30fc\u30fb]+|[{_KANJI}]+|[\u3041-\u3093]+|[^\s]"
)
_PARTICLE = re.compile(
    "(から|まで|より|には|では|とは|への|での|として|という|によって|により|による|において|における|は|が|を|に|で|と|の|も|へ|や)"
)
_ASKING = re.compile(
    "(誰|だれ|どこ|いつ|いくつ|いくら|なぜ|どちら|どれ|どの.{0,3}|どのよう|どんな.{0,2}|どう|なに|何.{0,3})"
)
_ASKING_STEM = re.compile("誰|だれ|どこ|いつ|いくつ|いくら|なぜ|どちら|どれ|どの|どんな|どう|なに|何.?|は")
_THING_AFTER = re.compile(
    rf"(?:何という|どのような|どんな|どの|何の|なんという|何)([{_KANJI}\u30a1-\u30f6\u30fc]{{1,6}})"
)
_THING_BEFORE = re.compile(
    rf"([{_KANJI}\u30a1-\u30f6\u30fc]{{1,8}})(?:の名前|の名称)?(?:は|とは)(?:、)?(?:何|誰|どこ|いつ|どちら|どれ|だれ|なに|$)"
)
_NEVER_FIRST = "H、。」』）)・P"
_NEVER_LAST = "、「『（(・"
_LONE_PARTICLES = "はがをにでともへや"


class _Token(NamedTuple):
    text: str
    start: int
    end: int
    script: str


class _Question(NamedTuple):
    text: str
    asking: str
    thing: str
    pairs: frozenset[str]


def japanese_candidates(
    question: str, sentences: Sequence[str], coverages: Sequence[float]
) -> tuple[list[SpanCandidate], npt.NDArray[np.int32]]:
    """Candidates with their features, int32[n, FEATURES], buckets below BUCKETS. sentences: the likeliest first, of
    which three are looked at. coverages: the share of the question's content words in each. None repeats what the
    question says. Cost: about 10 ms for 240 candidates."""
    asked = _question(question)
    found: list[SpanCandidate] = []
    features: list[list[int]] = []
    for rank, sentence in enumerate(sentences[:MOST_SENTENCES]):
        for candidate, measured in islice(_of_sentence(asked, rank, sentence, coverages[rank]), MOST_OF_A_SENTENCE):
            found.append(candidate)
            features.append(measured)
    return found, np.array(features, np.int32).reshape(-1, FEATURES)


def _of_sentence(
    asked: _Question, rank: int, sentence: str, coverage: float
) -> Iterator[tuple[SpanCandidate, list[int]]]:
    text, origin = _folded(sentence)
    tokens = _tokens(text)
    scripts = [token.script for token in tokens]
    shared = _shared(text, asked)
    before = np.concatenate([[0], np.cumsum(shared)])
    places = np.flatnonzero(shared)
    for first, begin in enumerate(tokens):
        if begin.script in _NEVER_FIRST:
            continue
        for last in range(first, min(first + _MOST_TOKENS, len(tokens))):
            end = tokens[last]
            if end.script == "。" or end.end - begin.start > _MOST_CHARACTERS:
                break
            if end.script in _NEVER_LAST or (end.script == "H" and end.text in _LONE_PARTICLES):
                continue
            phrase = text[begin.start : end.end]
            if phrase in asked.text or not _balanced(phrase):
                continue
            span = TextSpan(origin[begin.start], origin[end.end - 1] + 1)
            measured = _features(asked, tokens, scripts, first, last, phrase)
            measured += _nearness(asked, before, places, begin.start, end.end, len(text))
            measured += [bucket("rank", rank), bucket("cov", int(coverage * 10))]
            yield SpanCandidate(rank, span, sentence[span.start : span.end]), measured


def _features(
    asked: _Question, tokens: Sequence[_Token], scripts: Sequence[str], first: int, last: int, phrase: str
) -> list[int]:
    asking, thing = asked.asking, asked.thing
    before = tokens[first - 1].text if first else "^"
    after = tokens[last + 1].text if last + 1 < len(tokens) else "$"
    later = tokens[last + 2].text[:2] if last + 2 < len(tokens) else "$"
    shape = "".join(script for script, _ in groupby(scripts[first : last + 1]))[:6]
    length = magnitude(len(phrase))
    found = [
        bucket("shape", asking, shape),
        bucket("ends", asking, phrase[-1]),
        bucket("ends2", asking, phrase[-2:]),
        bucket("before", asking, before[-2:]),
        bucket("before1", before[-2:], scripts[first]),
        bucket("after", asking, after[:3]),
        bucket("after1", after[:3], scripts[last]),
        bucket("after2", after[:2], later),
        bucket("length", asking, length),
        bucket("length1", shape, length),
        bucket("tokens", last - first),
        bucket("first", scripts[first]),
        bucket("last", scripts[last]),
        bucket("opens", scripts[first - 1] if first else "^", scripts[first]),
        bucket("closes", scripts[last], scripts[last + 1] if last + 1 < len(tokens) else "$"),
        bucket("of", "の" in phrase),
        bucket("place", asking, magnitude(first)),
        bucket("around", before, after[:1]),
    ]
    if thing:
        found += [
            bucket("thing", phrase.endswith(thing)),
            bucket("thing1", phrase[-1] == thing[-1]),
            bucket("thing2", thing[-1], phrase[-1]),
            bucket("thing3", thing[-2:], shape),
            bucket("thing4", thing[-2:], phrase[-1]),
        ]
    else:
        found += [bucket("nothing", shape), *(bucket("nothing", number) for number in range(4))]
    return found


def _nearness(
    asked: _Question,
    before: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    start: int,
    end: int,
    length: int,
) -> list[int]:
    """How much of the phrase the question has, and how near its other words are. before: int64[length + 1], how many
    characters before each one are shared; places: where they are."""
    own = int((before[end] - before[start]) / (end - start) * 5)
    at = int(np.searchsorted(places, start))
    left = start - int(places[at - 1]) if at else _FAR
    at = int(np.searchsorted(places, end))
    right = int(places[at]) - end + 1 if at < len(places) else _FAR
    near = int(before[min(end + _AROUND, length)] - before[end] + before[start] - before[max(0, start - _AROUND)])
    return [
        bucket("own", own),
        bucket("own1", asked.asking, own),
        bucket("left", magnitude(left)),
        bucket("right", magnitude(right)),
        bucket("sides", magnitude(left), magnitude(right)),
        bucket("near", magnitude(near)),
    ]


def _question(question: str) -> _Question:
    text = unicodedata.normalize("NFKC", question).rstrip("?。 ")
    asking = _ASKING.search(text)
    stem = _ASKING_STEM.match(asking.group() if asking else "は")
    thing = (_THING_AFTER.search(text) if stem and stem.group() != "いつ" else None) or _THING_BEFORE.search(text)
    pairs = frozenset(text[at : at + 2] for at in range(len(text) - 1))
    return _Question(text, stem.group() if stem else "", thing.group(1) if thing else "", pairs)


def _shared(text: str, asked: _Question) -> npt.NDArray[np.bool_]:
    """bool[len(text)]: which characters stand in a pair that the question has, too; pairs of hiragana do not count."""
    shared = np.zeros(len(text), bool)
    for at in range(len(text) - 1):
        pair = text[at : at + 2]
        if pair in asked.pairs and not (_is_hiragana(pair[0]) and _is_hiragana(pair[1])):
            shared[at : at + 2] = True
    return shared


def _folded(sentence: str) -> tuple[str, list[int]]:
    """NFKC, with the place of each character in `sentence`."""
    folded: list[str] = []
    origin: list[int] = []
    for at, character in enumerate(sentence):
        plain = unicodedata.normalize("NFKC", character)
        folded.append(plain)
        origin.extend([at] * len(plain))
    return "".join(folded), origin


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    for found in _TOKEN.finditer(text):
        script = _script(found.group()[0])
        at = found.start()
        for part in _PARTICLE.split(found.group()) if script == "H" else [found.group()]:
            if part:
                tokens.append(_Token(part, at, at + len(part), script))
                at += len(part)
    return tokens


def _script(character: str) -> str:
    if character.isdecimal():
        return "D"
    if _is_hiragana(character):
        return "H"
    if "\u30a1" <= character <= "\u30fc":
        return "K"
    if "\u4e00" <= character <= "\u9fff" or character in "々〆〇":
        return "C"
    if character.isalpha():
        return "L"
    return character if character in "「」『』（）()、。・" else "P"


def _is_hiragana(character: str) -> bool:
    return "\u3041" <= character <= "\u3093"


def _balanced(phrase: str) -> bool:
    return sum(map(phrase.count, "「『（(")) == sum(map(phrase.count, "」』）)"))
