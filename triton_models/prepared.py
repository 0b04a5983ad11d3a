"""A folder of models that are ready to serve, and the manifest that says so."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from triton_models.digests import sha256_of
from triton_models.errors import NotPrepared
from triton_models.progress import OnProgress, Progress, silent

MANIFEST = "manifest.json"


class PreparedFile(BaseModel):
    """`path` is relative to the slot's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: int
    sha256: str


class PreparedSlot(BaseModel):
    """A model's files by their role. `fingerprint` names the model and its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str
    fingerprint: str
    files: dict[str, PreparedFile]

    def check(self, folder: Path) -> None:
        """That all files are in `folder` with their sizes; reads none of them. Raises NotPrepared."""
        for file in self.files.values():
            path = folder / file.path
            if not path.exists() or path.stat().st_size != file.size_bytes:
                raise NotPrepared(folder.resolve(), f"{file.path} is missing or has another size")

    def verify(self, folder: Path, on_progress: OnProgress) -> None:
        """Hashes every file. Raises NotPrepared."""
        for file in self.files.values():
            show = partial(_show, on_progress, f"verifying {file.path}", file.size_bytes)
            if sha256_of(folder / file.path, show) != file.sha256:
                raise NotPrepared(folder.resolve(), f"{file.path} was changed")


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: tuple[PreparedSlot, ...]


class PreparedModels:
    """`directory/<slot>/<file>` for every slot. The manifest is written last: with it, everything is there."""

    def __init__(self, directory: Path, slots: tuple[PreparedSlot, ...]) -> None:
        self.directory = directory
        self.slots = {slot.slot: slot for slot in slots}

    @classmethod
    def open(cls, directory: Path) -> PreparedModels:
        """Checks that all files are there with their sizes; reads none of them. Raises NotPrepared."""
        manifest = directory / MANIFEST
        try:
            slots = _Manifest.model_validate_json(manifest.read_bytes()).slots
        except (OSError, ValidationError) as exc:
            raise NotPrepared(directory, "there is no readable manifest") from exc
        models = cls(directory, slots)
        for slot in slots:
            slot.check(directory / slot.slot)
        return models

    def paths(self, slot: str) -> dict[str, Path]:
        """A slot's files by their role; absolute."""
        folder = self.directory.absolute() / slot
        return {role: folder / file.path for role, file in self.slots[slot].files.items()}

    def verify(self, on_progress: OnProgress = silent) -> None:
        """Hashes every file. Raises NotPrepared."""
        for slot in self.slots.values():
            slot.verify(self.directory / slot.slot, on_progress)


def describe_files(folder: Path, roles: dict[str, str]) -> dict[str, PreparedFile]:
    """Sizes and digests of `folder`'s files; `roles` maps a role to a path in it."""
    return {
        role: PreparedFile(path=path, size_bytes=(folder / path).stat().st_size, sha256=sha256_of(folder / path))
        for role, path in roles.items()
    }


def write_manifest(directory: Path, slots: list[PreparedSlot]) -> None:
    """Atomic and durable; the files must be there."""
    unfinished = directory / (MANIFEST + ".part")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(_Manifest(slots=tuple(slots)).model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / MANIFEST)


def _show(on_progress: OnProgress, step: str, total: int, done: int) -> None:
    on_progress(Progress(step, done, total))
