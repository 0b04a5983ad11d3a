"""How much time is left."""

from __future__ import annotations

import time
from dataclasses import dataclass

from server.domain.errors import StageDeadline


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock of this process. Handed down to everything that waits."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left; negative when passed."""
        return self.at - time.monotonic()

    def less(self, seconds: float) -> Deadline:
        """Earlier by `seconds`: what is left over is for telling the caller."""
        return Deadline(self.at - seconds)

    def capped(self, seconds: float) -> Deadline:
        """This deadline, or `seconds` from now if that is earlier."""
        return Deadline(min(self.at, time.monotonic() + seconds))

    def budget(self, stage: str) -> float:
        """Seconds left for `stage`; raises StageDeadline when none are."""
        left = self.remaining()
        if left <= 0:
            raise StageDeadline(stage)
        return left
