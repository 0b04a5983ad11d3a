"""Keeps engines under a key of all that they depend on.

Layout, below `engines/` of a cache folder; everything in it can be deleted at any time while nothing builds:

    <network>-<key>/model.plan      an accepted engine
    <network>-<key>/engine.json     what it was made from, its sha256, and how well it agrees with the network
    timings-<key>                   what TensorRT measured on one GPU; makes the next build faster
    <network>-<key>.lock            held while one process builds it
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from triton_models.digests import sha256_of
from triton_models.publishing import exclusive

_PLAN = "model.plan"
_RECORD = "engine.json"
_KEY_DIGITS = 16
_UNFINISHED = ".building-"
"""Unlike what `preparation` begins its own with, and removes under another lock."""
_FORMAT = 1


class EngineKey(BaseModel):
    """All that an engine depends on. `network`: `<slot>.<role>`. `source_sha256`: of the artifacts, by role.
    `source_version`: of what turned them into ONNX. `profiles`: the shapes. `toolkit`, `gpu`: what it was built with,
    and for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    source_sha256: dict[str, str]
    source_version: int
    precision: str
    profiles: tuple[dict[str, tuple[int, int, int]], ...]
    toolkit: str
    gpu: str

    @property
    def digest(self) -> str:
        told = json.dumps({"format": _FORMAT, **self.model_dump()}, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:_KEY_DIGITS]


class AcceptedEngine(BaseModel):
    """`agreement`: the least that was found on `samples` inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: EngineKey
    plan_sha256: str
    plan_bytes: int
    agreement: float
    samples: int


class EngineCache:
    def __init__(self, cache: Path) -> None:
        self.folder = cache / "engines"

    def plan(self, key: EngineKey) -> Path:
        """Where the engine of that key is, or would be."""
        return self._target(key) / _PLAN

    def find(self, key: EngineKey) -> AcceptedEngine | None:
        """None if it was not built, or its file is not whole; its size is looked at, its bytes are not."""
        try:
            found = AcceptedEngine.model_validate_json((self._target(key) / _RECORD).read_bytes())
            whole = found.key == key and self.plan(key).stat().st_size == found.plan_bytes
        except (OSError, ValidationError):
            return None
        return found if whole else None

    def damaged(self, key: EngineKey) -> bool:
        """Whether an engine that is there is not the one that was accepted; reads it."""
        found = self.find(key)
        return found is not None and sha256_of(self.plan(key)) != found.plan_sha256

    @contextmanager
    def building(self, key: EngineKey, on_wait: Callable[[], None]) -> Iterator[None]:
        """One process at a time builds an engine; what a killed one left is removed."""
        with exclusive(self.folder / f"{key.network}-{key.digest}.lock", on_wait):
            for left in self.folder.glob(f"{_UNFINISHED}{key.digest}-*"):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
            yield

    @contextmanager
    def scratch(self, key: EngineKey) -> Iterator[Path]:
        """A folder to build in, on the same file system; it goes with the context, unless it was published."""
        folder = self.folder / f"{_UNFINISHED}{key.digest}-build"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, accepted: AcceptedEngine, plan: Path) -> None:
        """Moves the plan into the cache, with its record; durable. The caller holds the lock."""
        folder = plan.parent / "published"
        folder.mkdir()
        plan.rename(folder / _PLAN)
        (folder / _RECORD).write_text(accepted.model_dump_json(indent=2), encoding="utf-8")
        for file in folder.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        target = self._target(accepted.key)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)

    def timings(self, key: EngineKey) -> bytes:
        """Empty if there are none."""
        path = self._timings(key)
        return path.read_bytes() if path.exists() else b""

    def keep_timings(self, key: EngineKey, timings: bytes) -> None:
        partial = self.folder / f"{_UNFINISHED}{key.digest}-timings"
        partial.write_bytes(timings)
        partial.replace(self._timings(key))

    def _target(self, key: EngineKey) -> Path:
        return self.folder / f"{key.network}-{key.digest}"

    def _timings(self, key: EngineKey) -> Path:
        digest = hashlib.sha256(f"{key.toolkit}\n{key.gpu}".encode()).hexdigest()[:_KEY_DIGITS]
        return self.folder / f"timings-{digest}"
