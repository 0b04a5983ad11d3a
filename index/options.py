"""How an index is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from index.dense.graph import GraphOptions
from index.planner import PlannerThresholds


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """None of it is stored: an index may be opened with other options than it was made with."""

    seal_rows: int = 8_192
    """A commit freezes the head when it has this many rows, so that it is written as a segment."""
    max_frozen_heads: int = 4
    """With more heads than this waiting to be written, and twice as many while some are being written, a commit writes
    them itself, however long that takes."""
    merge_width: int = 4
    """So many segments of about one size are merged into one; each size is this many times the one below."""
    max_dead_share: float = 1 / 3
    """A segment with a greater share of removed rows is rebuilt."""
    build_threads: int = 1
    """Threads that may work on one rebuild."""
    helper_rows: int = 4_096
    """Rebuilds of so many rows and more run in a process of their own, at a low priority: they take no turns of the
    interpreter from searches, and closing the index ends them at once."""
    min_candidates: int = 50
    """Each branch retrieves max(min_candidates, candidates_per_hit * limit) before fusion."""
    candidates_per_hit: int = 4
    refined_per_candidate: int = 4
    """Rows that are ranked again by all that is stored of them, per candidate of the dense branch."""
    search_effort: int = 200
    """Rows that a walk through a graph keeps in view, at least as many as are refined; and a quarter of those that are
    compared in cells at least. More finds more, and takes longer."""
    planner_thresholds: PlannerThresholds = field(default_factory=PlannerThresholds)
    graph_rows: int = 16_384
    """Segments of fewer rows have neither cells nor a graph: comparing all of them is as fast."""
    graph: GraphOptions = field(default_factory=GraphOptions)
    verify_checksums: bool = False
    """Reads every file once when opening (1 to 4 GB/s). Else `HybridIndex.verify` is for that, at any time; sizes,
    headers and small files are always checked."""
