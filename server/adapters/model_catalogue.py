"""The models that can serve, from the catalogue files."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import structlog

from server.domain.errors import DependencyUnavailable
from server.domain.models import CatalogueModel, KnownModels, ModelArtifact
from triton_models.catalogue import DEFAULT_CATALOGUE, Catalogue, load_catalogue
from triton_models.errors import ModelFilesError
from triton_models.preparation import fingerprints

_log = structlog.get_logger()


class CatalogueFiles:
    """The package's catalogue, and a team's own file beside it, if it is there. What somebody changes in it is noticed;
    while it cannot be read (somebody is editing it), what it said before holds."""

    def __init__(self, additions: Path) -> None:
        self._additions = additions
        self._stamp: object = None
        self._read: KnownModels | None = None

    async def read(self) -> KnownModels:
        """See the port."""
        return await asyncio.to_thread(self._current)

    def _current(self) -> KnownModels:
        try:
            files = [path for path in (DEFAULT_CATALOGUE, self._additions) if path.exists()]
            stamp = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
            if self._read is None or self._stamp != stamp:
                additions = self._additions if self._additions in files else None
                self._read, self._stamp = _known(load_catalogue(additions=additions)), stamp
        except (ModelFilesError, OSError) as error:
            if self._read is None:
                raise DependencyUnavailable("the model catalogue", "it cannot be read", detail=str(error)) from error
            if self._read.problem != str(error):
                _log.warning("model_catalogue_unreadable", problem=str(error))
                self._read = replace(self._read, problem=str(error))
            self._stamp = None
        return self._read


def _known(catalogue: Catalogue) -> KnownModels:
    names = fingerprints(catalogue)
    models = {
        name: CatalogueModel(
            name=name,
            slot=model.slot,
            fingerprint=names[name],
            artifacts=tuple(
                ModelArtifact(role, each.file, each.sha256, each.size_bytes, each.licence, each.origin)
                for role, each in sorted(catalogue.artifacts_of(model).items())
            ),
            declared_bytes=model.memory_bytes,
        )
        for name, model in catalogue.all_models().items()
    }
    return KnownModels(models, {slot: default.name for slot, default in catalogue.slots.items()})
