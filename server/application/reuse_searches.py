"""Answers a search as it was answered before, while nothing has changed that could change the answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from server.application.answer_ports import PassageReader
from server.application.caching import BoundedCache, CacheOptions, SharedWork, held_bytes
from server.application.consistency import catch_up
from server.application.model_ports import Generator, Reranker, Slot
from server.application.privacy_ports import Policies
from server.application.query import normalized_query
from server.application.search_passages import PassageSearch, SearchCommand, SearchOutcome
from server.application.search_ports import PassageIndex, PassageStore
from server.application.timing import StageClock, today, within
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, ModelNotInstalled
from server.domain.passages import IndexResult, Passage, RankedPassage
from server.domain.principals import Principal
from server.domain.retrieval import RetrievalProfile

_STAGE = "search"
_PASSAGE_BYTES = 1_200
"""Of a passage, beside its text and its lines."""
_LINE_BYTES = 250


@dataclass(frozen=True, slots=True)
class SearchKey:
    """All that an outcome depends on, beside the index. Users and groups decide which passages are seen; `day`, what
    "yesterday" is; `reranker`, its fingerprint, in which order they stand; `policy`, the version of the tenant's, what
    is masked in them."""

    principal: Principal
    command: SearchCommand
    reranker: str
    policy: int
    day: date


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """Where an index stands: it answers otherwise only when this has changed."""

    position: int
    generation: str
    fingerprint: str

    @classmethod
    def of(cls, index: PassageIndex) -> IndexVersion:
        return cls(index.position, index.serving, index.fingerprint)

    def made(self, found: IndexResult) -> bool:
        """Whether that is how it stood when it found this."""
        return (found.position, found.generation) == (self.position, self.generation)


def slot_version(slot: Slot[Reranker] | Slot[Generator] | Slot[PassageReader]) -> str:
    """The fingerprint of the model that serves; none: empty; one that cannot be called: `-`."""
    try:
        return slot.model().fingerprint
    except ModelNotInstalled:
        return ""
    except DependencyUnavailable:
        return "-"


def passages_size(passages: tuple[RankedPassage, ...]) -> int:
    """Bytes that they take, about."""
    return sum(
        _PASSAGE_BYTES + sys.getsizeof(ranked.passage.text) + _LINE_BYTES * len(ranked.passage.line_spans)
        for ranked in passages
    )


async def all_readable(
    store: PassageStore, principal: Principal, passages: tuple[RankedPassage, ...], position: int
) -> bool:
    """Whether they all are there still, and the principal may read them. The store has the last word."""
    chunk_ids = [each for ranked in passages for each in (ranked.passage.chunk_id, *ranked.passage.joined)]
    if not chunk_ids:
        return True
    return (await store.readable(principal, chunk_ids, position)).issuperset(chunk_ids)


class ReuseSearches:
    """A PassageSearch before another one. An outcome is used again for a caller with the same rights, while the index
    stands where it stood; and as a whole, or not at all: where a passage of it was deleted or withdrawn since, the
    search is made anew. Callers that ask for the same at the same time share one search."""

    def __init__(
        self,
        search: PassageSearch,
        reranker: Slot[Reranker],
        index: PassageIndex,
        store: PassageStore,
        policies: Policies,
        options: CacheOptions,
    ) -> None:
        self.kept: BoundedCache[SearchKey, SearchOutcome] = BoundedCache(
            options, lambda key, outcome: held_bytes(key) + passages_size(outcome.passages)
        )
        self._search = search
        self._reranker = reranker
        self._index = index
        self._store = store
        self._policies = policies
        self._work: SharedWork[tuple[SearchKey, IndexVersion], SearchOutcome] = SharedWork(options.share_from_s)

    async def run(
        self, principal: Principal, command: SearchCommand, deadline: Deadline, clock: StageClock
    ) -> SearchOutcome:
        """Raises as SearchPassages.run does."""
        query = normalized_query("query", command.query, self.longest_query)
        await catch_up(self._index, command.consistency_token, deadline, clock)
        if command.no_cache or not self.kept.on:
            self.kept.use.bypassed += 1
            return await self._search.run(principal, command, deadline, clock)
        wanted = replace(command, query=query, consistency_token="")
        policy = await self._policies.of(principal.tenant)
        key = SearchKey(principal, wanted, slot_version(self._reranker), policy.version, today())
        version = IndexVersion.of(self._index)
        found = self.kept.find(key, version)
        if found is not None:
            with clock.stage("cache"):
                async with within(deadline, "cache"):
                    usable = await all_readable(self._store, principal, found.passages, found.index.position)
            if usable:
                return replace(found, cached=True)
            self.kept.refuse(key)

        async def search() -> SearchOutcome:
            return await self._search.run(principal, command, deadline, clock)

        made, shared = await self._work.run((key, version), _STAGE, deadline, search)
        if shared and made.lasting and await all_readable(self._store, principal, made.passages, made.index.position):
            self.kept.use.shared += 1
            return replace(made, cached=True)
        self.kept.use.misses += 1
        if shared:
            return await search()
        # The reranker may have been changed since the key was made.
        still = version == IndexVersion.of(self._index)
        if made.lasting and still and version.made(made.index) and made.reranker in ("", key.reranker):
            self.kept.keep(key, version, made)
        return made

    @property
    def longest_query(self) -> int:
        return self._search.longest_query

    def profile(self, name: str) -> RetrievalProfile:
        return self._search.profile(name)

    async def highlighted(
        self, query: str, passages: tuple[RankedPassage, ...], deadline: Deadline, clock: StageClock
    ) -> tuple[RankedPassage, ...]:
        return await self._search.highlighted(query, passages, deadline, clock)

    async def beside(
        self, principal: Principal, passages: Sequence[Passage], reach: int, position: int
    ) -> tuple[Passage, ...]:
        return await self._search.beside(principal, passages, reach, position)
