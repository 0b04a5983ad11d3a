"""What an index consists of, for people."""

from __future__ import annotations

from dataclasses import dataclass

import kernels
from index.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A head or a segment: `removed` of its `rows` are still there. Without a graph its vectors are compared one by
    one."""

    name: str
    rows: int
    removed: int
    graph: bool


def describe(snapshot: Snapshot) -> tuple[PartFacts, ...]:
    """The parts, the newest first. Cost: one look at each word of 64 rows' bits."""
    return tuple(
        PartFacts(
            part.name, part.columns.rows, part.columns.rows - kernels.count(part.live), part.dense.graphed is not None
        )
        for part in snapshot.parts
    )
