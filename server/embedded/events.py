"""What happens to a stack, for whoever shows it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class PartState(enum.Enum):
    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PartChanged:
    """`seconds` is the time since the part began to start (for HEALTHY) or to stop (for STOPPED), else 0."""

    part: str
    state: PartState
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StackReady:
    """Every part is healthy for the first time; callers find the server at `address`."""

    address: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FirstKeyMade:
    """The server has made the key that a new installation begins with: `key`, a secret, which is in `file`, too."""

    file: str
    key: str = field(repr=False)


StackEvent = PartChanged | StackReady | FirstKeyMade
