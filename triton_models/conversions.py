"""What turns fetched weights into the files that a runtime reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triton_models.errors import UnknownName
from triton_models.progress import OnProgress

_VERSIONS = {"e5": 2, "late-interaction": 1, "reader": 1, "sentences": 1}
"""Grows with every change of a conversion that changes its results; with it, what was converted before is not used."""


def conversion_version(name: str) -> int:
    """Raises UnknownName."""
    if name not in _VERSIONS:
        raise UnknownName("conversion", name, _VERSIONS)
    return _VERSIONS[name]


def convert(name: str, artifacts: Mapping[str, Path], folder: Path, on_progress: OnProgress) -> dict[str, str]:
    """Writes files into `folder`, from artifacts by their role; returns the files' paths in it by their role.

    Raises UnknownName, ConversionFailed.
    """
    conversion_version(name)
    # Imported here: the converters need packages that take long to import, and are rarely wanted.
    if name == "late-interaction":
        from triton_models.rerank.conversion import convert_reranker

        return convert_reranker(artifacts["weights"], artifacts["head"], folder, on_progress)
    if name == "reader":
        from triton_models.read.conversion import convert_reader

        return convert_reader(artifacts["weights"], artifacts["trained"], folder, on_progress)
    if name == "sentences":
        from triton_models.rerank.conversion import convert_sentences

        return convert_sentences(artifacts["weights"], artifacts["tokenizer"], folder, on_progress)
    from triton_models.embed.conversion import convert_e5

    return convert_e5(artifacts["weights"], folder, on_progress)
