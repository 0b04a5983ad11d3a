"""What a question says beside its words: what kind of answer it wants, and which documents it speaks of."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from server.domain.conditions import Created, OfDocuments, Tagged
from server.domain.passages import TextSpan


class Intent(enum.Enum):
    FACTUAL = "factual"
    """A fact is asked for: who, when, how many, whether, how."""
    KEYWORD = "keyword"
    """Words to look for, without a sentence around them."""
    SUMMARY = "summary"
    COMPARISON = "comparison"
    CHAT = "chat"
    """A greeting, thanks, or a question about who answers: nothing that a document says."""
    ACTION = "action"
    """Something is to be done, such as deleting or sending; nothing here does it."""


@dataclass(frozen=True, slots=True)
class ProposedFilter:
    """A condition on documents that the words at `span` of the query say: a tag, days of uploading, or names."""

    span: TextSpan
    condition: Tagged | Created | OfDocuments


@dataclass(frozen=True, slots=True)
class NameMention:
    """Words at `span` of the query that may be a document's name. Only who knows the names can tell."""

    span: TextSpan
    name: str


@dataclass(frozen=True, slots=True)
class Understanding:
    """`query` is normalized; every span is one of it. `language` is a BCP 47 tag."""

    query: str
    language: str
    intent: Intent
    proposed: tuple[ProposedFilter, ...] = ()
    names: tuple[NameMention, ...] = ()
