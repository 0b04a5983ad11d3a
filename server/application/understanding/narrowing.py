"""Applies the filters that a question says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from server.domain.conditions import AllOf, Condition, OfDocuments, Tagged
from server.domain.passages import SearchFilter
from server.domain.understanding import ProposedFilter, Understanding

MOST_NAMESAKES = 20
"""More documents of one name are no filter."""


def with_documents(understood: Understanding, named: Mapping[str, Sequence[str]]) -> Understanding:
    """Also proposes the documents that the question names. `named`: by name, the ids of those called so. Of names
    within each other the surest one is taken."""
    proposed = list(understood.proposed)
    for mention in understood.names:
        ids = named.get(mention.name, ())
        if 0 < len(ids) <= MOST_NAMESAKES and not any(
            mention.span.start < each.span.end and each.span.start < mention.span.end for each in proposed
        ):
            proposed.append(ProposedFilter(mention.span, OfDocuments(tuple(ids))))
    return replace(understood, proposed=tuple(sorted(proposed, key=lambda each: each.span.start)))


def narrowed(understood: Understanding, conditions: SearchFilter) -> SearchFilter:
    """All of `conditions` and of what the question says; of documents that it names, any."""
    said: list[Condition] = [
        each.condition for each in understood.proposed if not isinstance(each.condition, OfDocuments)
    ]
    named = [each.condition for each in understood.proposed if isinstance(each.condition, OfDocuments)]
    if named:
        said.append(OfDocuments(tuple(dict.fromkeys(each for one in named for each in one.document_ids))))
    if not said:
        return conditions
    if conditions.condition is not None:
        said.insert(0, conditions.condition)
    return replace(conditions, condition=AllOf(tuple(said)))


def without_tags(understood: Understanding) -> str:
    """The query without the words that say tags: documents do not hold them. As it is where nothing else is left."""
    kept, at = [], 0
    for each in understood.proposed:
        if isinstance(each.condition, Tagged):
            kept.append(understood.query[at : each.span.start])
            at = each.span.end
    kept.append(understood.query[at:])
    return " ".join("".join(kept).split()) or understood.query
