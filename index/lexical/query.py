"""What a query's text asks for.

`"…"` must occur (all of its words; of Chinese and Japanese all pairs of characters), `-word` and `-"…"` must not (all
of it together; `-5` is a number), everything else should occur, the more and the rarer the better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from index.lexical.analyzer import Analyzer

_CLAUSE = re.compile(r'(?:(?<!\S)(?P<minus>[-－])(?!\d))?(?:["“”](?P<quoted>[^"“”]*)["“”]|(?P<plain>[^\s"“”]+))')


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """A chunk matches if it has one of the `optional` tokens (or all `required`), and no whole `excluded` group."""

    optional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    excluded: tuple[tuple[str, ...], ...] = ()

    @property
    def scoring(self) -> tuple[str, ...]:
        """All tokens that give a score, each once."""
        return tuple(dict.fromkeys(self.required + self.optional))


def parse(text: str, analyzer: Analyzer) -> LexicalQuery:
    """Never fails: an unbalanced quote is a character like any other."""
    plain: list[str] = []
    required: list[str] = []
    excluded: list[tuple[str, ...]] = []
    for clause in _CLAUSE.finditer(text):
        content = clause["quoted"] if clause["quoted"] is not None else clause["plain"]
        if clause["minus"]:
            excluded.append(_distinct(analyzer.surface_tokens(content)))
        elif clause["quoted"] is not None:
            required += analyzer.surface_tokens(content)
        else:
            plain.append(content)
    optional = analyzer.tokens(" ".join(plain))  # together: Sudachi reads words by their neighbours
    return LexicalQuery(_distinct(optional), _distinct(required), tuple(group for group in excluded if group))


def _distinct(tokens: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tokens))
