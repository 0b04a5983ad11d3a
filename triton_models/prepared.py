"""A folder of models that are ready to serve, and the manifest that says so."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
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
    """A model's files by their role. `fingerprint` names the model and its weights. `parameters` are what its
    configuration says besides the template's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str
    fingerprint: str
    files: dict[str, PreparedFile]
    parameters: dict[str, str] = {}

    @property
    def model(self) -> str:
        """`<model>@<version>`, as in the catalogue. (The fingerprint goes on with `.<conversion>+<weights>`.)"""
        model, _, rest = self.fingerprint.rpartition("@")
        return f"{model}@{re.split('[.+]', rest)[0]}"

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
    """`slots` serve by default, `others` can take their place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: tuple[PreparedSlot, ...]
    others: tuple[PreparedSlot, ...] = ()


class PreparedModels:
    """`directory/<slot>/<file>` for the default of every slot, `directory/<model>@<version>/<file>` for other models.
    The manifest is written last: with it, everything is there."""

    def __init__(
        self,
        directory: Path,
        slots: Sequence[PreparedSlot],
        others: Sequence[PreparedSlot] = (),
        folders: Mapping[str, str] | None = None,
    ) -> None:
        """`folders`: where in `directory` each model's files are, if not where they should be."""
        self.directory = directory
        self.slots = {slot.slot: slot for slot in slots}
        self.models = {each.model: each for each in (*slots, *others)}
        usual = {slot.model: slot.slot for slot in slots} | {each.model: each.model for each in others}
        self._folders = usual if folders is None else dict(folders)

    @classmethod
    def open(cls, directory: Path) -> PreparedModels:
        """Checks that all files are there with their sizes; reads none of them. Raises NotPrepared."""
        manifest = directory / MANIFEST
        try:
            found = _Manifest.model_validate_json(manifest.read_bytes())
        except (OSError, ValidationError) as exc:
            raise NotPrepared(directory, "there is no readable manifest") from exc
        models = cls(directory, found.slots, found.others)
        for name, model in models.models.items():
            model.check(models.folder(name))
        return models

    def folder(self, model: str) -> Path:
        """Where a model's files are."""
        return self.directory / self._folders[model]

    def paths(self, slot: str) -> dict[str, Path]:
        """The files of a slot's default by their role; absolute."""
        return self.paths_of(self.slots[slot].model)

    def paths_of(self, model: str) -> dict[str, Path]:
        """A model's files by their role; absolute."""
        folder = self.folder(model).absolute()
        return {role: folder / file.path for role, file in self.models[model].files.items()}

    def verify(self, on_progress: OnProgress = silent) -> None:
        """Hashes every file. Raises NotPrepared."""
        for name, model in self.models.items():
            model.verify(self.folder(name), on_progress)


def describe_files(folder: Path, roles: dict[str, str]) -> dict[str, PreparedFile]:
    """Sizes and digests of `folder`'s files; `roles` maps a role to a path in it."""
    return {
        role: PreparedFile(path=path, size_bytes=(folder / path).stat().st_size, sha256=sha256_of(folder / path))
        for role, path in roles.items()
    }


def write_manifest(directory: Path, slots: Sequence[PreparedSlot], others: Sequence[PreparedSlot] = ()) -> None:
    """Atomic and durable; the files must be there."""
    unfinished = directory / (MANIFEST + ".part")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(_Manifest(slots=tuple(slots), others=tuple(others)).model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / MANIFEST)


def _show(on_progress: OnProgress, step: str, total: int, done: int) -> None:
    on_progress(Progress(step, done, total))
