"""What searches need from the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from server.domain.deadline import Deadline
from server.domain.passages import IndexQuery, IndexResult, Passage, Snippet
from server.domain.principals import Principal


class PassageIndex(Protocol):
    """The searchable view of the change log."""

    @property
    def position(self) -> int:
        """The last applied position."""

    @property
    def fingerprint(self) -> str:
        """Of the embedding model whose vectors are searched."""

    @property
    def serving(self) -> str:
        """The name of the generation that is searched."""

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        """vector: float32[dim] of length 1; None for LEXICAL. Raises StageDeadline, Overloaded."""

    async def wait_for(self, position: int, deadline: Deadline) -> None:
        """Returns when `position` is applied. Raises IndexBehind."""


class PassageStore(Protocol):
    async def passages(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        """Those of the chunks that exist, that the principal may read, and that belong to the revision of their
        document that was searchable at `position` of the change log, where the index stands that named them: a document
        that was replaced since is found as it was."""

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        """The ids of what `passages` would return, at a fraction of its cost."""

    async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
        """The chunks up to `reach` places before and behind these in the same revision, in the order of the document,
        and these, in the principal's tenant. Says nothing of who may read them."""


class DocumentNames(Protocol):
    async def named(self, principal: Principal, names: Sequence[str], most: int) -> dict[str, tuple[str, ...]]:
        """By name, the ids of at most `most` documents each, the newest first, that the principal may read and that are
        called so: whatever the case, the folder, the ending and the separators of words. Without names of none."""


class Highlighter(Protocol):
    async def snippets(self, query: str, texts: Sequence[str], deadline: Deadline) -> list[Snippet | None]:
        """For each text the part of it that fits the query's words best, found as the index finds words; None where
        none of them occurs. Raises StageDeadline, Overloaded."""
