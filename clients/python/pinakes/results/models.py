"""Models and what serves them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pinakes.results.wire_enum import WireEnum


class ModelState(WireEnum):
    """What becomes of a model."""

    UNSPECIFIED = "unspecified"
    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


class MemorySource(WireEnum):
    """How it is known what a model takes in memory."""

    UNSPECIFIED = "unspecified"
    MEASURED = "measured"
    DECLARED = "declared"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue. `problem` says why it could not be loaded; `last_use_time` is None if it has not been
    called since it was loaded."""

    name: str
    slot: str
    fingerprint: str
    state: ModelState
    problem: str
    memory_bytes: int
    memory_source: MemorySource
    aliases: tuple[str, ...]
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A file that a model is made from; `role` says what it is for."""

    role: str
    file: str
    sha256: str
    size_bytes: int
    licence: str
    origin: str


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model, and what it is made from."""

    model: Model
    artifacts: tuple[ModelArtifact, ...]


@dataclass(frozen=True, slots=True)
class ModelPage:
    """A page of models. `memory_budget_bytes` is the memory for all models together."""

    models: tuple[Model, ...]
    next_page_token: str
    memory_budget_bytes: int


@dataclass(frozen=True, slots=True)
class Alias:
    """Which models serve a slot: the first of `models` that can. `serving` is empty when none is loaded; without
    `models` it is the endpoint that the server's settings name. `by_default` says that nobody has set it."""

    name: str
    slot: str
    models: tuple[str, ...]
    serving: str
    by_default: bool


@dataclass(frozen=True, slots=True)
class AliasChange:
    """An alias that was set, and what it named before."""

    alias: Alias
    previous: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Seconds that a model took for the first and the last of some equal rounds of calls."""

    rounds: int
    first_s: float
    last_s: float
