"""The index, its generations and copies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pinakes.results.wire_enum import WireEnum


class GenerationState(WireEnum):
    """What a generation of the index is doing."""

    UNSPECIFIED = "unspecified"
    BUILDING = "building"
    READY = "ready"
    SERVING = "serving"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How a generation is kept: neighbours per node of the graph, and candidates looked at when a node is linked. None
    takes the server's setting."""

    graph_degree: int | None = None
    build_effort: int | None = None


@dataclass(frozen=True, slots=True)
class IndexSegment:
    """A part of a generation; `removed` of its `rows` are still there. A small one has no graph."""

    name: str
    rows: int
    removed: int
    graph: bool


@dataclass(frozen=True, slots=True)
class Generation:
    """An index of its own, made from the change log. `failure` says why building it failed."""

    name: str
    state: GenerationState
    position: str
    fingerprint: str
    create_time: datetime
    segments: tuple[IndexSegment, ...]
    options: GenerationOptions
    failure: str


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """All generations, the oldest first, and the end of the change log."""

    generations: tuple[Generation, ...]
    log_position: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two generations differ: the recall of the 10 nearest passages of each, and the share of the serving one's 10
    best hits that the other one has, too."""

    serving_recall: float
    other_recall: float
    overlap: float
    samples: int


@dataclass(frozen=True, slots=True)
class Activation:
    """A swap: what serves now, and the name of what served before."""

    generation: Generation
    previous: str


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """A copy of the index, on the server, as it was at `position` of the change log."""

    path: str
    position: str
    size_bytes: int
