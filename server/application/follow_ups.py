"""Follow-up questions, told by words that refer to something, and completed with words of the question before.

No model is asked. "When was it built?" after "How many passengers does the ferry Sanderling carry?" becomes "When was
it built? (passengers ferry Sanderling carry)": search finds the ferry, and the generator sees what is meant. What the
question before referred to is in its words by then, so chains hold. It does not find out which of several things "it"
is, and a question that refers to the answer rather than to the question before ("Who is that?") gains little.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.application.query import MAX_QUERY_CHARACTERS
from server.application.terms import terms_of
from server.domain.conversations import PastTurn

_MOST_WORDS = 12
# "that" begins clauses more often than it refers to something, but not at the end.
_REFERS = re.compile(
    r"\b(?:it|its|he|him|his|she|her|hers|they|them|their|theirs|this|these|those|there|the same)\b"
    r"|\bthat\W*$|^(?:and|but|what about|how about)\b",
    re.IGNORECASE,
)
_REFERS_JAPANESE = re.compile(
    r"それ|その|そこ|そちら|これ|この(?!み)|ここ|こちら|あれ|あの|あそこ|彼女?|同じ|両方|^(?:では|じゃあ|なら|また)"
)
_WORDS = re.compile(
    r"[\u4e00-\u9fff\u3005]+|[\u30a1-\u30fa\u30fc]{2,}|\d+(?:[.,]\d+)*|(?:(?![\u3040-\u30ff\u4e00-\u9fff\u3005])[^\W\d_])+"
)


class WordsOfTheLastQuestion:
    """FollowUps by rules."""

    async def rewritten(self, question: str, past: Sequence[PastTurn]) -> str:
        return completed(question, past[-1].whole) if past else question


def refers(question: str) -> bool:
    """Whether it refers to something before it, or has no content words of its own."""
    pointing = _REFERS.search(question) or _REFERS_JAPANESE.search(question)
    return pointing is not None or not terms_of(question).all


def content_words(text: str, known: frozenset[str]) -> list[str]:
    """The words of `text`, in order, that tell something which neither `known` terms nor a word before them tell."""
    words: list[str] = []
    for word in _WORDS.findall(text):
        terms = terms_of(word).all
        if terms and not terms <= known:
            words.append(word)
            known |= terms
    return words


def completed(question: str, before: str) -> str:
    """`question` with the content words of the one before in brackets, if it refers to something. Cost: microseconds
    for each character."""
    if not refers(question):
        return question
    added: list[str] = []
    room = MAX_QUERY_CHARACTERS - len(question) - len(" ()")
    for word in content_words(before, terms_of(question).all):
        if len(added) < _MOST_WORDS and len(word) < room:
            added.append(word)
            room -= len(word) + 1
    return f"{question} ({' '.join(added)})" if added else question
