"""The models that can serve, from the catalogue files."""

from __future__ import annotations

import asyncio
from pathlib import Path

from server.domain.errors import DependencyUnavailable
from server.domain.models import CatalogueModel, KnownModels, ModelArtifact
from triton_models.catalogue import DEFAULT_CATALOGUE, Catalogue, load_catalogue
from triton_models.errors import ModelFilesError
from triton_models.preparation import fingerprints


class CatalogueFiles:
    """The package's catalogue, and a team's own file beside it, if it is there. What somebody adds to it is noticed."""

    def __init__(self, additions: Path) -> None:
        self._additions = additions
        self._read: tuple[object, KnownModels] | None = None

    async def read(self) -> KnownModels:
        """See the port."""
        return await asyncio.to_thread(self._current)

    def _current(self) -> KnownModels:
        try:
            files = [path for path in (DEFAULT_CATALOGUE, self._additions) if path.exists()]
            stamp = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
            if self._read is None or self._read[0] != stamp:
                additions = self._additions if self._additions in files else None
                self._read = stamp, _known(load_catalogue(additions=additions))
        except (ModelFilesError, OSError) as error:
            raise DependencyUnavailable("the model catalogue", str(error)) from error
        return self._read[1]


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
