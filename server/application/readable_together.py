"""Asks the store for several calls at once what their callers may read.

An answer or a search that is told again costs its server little but this question, which none may be spared: asked for
each, it takes more of the processor than all the rest of telling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from server.application.search_ports import PassageStore
from server.domain.passages import Passage
from server.domain.principals import Principal

_MOST_CHUNKS = 512
"""Of one question to the store, but for what the last of its calls has more."""

_Whose = tuple[Principal, int]


class ReadableTogether:
    """A PassageStore before another one. While that is asked what a principal may read, further calls of the same one
    wait, and are answered by the question that is asked next, for all of them: so none is told what was true before it
    came, and the first one waits for nobody. The event loop owns it."""

    def __init__(self, store: PassageStore) -> None:
        self._store = store
        self._open: dict[_Whose, tuple[set[str], asyncio.Task[set[str]]]] = {}
        """The chunks of the question that is asked next, to which more may be added, and its answer."""
        self._last: dict[_Whose, asyncio.Task[set[str]]] = {}

    async def passages(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        return await self._store.passages(principal, chunk_ids, position)

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        """Raises what the other one raises, to all calls that it was asked for."""
        whose = principal, position
        opened = self._open.get(whose)
        if opened is None or len(opened[0]) >= _MOST_CHUNKS:
            opened = self._open[whose] = self._opened(whose)
        wanted, found = opened
        wanted.update(chunk_ids)
        # Whoever leaves, the others want to know.
        return (await asyncio.shield(found)).intersection(chunk_ids)

    async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
        return await self._store.beside(principal, chunk_ids, reach)

    def _opened(self, whose: _Whose) -> tuple[set[str], asyncio.Task[set[str]]]:
        wanted: set[str] = set()
        found = self._last[whose] = asyncio.create_task(self._asked(whose, wanted, self._last.get(whose)))
        found.add_done_callback(lambda ended: self._ended(whose, ended))
        return wanted, found

    async def _asked(self, whose: _Whose, wanted: set[str], before: asyncio.Task[set[str]] | None) -> set[str]:
        if before is not None:
            await asyncio.wait((before,))
        if self._open.get(whose, (None,))[0] is wanted:
            del self._open[whose]
        principal, position = whose
        return await self._store.readable(principal, list(wanted), position)

    def _ended(self, whose: _Whose, found: asyncio.Task[set[str]]) -> None:
        if self._last.get(whose) is found:
            del self._last[whose]
