"""The port `Highlighter` over the index's own analysis: what is marked is what the index finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from index import Analyzer, Highlighter
from server.adapters.reading.lane import Lane
from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline
from server.domain.passages import Snippet, TextSpan

_STAGE = "highlight"


@dataclass(frozen=True, slots=True)
class HighlighterOptions:
    threads: int = 2
    queue_wait_s: float = 1.0
    """Who has waited so long for a thread goes without."""


class IndexHighlighter:
    def __init__(self, rarities: Callable[[str], Mapping[str, float]], options: HighlighterOptions) -> None:
        """rarities: how much each token of a query weighs, for any thread. Blocks: loads the analyzer's dictionary
        (0.15 s)."""
        self._rarities = rarities
        self._highlighter = Highlighter(Analyzer())
        self._lane = Lane("highlighting", options.threads, options.queue_wait_s)

    async def snippets(self, query: str, texts: Sequence[str], deadline: Deadline) -> list[Snippet | None]:
        def find() -> list[Snippet | None]:
            weights, found = self._rarities(query), []
            for text in texts:
                if deadline.remaining() <= 0:  # nobody waits any more
                    raise StageDeadline(_STAGE)
                found.append(self._snippet(text, query, weights))
            return found

        return await self._lane.run(find, deadline.budget(_STAGE), _STAGE)

    def _snippet(self, text: str, query: str, weights: Mapping[str, float]) -> Snippet | None:
        found = self._highlighter.snippet(text, query, weights)
        if found is None:
            return None
        marks = tuple(TextSpan(mark.start, mark.end) for mark in found.highlights)
        return Snippet(TextSpan(found.start, found.end), marks)

    async def close(self) -> None:
        await self._lane.close()
