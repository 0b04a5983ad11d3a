"""What the models of all languages share: phrases of sentences that might answer a question, and hashed features of
them (Weinberger et al., 2009, "Feature Hashing for Large Scale Multitask Learning")."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

from server.domain.passages import TextSpan

BUCKETS = 1 << 17
MOST_SENTENCES = 3
"""Of the likeliest, in which phrases are looked for."""
MOST_OF_A_SENTENCE = 500
"""Candidates, the first ones: six times the usual number. A column of numbers that passes for a sentence has thousands,
and each takes .1 ms."""


@dataclass(frozen=True, slots=True)
class SpanCandidate:
    """`span` of sentence number `sentence`, counted in the sentence as it is written."""

    sentence: int
    span: TextSpan
    text: str


def bucket(*parts: object) -> int:
    return zlib.crc32("|".join(map(str, parts)).encode()) % BUCKETS


def magnitude(count: int) -> int:
    """Of a length or a distance: one and a half steps each time that it doubles, nine at most."""
    return min(int(math.log2(count + 1) * 1.5), 9)
