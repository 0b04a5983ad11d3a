"""What the suite does, as typed tables of its TOML file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.suites.base import Strict, Workload

Count = Annotated[int, Field(gt=0)]
FractionOfRows = Annotated[float, Field(gt=0, le=1)]
FilterKind = Literal["random", "near", "far"]


class CollectionPlan(Strict):
    """`questions_per_set`: the first so many of each retrieval set. Without sets the synthetic numbers hold."""

    passages: Count
    questions_per_set: Count
    synthetic_passages: Count
    synthetic_queries: Count


class UnfilteredPlan(Strict):
    """Each round asks `queries` queries at every effort, of every contender in turn."""

    queries: Count
    rounds: Count
    efforts: tuple[Count, ...]


class SealingPlan(Strict):
    """Builds of the first `rows` vectors by one thread, in turns; the results are then searched at `efforts`."""

    rows: Count
    rounds: Count
    queries: Count
    efforts: tuple[Count, ...]


class FilterPart(Strict):
    kind: FilterKind
    share: FractionOfRows


class FiltersPlan(Strict):
    """Every query has a filter of its own, one of `masks`. Pinakes searches at one effort, the least that has `recall`
    without a filter; a peer under each filter at the least of `efforts` that has `peer_recall`, or at the greatest.
    Contenders that filter by calling Python are asked only `slow_queries` queries, at `slow_efforts`."""

    kinds: tuple[FilterKind, ...]
    shares: tuple[FractionOfRows, ...]
    conjunctions: tuple[tuple[FilterPart, FilterPart], ...]
    masks: Count
    rounds: Count
    efforts: tuple[Count, ...]
    recall: float
    peer_recall: float
    slow_queries: Count
    slow_efforts: tuple[Count, ...]


class MemoryPlan(Strict):
    queries: Count
    effort: Count


class OpeningPlan(Strict):
    rounds: Count


class HybridPlan(Strict):
    """`rows`: sizes. A store is measured at the greatest that it loads within `load_budget_s`, and Pinakes at each of
    these. The calls are spread over `rounds`, in which the stores take turns; in all of them together no store begins
    a call after `search_budget_s`."""

    stores: tuple[str, ...]
    rows: tuple[Count, ...]
    load_budget_s: float
    search_budget_s: float
    callers: Count
    rounds: Count
    calls_per_caller: Count
    warm_up_per_caller: int
    limit: Count
    tenants: Count
    groups: Count


class UpsertPlan(Strict):
    """Searches arrive at random times at `searches_per_s`, by words and vectors under a filter. Upserts become due
    evenly, and are applied every `apply_every_s`."""

    rows: Count
    rates_per_s: tuple[float, ...]
    apply_every_s: float
    commit_every_s: float
    seconds: float
    searches_per_s: float
    search_threads: Count


class DeletionPlan(Strict):
    rows: Count
    queries: Count


class FusionPlan(Strict):
    """`limit`: passages retrieved per question, from which documents are ranked by their best passage; the first
    `within` documents count. The first `questions_per_set` of each set are asked."""

    questions_per_set: Count
    limit: Count
    within: Count
    dense_weights: tuple[float, ...]


class IndexWorkload(Workload):
    """contenders: by name, those that search by vector."""

    k: Count
    contenders: tuple[str, ...]
    collection: CollectionPlan
    unfiltered: UnfilteredPlan
    sealing: SealingPlan
    filters: FiltersPlan
    memory: MemoryPlan
    opening: OpeningPlan
    hybrid: HybridPlan
    upserts: UpsertPlan
    deletions: DeletionPlan
    fusion: FusionPlan
