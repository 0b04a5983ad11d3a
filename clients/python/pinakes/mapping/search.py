"""What searches find."""

from __future__ import annotations

from pinakes import options, results, retrieval
from pinakes.mapping.passages import condition, ranked_passage, text_range
from pinakes.mapping.wire_values import enum_of, timings
from pinakes.v1 import answer_service_pb2, query_pb2, search_service_pb2


def segment_plan(wire: search_service_pb2.SegmentPlan) -> results.SegmentPlan:
    return results.SegmentPlan(wire.segment, wire.plan, wire.allowed, wire.distances, wire.visited)


def search_debug(wire: search_service_pb2.SearchDebug) -> results.SearchDebug:
    plans = tuple(segment_plan(s) for s in wire.segments)
    return results.SearchDebug(plans, wire.lexical_candidates, wire.generation)


def search_results(wire: search_service_pb2.SearchResponse) -> results.SearchResults:
    return results.SearchResults(
        passages=tuple(ranked_passage(p) for p in wire.passages),
        timings=timings(wire.timings),
        index_position=wire.index_position,
        debug=search_debug(wire.debug) if wire.HasField("debug") else None,
        cached=wire.cached,
        understanding=understanding(wire),
    )


def profile_page(wire: search_service_pb2.ListRetrievalProfilesResponse) -> retrieval.ProfilePage:
    return retrieval.ProfilePage(
        tuple(
            retrieval.RetrievalProfile(each.name, each.description, _retrieval_settings(each.settings))
            for each in wire.profiles
        ),
        wire.next_page_token,
    )


def _retrieval_settings(wire: search_service_pb2.RetrievalSettings) -> retrieval.RetrievalSettings:
    fusion: options.ConvexFusion | options.ReciprocalRankFusion | options.DistributionFusion | None = None
    match wire.WhichOneof("fusion"):
        case "convex":
            fusion = options.ConvexFusion(wire.convex.dense_weight)
        case "reciprocal_rank":
            ranks = wire.reciprocal_rank
            fusion = options.ReciprocalRankFusion(
                ranks.k or 60, ranks.dense_weight if ranks.HasField("dense_weight") else 0.5
            )
        case "distribution":
            fusion = options.DistributionFusion(wire.distribution.dense_weight)
    return retrieval.RetrievalSettings(
        mode=enum_of(results.SearchMode, search_service_pb2.SearchMode.DESCRIPTOR, wire.mode),
        fusion=fusion,
        rerank=wire.rerank if wire.HasField("rerank") else None,
        rerank_depth=wire.rerank_depth if wire.HasField("rerank_depth") else None,
        diversity=wire.diversity.relevance_weight if wire.HasField("diversity") else None,
        candidates=wire.candidates if wire.HasField("candidates") else None,
        least_share=wire.least_share if wire.HasField("least_share") else None,
        max_passages=wire.max_passages if wire.HasField("max_passages") else None,
        context_tokens=wire.context_tokens if wire.HasField("context_tokens") else None,
        neighbours=wire.neighbours if wire.HasField("neighbours") else None,
        least_rerank_score=wire.least_rerank_score if wire.HasField("least_rerank_score") else None,
        rewrite=wire.rewrite if wire.HasField("rewrite") else None,
    )


def understanding(
    wire: search_service_pb2.SearchResponse | answer_service_pb2.Sources,
) -> results.QueryUnderstanding | None:
    if not wire.HasField("understanding"):
        return None
    own = wire.understanding
    return results.QueryUnderstanding(
        query=own.query,
        language=own.language,
        intent=enum_of(results.QueryIntent, query_pb2.QueryIntent.DESCRIPTOR, own.intent),
        proposed_filters=tuple(
            results.ProposedFilter(text_range(each.range), condition(each.condition)) for each in own.proposed_filters
        ),
        applied=own.applied,
    )
