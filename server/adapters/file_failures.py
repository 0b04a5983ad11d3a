"""What failures of files mean for the application."""

from __future__ import annotations

from pathlib import Path

from server.domain.errors import DependencyUnavailable


def unusable(what: str, error: OSError, path: Path | None = None) -> DependencyUnavailable:
    """To be raised from `error`. Callers read `what`, operators its `path`, too."""
    return DependencyUnavailable(what, error.strerror or type(error).__name__, detail="" if path is None else str(path))
