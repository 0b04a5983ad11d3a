"""How long stages took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageTiming:
    """Wall-clock time that one stage took on the server."""

    stage: str
    seconds: float
