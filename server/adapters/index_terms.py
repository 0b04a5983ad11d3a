"""Between the domain and the terms of the index: pure functions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

import index
from server.domain import conditions
from server.domain.passages import (
    BranchScore,
    ConvexFusion,
    DistributionFusion,
    Fusion,
    IndexHit,
    IndexQuery,
    IndexResult,
    LogEntry,
    ReciprocalRankFusion,
    SearchFilter,
    SearchMode,
    SegmentPlan,
)

_USER = "\x1f"
"""Begins the name by which a user stands among a chunk's groups. No group has such a name: control characters are
refused where documents are shared, and ignored where a caller says that it is in such a group."""


def operation(entry: LogEntry) -> index.Operation:
    chunk = entry.chunk
    if chunk is None:
        return index.Remove(entry.position, entry.chunk_id)
    return index.Upsert(
        position=entry.position,
        chunk_id=entry.chunk_id,
        vector=np.frombuffer(chunk.embedding, "<f4"),
        text=chunk.text,
        heading=" ".join(chunk.heading_path),
        attributes=index.Attributes(
            tenant=chunk.tenant,
            owner=chunk.owner,
            document_id=chunk.document_id,
            groups=_principals(chunk.users, chunk.groups),
            tenant_wide=chunk.tenant_wide,
            tags=chunk.tags,
            language=chunk.language,
            first_page=chunk.first_page,
            last_page=chunk.last_page,
            created_unix_s=chunk.created_unix_s,
        ),
    )


def search_request(query: IndexQuery, vector: npt.NDArray[np.float32] | None) -> index.SearchRequest:
    if query.mode is not SearchMode.LEXICAL and vector is None:
        raise ValueError(f"{query.mode} needs a vector")
    principal, wanted = query.principal, query.filter
    return index.SearchRequest(
        filter=index.Filter(
            reader=index.Reader(
                principal.tenant, principal.user, frozenset(_principals((principal.user,), principal.groups))
            ),
            condition=_condition(wanted),
        ),
        limit=query.limit,
        vector=None if query.mode is SearchMode.LEXICAL else vector,
        text=None if query.mode is SearchMode.DENSE else query.text,
        fusion=_fusion(query.fusion),
        diversity=query.diversity,
    )


def _principals(users: Iterable[str], groups: Iterable[str]) -> tuple[str, ...]:
    """Users and groups as the index's groups; two different ones never have the same name."""
    return (*(group for group in groups if not group.startswith(_USER)), *(_USER + user for user in users))


def _condition(wanted: SearchFilter) -> index.Condition | None:
    """One of the documents, every tag, one of the languages, and the condition; an empty list is none."""
    all_of: list[index.Condition] = [index.Tagged((tag,)) for tag in wanted.tags]
    if wanted.document_ids:
        all_of.append(index.OfDocuments(wanted.document_ids))
    if wanted.languages:
        all_of.append(index.InLanguages(wanted.languages))
    if wanted.condition is not None:
        all_of.append(_translated(wanted.condition))
    return index.AllOf(tuple(all_of)) if all_of else None


def _translated(condition: conditions.Condition) -> index.Condition:
    match condition:
        case conditions.OfDocuments(document_ids):
            return index.OfDocuments(document_ids)
        case conditions.Tagged(tags):
            return index.Tagged(tags)
        case conditions.InLanguages(languages):
            return index.InLanguages(languages)
        case conditions.OwnedBy(owners):
            return index.OwnedBy(owners)
        case conditions.Created(not_before, before):
            return index.Created(not_before, before)
        case conditions.OnPages(first, last):
            return index.OnPages(first or None, last or None)
        case conditions.AllOf(parts):
            return index.AllOf(tuple(map(_translated, parts)))
        case conditions.AnyOf(parts):
            return index.AnyOf(tuple(map(_translated, parts)))
        case conditions.Not(inner):
            return index.Not(_translated(inner))


def _fusion(fusion: Fusion) -> index.Fusion:
    match fusion:
        case ConvexFusion(weight):
            return index.ConvexFusion(weight)
        case ReciprocalRankFusion(k, weight):
            return index.ReciprocalRankFusion(k, weight)
        case DistributionFusion(weight):
            return index.DistributionFusion(weight)


def search_result(found: index.SearchResult, generation: str) -> IndexResult:
    return IndexResult(
        hits=tuple(IndexHit(hit.chunk_id, hit.score, _place(hit.dense), _place(hit.lexical)) for hit in found.hits),
        position=found.position,
        plans=tuple(
            SegmentPlan(part.name, part.plan, part.allowed, part.distances, part.visited) for part in found.parts
        ),
        lexical_candidates=found.lexical_candidates,
        generation=generation,
    )


def _place(place: index.BranchPlace | None) -> BranchScore | None:
    return None if place is None else BranchScore(place.rank, place.score)
