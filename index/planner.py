"""How a part of the index is searched, decided from measured facts."""

from __future__ import annotations

import enum


class Plan(enum.Enum):
    """`value` is the name that results carry."""

    SKIP = "skip"
    FLAT = "flat"


def choose_plan(allowed: int) -> Plan:
    """allowed: rows that the filter leaves, counted."""
    return Plan.SKIP if allowed == 0 else Plan.FLAT
