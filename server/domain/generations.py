"""Generations of the index, and copies of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class GenerationState(enum.Enum):
    BUILDING = "building"
    READY = "ready"
    SERVING = "serving"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How a generation is kept: neighbours per node of the graph, and candidates looked at when a node is linked."""

    graph_degree: int
    build_effort: int


@dataclass(frozen=True, slots=True)
class IndexSegment:
    """A part of a generation: `removed` of its `rows` are still on the disk."""

    name: str
    rows: int
    removed: int
    graph: bool


@dataclass(frozen=True, slots=True)
class Generation:
    """An index of its own, made from the change log up to `position`. `failure` is empty unless building it failed."""

    name: str
    state: GenerationState
    position: int
    fingerprint: str
    create_time: datetime
    segments: tuple[IndexSegment, ...]
    options: GenerationOptions
    failure: str


@dataclass(frozen=True, slots=True)
class GenerationComparison:
    """Recall of the 10 nearest passages of both, and the share of the serving one's 10 best hits that the other one
    has, over `samples` questions."""

    serving_recall: float
    other_recall: float
    overlap: float
    samples: int


@dataclass(frozen=True, slots=True)
class IndexCopy:
    """A copy of the serving generation, as it was at `position` of the change log."""

    path: str
    position: int
    size_bytes: int
