"""What failures of the index mean for the application."""

from __future__ import annotations

import index
from server.domain.errors import DependencyUnavailable

EXPECTED = (index.HybridIndexError, OSError, ValueError)
"""What work on the index raises, apart from defects. Tantivy raises ValueError for most things."""


def index_unavailable(error: Exception) -> DependencyUnavailable:
    """To be raised from `error`, whose own words may name files: they are for operators."""
    match error:
        case index.IndexCorrupt():
            problem = "a file of it is damaged"
        case index.IndexLocked():
            problem = "it is open elsewhere"
        case index.IndexMismatch() | index.InvalidOperation() | index.GenerationRefused():
            problem = str(error)
        case OSError(strerror=str(reason)):
            problem = reason
        case _:
            problem = "its engine failed"
    return DependencyUnavailable("the index", problem, detail="" if problem == str(error) else str(error))
