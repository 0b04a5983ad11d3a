"""The index as it should be: a dictionary, and search by looking at everything."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from index import (
    AllOf,
    Analyzer,
    AnyOf,
    Attributes,
    Condition,
    Created,
    Filter,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    Operation,
    OwnedBy,
    Remove,
    SearchRequest,
    SearchResult,
    SharedWith,
    Snapshot,
    Tagged,
    Upsert,
)

DIMENSION = 8
FINGERPRINT = "test-model@1"

SCORE_ERROR = 2e-3
"""Vectors are kept to 12 bits a component; those of few components show it most."""


def chunk(
    position: int,
    chunk_id: str,
    *,
    text: str = "text",
    heading: str = "",
    seed: int | None = None,
    tenant: str = "t1",
    owner: str = "alice",
    document_id: str = "d1",
    groups: tuple[str, ...] = (),
    tenant_wide: bool = True,
    tags: tuple[str, ...] = (),
    language: str = "en",
    pages: tuple[int, int] = (1, 2),
    created_unix_s: int = 1_700_000_000,
) -> Upsert:
    attributes = Attributes(
        tenant=tenant,
        owner=owner,
        document_id=document_id,
        groups=groups,
        tenant_wide=tenant_wide,
        tags=tags,
        language=language,
        first_page=pages[0],
        last_page=pages[1],
        created_unix_s=created_unix_s,
    )
    return Upsert(position, chunk_id, query_vector(position if seed is None else seed), text, heading, attributes)


def query_vector(seed: int) -> npt.NDArray[np.float32]:
    """Of length 1; from whole numbers, so that every machine computes the same bits."""
    whole = np.random.default_rng(seed).integers(-99, 100, DIMENSION)
    return np.asarray(whole / math.sqrt(int((whole * whole).sum())), np.float32)


@dataclass(repr=False)
class Model:
    """chunks: by id, as they should be after `position`."""

    analyzer: Analyzer
    chunks: dict[str, Upsert] = field(default_factory=dict)
    position: int = 0

    def apply(self, operations: list[Operation]) -> None:
        for operation in operations:
            if operation.position <= self.position:
                continue
            self.chunks.pop(operation.chunk_id, None)
            if not isinstance(operation, Remove):
                self.chunks[operation.chunk_id] = operation
            self.position = operation.position

    def copy(self) -> Model:
        return Model(self.analyzer, dict(self.chunks), self.position)

    def allowed(self, wanted: Filter) -> dict[str, Upsert]:
        return {chunk_id: each for chunk_id, each in self.chunks.items() if fits(each.attributes, wanted)}

    def containing(self, wanted: Filter, text: str) -> set[str]:
        tokens = set(self.analyzer.tokens(text))
        return {
            chunk_id
            for chunk_id, each in self.allowed(wanted).items()
            if tokens & set(self.analyzer.stream(each.heading, each.text).split())
        }


def fits(attributes: Attributes, wanted: Filter) -> bool:
    """Whether the reader may see a chunk with these attributes, and it is asked for."""
    reader = wanted.reader
    return (
        attributes.tenant == reader.tenant
        and (
            attributes.tenant_wide
            or attributes.owner == reader.user
            or any(group in reader.groups for group in attributes.groups)
        )
        and (wanted.condition is None or holds(attributes, wanted.condition))
    )


def holds(attributes: Attributes, condition: Condition) -> bool:
    """Whether a chunk with these attributes fits the condition."""
    match condition:
        case OfDocuments(names):
            return attributes.document_id in names
        case InLanguages(names):
            return attributes.language in names
        case OwnedBy(names):
            return attributes.owner in names
        case Tagged(names):
            return any(tag in names for tag in attributes.tags)
        case SharedWith(names):
            return any(group in names for group in attributes.groups)
        case Created(not_before, before):
            return (not_before is None or not_before <= attributes.created_unix_s) and (
                before is None or attributes.created_unix_s < before
            )
        case OnPages(first, last):
            pages = range(attributes.first_page, attributes.last_page + 1) if attributes.first_page else ()
            return any((first is None or first <= page) and (last is None or page <= last) for page in pages)
        case AllOf(conditions):
            return all(holds(attributes, each) for each in conditions)
        case AnyOf(conditions):
            return any(holds(attributes, each) for each in conditions)
        case Not(inner):
            return not holds(attributes, inner)


def check_search(snapshot: Snapshot, model: Model, wanted: Filter, text: str, seed: int, limit: int) -> None:
    """Both branches alone and fused, against the model."""
    assert snapshot.position == model.position
    vector = query_vector(seed)
    allowed = model.allowed(wanted)
    check_dense(snapshot.search(SearchRequest(wanted, limit, vector=vector)), allowed, vector, limit)

    everything = len(model.chunks) + 1
    lexical = snapshot.search(SearchRequest(wanted, everything, text=text))
    assert {hit.chunk_id for hit in lexical.hits} == model.containing(wanted, text)
    assert [hit.score for hit in lexical.hits] == sorted((hit.score for hit in lexical.hits), reverse=True)

    fused = snapshot.search(SearchRequest(wanted, everything, vector=vector, text=text))
    assert {hit.chunk_id for hit in fused.hits} == set(allowed)
    assert {hit.chunk_id for hit in fused.hits if hit.lexical} == model.containing(wanted, text)


def check_dense(result: SearchResult, allowed: dict[str, Upsert], vector: npt.NDArray[np.float32], limit: int) -> None:
    """The hits are a right answer: true scores to 12 bits, in order, and none left out that is better than the last."""
    truth = {chunk_id: float(each.vector @ vector) for chunk_id, each in allowed.items()}
    assert len(result.hits) == min(limit, len(truth))
    for rank, hit in enumerate(result.hits, start=1):
        assert hit.lexical is None and hit.dense is not None and hit.dense.rank == rank
        assert abs(hit.score - truth[hit.chunk_id]) < SCORE_ERROR
    best = sorted(truth.values(), reverse=True)[:limit]
    np.testing.assert_allclose([hit.score for hit in result.hits], best, atol=SCORE_ERROR)
