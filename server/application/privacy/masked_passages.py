"""Passages as callers of a tenant may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from server.application.privacy.masking import joined_spans, mask_pii, moved_lines
from server.application.privacy_ports import Policies
from server.application.search_ports import PassageStore
from server.domain.passages import Passage
from server.domain.principals import Principal
from server.domain.privacy import PiiKind


class MaskedPassages:
    """A PassageStore before another one. What it masks is seen by nobody behind it: neither by who asked, nor by the
    reranker, nor by the generator, which can therefore not let it out."""

    def __init__(self, store: PassageStore, policies: Policies) -> None:
        self._store = store
        self._policies = policies

    async def passages(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        policy = await self._policies.of(principal.tenant)
        found = await self._store.passages(principal, chunk_ids, position)
        return await asyncio.to_thread(_all_masked, found, policy.masked) if policy.masked else found

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        return await self._store.readable(principal, chunk_ids, position)

    async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
        return await self._store.beside(principal, chunk_ids, reach)


def masked_passage(passage: Passage, kinds: Collection[PiiKind]) -> Passage:
    moved = mask_pii(passage.text, kinds)
    return replace(
        passage,
        text=moved.text,
        heading_path=tuple(mask_pii(heading, kinds).text for heading in passage.heading_path),
        line_spans=moved_lines(passage.line_spans, moved),
        masked=joined_spans(passage.masked, moved),
    )


def _all_masked(passages: Mapping[str, Passage], kinds: Collection[PiiKind]) -> dict[str, Passage]:
    return {chunk_id: masked_passage(passage, kinds) for chunk_id, passage in passages.items()}
