"""How a part of the index is searched, decided from counts."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Plan(enum.Enum):
    """`value` is the name that results carry."""

    SKIP = "skip"
    FLAT = "flat"
    WALK = "walk"
    FILTERED_WALK = "filtered_walk"


@dataclass(frozen=True, slots=True)
class PlannerThresholds:
    """Where one way of searching becomes slower than the next, on the machine at hand: `index.tuning` measures them."""

    flat_rows: int = 12_000
    """Up to so many allowed rows, comparing them all is at least as fast as a walk."""
    walk_share: float = 0.9
    """From this share of allowed rows on, a walk through all rows that drops those not allowed is at least as fast as
    one through the allowed rows alone."""


def choose_plan(rows: int, allowed: int, has_graph: bool, thresholds: PlannerThresholds) -> Plan:
    """rows: of the part, removed ones included. allowed: rows that the filter leaves, counted."""
    if allowed == 0:
        return Plan.SKIP
    if not has_graph or allowed <= thresholds.flat_rows:
        return Plan.FLAT
    return Plan.WALK if allowed >= thresholds.walk_share * rows else Plan.FILTERED_WALK
