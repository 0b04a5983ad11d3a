"""What can go wrong before a model serves.

ModelFilesError
├── InvalidCatalogue       the catalogue breaks its own rules
├── UnknownName            no such slot, profile or artifact
├── SourceFailed           one source of an artifact did not give it
├── ArtifactUnavailable    no source gave it
├── ArtifactMismatch       the bytes are not those that the catalogue names
├── NotEnoughSpace         the cache's file system is too full
├── NotPrepared            a prepared file is missing or was changed
└── ConversionFailed       weights cannot be turned into what the runtime reads

Every message is a sentence or two that say what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class ModelFilesError(Exception):
    """Root of the tree."""


class InvalidCatalogue(ModelFilesError):
    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class UnknownName(ModelFilesError):
    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no {kind} {name!r}; there is {', '.join(sorted(known)) or 'none'}")


class SourceFailed(ModelFilesError):
    """`source` did not give the bytes; `problem` says why, and what would help."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source
        self.problem = problem


class ArtifactUnavailable(ModelFilesError):
    """`failures`: one for each source that was tried, in order."""

    def __init__(self, name: str, file: str, failures: list[SourceFailed]) -> None:
        tried = "".join(f"\n  - {failure}" for failure in failures)
        super().__init__(
            f"{name} could not be fetched from any of its sources:{tried}\n"
            f"Run it again when the network allows (what was fetched is kept), or put the file {file} into a folder "
            f"and pass that folder with --from."
        )
        self.failures = failures


class ArtifactMismatch(ModelFilesError):
    def __init__(self, what: str, expected: str, found: str) -> None:
        super().__init__(
            f"{what} is not what the catalogue names (sha256 {found[:12]}… instead of {expected[:12]}…), and was "
            f"refused. Remove or correct that source; if the file is meant to change, change its sha256 there."
        )
        self.expected = expected
        self.found = found


class NotEnoughSpace(ModelFilesError):
    def __init__(self, directory: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"{directory} has {free_bytes / 1e6:.0f} MB free and needs {needed_bytes / 1e6:.0f} MB; make room or "
            f"choose another folder with --cache"
        )


class NotPrepared(ModelFilesError):
    def __init__(self, directory: Path, problem: str) -> None:
        super().__init__(f"{directory}: {problem}; delete the folder and run `python -m triton_models prepare`")


class ConversionFailed(ModelFilesError):
    pass
