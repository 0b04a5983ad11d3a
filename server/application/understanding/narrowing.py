"""Applies the filters that a question says. Pure."""

from __future__ import annotations

from dataclasses import replace

from server.domain.conditions import AllOf, Condition, Tagged
from server.domain.passages import SearchFilter
from server.domain.understanding import Understanding


def narrowed(understood: Understanding, conditions: SearchFilter) -> SearchFilter:
    """All of `conditions` and of what the question says."""
    said: list[Condition] = [each.condition for each in understood.proposed]
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
