"""What a query's text asks for.

`"…"` must occur, word for word (or character for character) in this order; what separates words, punctuation too, does
not count. `-word` and `-"…"` must not occur (`-5` is a number). Everything else should occur, the more and the rarer
the better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from index.lexical.analyzer import Analyzer, is_unspaced

_CLAUSE = re.compile(r'(?:(?<!\S)(?P<minus>[-－])(?!\d))?(?:["“”](?P<quoted>[^"“”]*)["“”]|(?P<plain>[^\s"“”]+))')


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens that follow one another; if it is `open`, the last is one character that any token may begin with."""

    tokens: tuple[str, ...]
    open: bool = False


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """A chunk matches if it has one of the `optional` tokens (or one of the `characters` anywhere) if nothing is
    required, and else every `required` phrase; and no `excluded` one."""

    optional: tuple[str, ...] = ()
    required: tuple[Phrase, ...] = ()
    excluded: tuple[Phrase, ...] = ()
    characters: tuple[str, ...] = ()

    @property
    def scoring(self) -> tuple[str, ...]:
        """All tokens that give a score, each once."""
        return _distinct([*(token for phrase in self.required for token in phrase.tokens), *self.optional])


def parse(text: str, analyzer: Analyzer) -> LexicalQuery:
    """Never fails: an unbalanced quote is a character like any other."""
    plain: list[str] = []
    required: list[Phrase] = []
    excluded: list[Phrase] = []
    for clause in _CLAUSE.finditer(text):
        content = clause["quoted"] if clause["quoted"] is not None else clause["plain"]
        if clause["minus"]:
            excluded.append(_phrase(content, analyzer))
        elif clause["quoted"] is not None:
            required.append(_phrase(content, analyzer))
        else:
            plain.append(content)
    optional = analyzer.tokens(" ".join(plain))  # together: Sudachi reads words by their neighbours
    only_characters = all(len(token) == 1 and is_unspaced(token) for token in analyzer.sequence(" ".join(plain)))
    return LexicalQuery(
        _distinct(optional),
        tuple(phrase for phrase in dict.fromkeys(required) if phrase.tokens),
        tuple(phrase for phrase in dict.fromkeys(excluded) if phrase.tokens),
        _distinct(analyzer.sequence(" ".join(plain))) if only_characters else (),
    )


def _phrase(text: str, analyzer: Analyzer) -> Phrase:
    """Its last run may be the beginning of a longer one in the text."""
    tokens = analyzer.sequence(text)
    if not tokens or not is_unspaced(tokens[-1]):
        return Phrase(tuple(tokens))
    if len(tokens) > 1 and len(tokens[-2]) == 2 and is_unspaced(tokens[-2]):
        return Phrase(tuple(tokens[:-1]))
    return Phrase(tuple(tokens), open=True)


def _distinct(tokens: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tokens))
