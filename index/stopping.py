"""How long work is told to end early."""

from __future__ import annotations

from collections.abc import Callable

Stop = Callable[[], bool]
"""Asked between steps; True ends the work. It must be quick and safe to call from the thread that works."""


def never() -> bool:
    """The signal that never comes."""
    return False
