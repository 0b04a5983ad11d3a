"""Which segments to rebuild, decided from measured facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from index.options import IndexOptions

_LOWEST_TIER = -2
"""Segments that are smaller by far than a full head count as one size: there is nothing to save in them."""


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """`dead` of the `rows` are removed."""

    name: str
    rows: int
    dead: int

    @property
    def live(self) -> int:
        return self.rows - self.dead


def plan_merge(segments: Sequence[SegmentFacts], options: IndexOptions) -> tuple[str, ...]:
    """The segments to join into one; empty if all is well. One name alone: rebuild it without its removed rows.

    Segments are sorted by live rows into tiers: tier t holds seal_rows * width^t up to width times that. A tier with
    `merge_width` segments is joined, and the tiers above with it as long as what comes up from below fills them too.
    The result lies in a higher tier than its parts, so a row is rewritten at most once per tier, and there are at most
    merge_width - 1 segments in each tier once nothing is due.
    """
    for segment in segments:
        if segment.dead > options.max_dead_share * segment.rows:
            return (segment.name,)
    tiers: dict[int, list[SegmentFacts]] = defaultdict(list)
    for segment in segments:
        tiers[_tier(segment.live, options)].append(segment)
    joined: list[SegmentFacts] = []
    for tier in sorted(tiers):
        arriving = 1 if joined and _tier(sum(each.live for each in joined), options) == tier else 0
        if len(tiers[tier]) + arriving >= options.merge_width:
            joined += tiers[tier]
        elif joined:
            break
    return tuple(segment.name for segment in joined)


def _tier(live: int, options: IndexOptions) -> int:
    """Counted with whole numbers: a full head lies exactly on a border."""
    tier, size = _LOWEST_TIER, options.seal_rows * float(options.merge_width) ** (_LOWEST_TIER + 1)
    while live >= size:
        tier, size = tier + 1, size * options.merge_width
    return tier
