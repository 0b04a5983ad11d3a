"""Which segments to rebuild, decided from measured facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.options import IndexOptions


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """`dead` of the `rows` are removed."""

    name: str
    rows: int
    dead: int


def plan_merge(segments: Sequence[SegmentFacts], options: IndexOptions) -> tuple[str, ...]:
    """The segments to join into one; empty if all is well. One name alone: rebuild it without its removed rows."""
    for segment in segments:
        if segment.dead > options.max_dead_share * segment.rows:
            return (segment.name,)
    if len(segments) <= options.max_segments:
        return ()
    smallest = sorted(segments, key=lambda each: each.rows - each.dead)[: options.merge_width]
    return tuple(segment.name for segment in smallest)
