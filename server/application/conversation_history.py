"""What a conversation was about before its last turns, in words of its questions alone. Pure.

What documents say is not in it: it would stay when a document is deleted, and be told to who may not read it any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from server.application.chunking import estimate_tokens
from server.application.follow_ups import content_words
from server.application.terms import terms_of


def summarized(before: str, questions: Sequence[str], most_tokens: int) -> str:
    """An earlier summary with further questions: a line each, the first one first, in at most so many tokens (as
    estimated from the characters). The newest stay whole, up to half of the tokens; of older ones those words are left
    that no newer line has, and the oldest are left out. A question that was asked again is there once.

    Adding all at once or one by one gives the same but for what was left out on the way. Cost: some ten microseconds a
    line."""
    lines = list(dict.fromkeys(reversed([*before.split("\n"), *questions])))
    kept: list[str] = []
    left = most_tokens
    told: frozenset[str] = frozenset()
    for line in filter(None, lines):
        whole = most_tokens - left + _tokens(line) <= most_tokens // 2
        short = line if whole else " ".join(content_words(line, told))
        if not short or short in kept:
            continue
        left -= _tokens(short)
        if left < 0:
            break
        kept.append(short)
        told |= terms_of(short).all
    return "\n".join(reversed(kept))


def _tokens(line: str) -> int:
    return estimate_tokens(line) + 1
