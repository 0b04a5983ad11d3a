"""How good dense, lexical and fused rankings are on the retrieval sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bench.suites.index import write_work
from bench.suites.index.access import entries
from bench.suites.index.changing import LOAD_LIMIT_S
from bench.suites.index.collection import Collection
from bench.suites.index.entries import EVERYONE, Ask, Entry
from bench.suites.index.loaded import loaded, pinakes
from bench.suites.index.observations import RankingScores
from bench.suites.index.processes import OWN_PYTHON, Worker
from bench.suites.index.ranking import documents_of, ndcg, recall, reciprocal_rank
from bench.suites.index.workload import FusionPlan, HybridPlan

DENSE, LEXICAL = "dense", "lexical"


def rankings(plan: FusionPlan) -> list[tuple[str, str, float]]:
    """Name, kind, and weight of the dense branch."""
    convex = [(f"convex {weight:g}", "convex", weight) for weight in plan.dense_weights]
    return [
        (DENSE, DENSE, 1.0),
        (LEXICAL, LEXICAL, 0.0),
        ("RRF", "RRF", 0.5),
        *convex,
        ("distribution", "distribution", 0.5),
    ]


def measure_fusion(collection: Collection, plan: FusionPlan, access: HybridPlan, seed: int) -> list[RankingScores]:
    """Every set is searched by itself. Its passages are those of the first pass, which follow each other without
    overlap; documents are ranked by their best one."""
    base = _whole_documents(collection, access, seed)
    document = {each.number: each.document_id for each in base}
    asked = _asked(collection, plan, frozenset(document.values()))
    folder, _ = loaded(pinakes(), collection, base, "sets", LOAD_LIMIT_S)
    scores = []
    with Worker(OWN_PYTHON, write_work.make) as worker:
        worker.call(write_work.open_index, folder, collection.vectors_path, collection.queries_path)
        for data_set in sorted({ask.tenant for ask in asked}):
            asks = [ask for ask in asked if ask.tenant == data_set]
            for name, kind, weight in rankings(plan):
                found = worker.call(write_work.ranked, asks, kind, weight, plan.limit)
                ranked = [
                    documents_of((document[number] for number in numbers), ask.ignored)
                    for ask, numbers in zip(asks, found, strict=True)
                ]
                scores.append(_scores(data_set, name, asks, ranked, plan.within))
        worker.call(write_work.close_index)
    return scores


def _scores(data_set: str, ranking: str, asks: Sequence[Ask], ranked: Sequence[Sequence[str]], k: int) -> RankingScores:
    pairs = list(zip(ranked, (ask.gains for ask in asks), strict=True))
    return RankingScores(
        data_set,
        ranking,
        tuple(ndcg(documents, gains, k) for documents, gains in pairs),
        tuple(reciprocal_rank(documents, gains, k) for documents, gains in pairs),
        tuple(recall(documents, gains, k) for documents, gains in pairs),
    )


def _whole_documents(collection: Collection, access: HybridPlan, seed: int) -> list[Entry]:
    everything = entries(collection, len(collection.passages), access, seed)
    return [
        replace(entry, tenant=passage.data_set, readers=(EVERYONE,))
        for entry, passage in zip(everything, collection.passages, strict=True)
        if passage.pass_number == 0
    ]


def _asked(collection: Collection, plan: FusionPlan, documents: frozenset[str]) -> list[Ask]:
    """Questions with a judged document; documents that are not in the collection are not judged."""
    asked: list[Ask] = []
    count: Counter[str] = Counter()
    for number, question in enumerate(collection.questions):
        gains = {each: gain for each, gain in question.gains.items() if each in documents}
        if gains and count[question.data_set] < plan.questions_per_set:
            count[question.data_set] += 1
            asked.append(Ask(number, question.text, question.data_set, (), gains, question.ignored))
    return asked
