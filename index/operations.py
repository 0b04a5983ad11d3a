"""What changes the index: the operations of the log, in the order of their positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a chunk can be filtered by. `owner`, `groups` and `tenant_wide` say who in `tenant` may see it."""

    tenant: str
    owner: str
    document_id: str
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False
    tags: tuple[str, ...] = ()
    language: str = ""
    first_page: int = 0
    last_page: int = 0
    created_unix_s: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Upsert:
    """Adds a chunk, or replaces the one with its id. vector: float32[dimension], of length 1."""

    position: int
    chunk_id: str
    vector: npt.NDArray[np.float32]
    text: str
    heading: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes a chunk; nothing happens if there is none with this id."""

    position: int
    chunk_id: str


Operation = Upsert | Remove


@dataclass(frozen=True, slots=True, eq=False)
class AnalyzedChunk:
    """A chunk as the index keeps it: the analyzer's stream of tokens in the place of the text."""

    position: int
    chunk_id: str
    vector: npt.NDArray[np.float32]
    tokens: str
    attributes: Attributes
