"""How an index is kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """`verify_checksums`: reads every file once when opening (about 1 GB/s), else only sizes are compared."""

    seal_rows: int = 8_192
    """A commit turns the head into a segment when it has this many rows."""
    max_segments: int = 8
    """More segments than this are merged."""
    merge_width: int = 4
    """So many of the smallest segments are merged at once."""
    max_dead_share: float = 1 / 3
    """A segment with a greater share of removed rows is rebuilt."""
    min_candidates: int = 50
    """Each branch retrieves max(min_candidates, candidates_per_hit * limit) before fusion."""
    candidates_per_hit: int = 4
    rescored_per_candidate: int = 2
    """Rows that are rescored with floats, per candidate of the dense branch."""
    verify_checksums: bool = True
