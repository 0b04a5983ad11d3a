"""How a part of the index is searched, decided from counts."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Plan(enum.Enum):
    """`value` is the name that results carry."""

    SKIP = "skip"
    FLAT = "flat"
    CELLS = "cells"
    WALK = "walk"


@dataclass(frozen=True, slots=True)
class PlannerThresholds:
    """Where one way of searching becomes slower than the next, on the machine at hand: `index.tuning` measures them."""

    flat_rows: int = 4_000
    """Up to so many allowed rows, comparing them all is at least as fast as choosing cells."""
    walk_share: float = 0.35
    """From this share of allowed rows near the query on, walking through all rows and dropping those not allowed is at
    least as fast as comparing what is allowed, cell by cell."""


def choose_plan(allowed: int, near_share: float | None, thresholds: PlannerThresholds) -> Plan:
    """allowed: rows that the filter leaves of the part, counted. near_share: the share of the rows near the query that
    it leaves, counted; None where there is no graph."""
    if allowed == 0:
        return Plan.SKIP
    if near_share is None or allowed <= thresholds.flat_rows:
        return Plan.FLAT
    return Plan.WALK if near_share >= thresholds.walk_share else Plan.CELLS
