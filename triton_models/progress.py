"""How far a long step is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Unit = Literal["bytes", "steps"]


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` is at `done` of `total` (0: not known yet). A step is finished when both are equal and positive."""

    step: str
    done: int
    total: int
    unit: Unit = "bytes"


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """For callers that do not care."""
