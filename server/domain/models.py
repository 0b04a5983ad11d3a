"""The models that can serve, and the aliases that say which of them does."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from server.domain.errors import DependencyUnavailable, ModelNotFound

SLOTS = ("embed", "generate", "ocr", "read", "rerank")
"""What the server needs models for."""
EMBEDDING_SLOT = "embed"
_ALIAS = ".default"


def alias_of(slot: str) -> str:
    """The name of the alias that says which model serves a slot, such as `embed.default`."""
    return slot + _ALIAS


def slot_of(alias: str) -> str | None:
    """None for what is no alias."""
    slot = alias.removesuffix(_ALIAS)
    return slot if slot in SLOTS and alias == alias_of(slot) else None


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """A file that a model is made from. `role` says what for."""

    role: str
    file: str
    sha256: str
    size_bytes: int
    licence: str
    origin: str


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model as the catalogue has it. `name` is `<model>@<version>` and stands for the same bytes for good; the
    fingerprint also names its weights. `declared_bytes` is what it takes in memory; None: not declared."""

    name: str
    slot: str
    fingerprint: str
    artifacts: tuple[ModelArtifact, ...]
    declared_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class KnownModels:
    """The catalogue: its models by name, and the one that serves a slot by default, by slot. With a `problem`, it
    cannot be read now, and this is what it was before."""

    models: Mapping[str, CatalogueModel]
    defaults: Mapping[str, str]
    problem: str = ""

    def model(self, name: str) -> CatalogueModel:
        """Raises ModelNotFound, and DependencyUnavailable for one that may be in what cannot be read."""
        if name in self.models:
            return self.models[name]
        if self.problem:
            raise DependencyUnavailable("the model catalogue", "it cannot be read", detail=self.problem)
        raise ModelNotFound(name)


class ModelState(enum.Enum):
    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LoadedState:
    """`problem` says why loading it failed; empty in every other state."""

    state: ModelState
    problem: str = ""


class MemorySource(enum.Enum):
    MEASURED = "measured"
    """Resident memory of the processes that serve it, or served it last."""
    DECLARED = "declared"
    """The catalogue says so."""
    ESTIMATED = "estimated"
    """The size of its files: nothing better is known."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a model takes while it is loaded."""

    size_bytes: int
    source: MemorySource


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue and what becomes of it. `aliases` are those whose chains name it. `last_use_time` is
    that of its last call, of any process; None: none since it was loaded."""

    known: CatalogueModel
    state: ModelState
    problem: str
    memory: MemoryUse
    aliases: tuple[str, ...]
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True)
class Alias:
    """Which models serve a slot: the first of `models` that is loaded. `serving` is that one, as this process sees it;
    empty: none. `by_default`: nobody has set it, and it is what the catalogue says."""

    name: str
    slot: str
    models: tuple[str, ...]
    serving: str
    by_default: bool


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Seconds that a model took for the first and for the last of `rounds` equal rounds of calls."""

    rounds: int
    first_s: float
    last_s: float
