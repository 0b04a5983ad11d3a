"""The model repository of the embedded Triton: rendered from the prepared models at each start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from server.embedded.errors import PartFailed, PrerequisiteMissing


@dataclass(frozen=True, slots=True)
class ModelRepository:
    """The models of `profile`, from those in `cache`, as Triton reads them from `path`. `catalogue` is a file with
    models beside the package's, if it is there; `tuned` a folder that may hold what was measured on this machine."""

    profile: str
    cache: Path
    path: Path
    catalogue: Path | None = None
    tuned: Path | None = None

    def check(self) -> None:
        """Raises PartFailed for a catalogue file that cannot be read."""
        from triton_models.catalogue import load_catalogue
        from triton_models.errors import ModelFilesError

        try:
            load_catalogue(additions=self._additions())
        except ModelFilesError as exc:
            raise PartFailed("triton", str(exc)) from exc

    def write(self) -> None:
        """Replaces what is at `path` by the models that are in the cache. While somebody edits the catalogue file, and
        it cannot be read, what is there stays. Raises PrerequisiteMissing when one that serves by default is not in the
        cache, PartFailed when it cannot be rendered."""
        # Not needed, and not loaded, where Triton runs elsewhere.
        from triton_models.catalogue import load_catalogue
        from triton_models.errors import InvalidCatalogue, ModelFilesError, NotPrepared
        from triton_models.layouts import LAYOUTS_FILE, read_layouts
        from triton_models.preparation import prepared_so_far
        from triton_models.rendering import render

        additions = self._additions()
        try:
            catalogue = load_catalogue(additions=additions)
        except InvalidCatalogue as exc:
            if self.path.exists():
                return
            raise PartFailed("triton", str(exc)) from exc
        try:
            models = prepared_so_far(self.cache, catalogue)
            cores = len(os.sched_getaffinity(0))
            layouts = {} if self.tuned is None else read_layouts(self.tuned / LAYOUTS_FILE, cores)
            render(self.profile, models, self.path, cores=cores, layouts=layouts)
        except NotPrepared as exc:
            problem = f"the models are not prepared in {self.cache}"
            raise PrerequisiteMissing(problem, _preparation(self.cache, additions)) from exc
        except ModelFilesError as exc:
            raise PartFailed("triton", str(exc)) from exc

    def _additions(self) -> Path | None:
        return self.catalogue if self.catalogue is not None and self.catalogue.exists() else None


def _preparation(cache: Path, additions: Path | None) -> str:
    if additions is None:
        return "make setup"
    return f"python -m triton_models prepare --cache {cache} --catalogue {additions}"
