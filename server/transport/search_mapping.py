"""SearchService between the wire and the domain: pure functions, one per message."""

from __future__ import annotations

from collections.abc import Iterable

from pinakes.v1 import passage_pb2, query_pb2, search_service_pb2
from server.application.consistency import token_of
from server.application.retrieval_profiles import ProfilePage
from server.application.search_passages import SearchCommand, SearchOutcome
from server.domain import errors
from server.domain.answers import StageTiming
from server.domain.conditions import Created, OfDocuments, Tagged
from server.domain.passages import (
    ConvexFusion,
    DistributionFusion,
    Fusion,
    ReciprocalRankFusion,
    SearchMode,
    SegmentPlan,
)
from server.domain.retrieval import RetrievalSettings
from server.domain.understanding import Intent, ProposedFilter, Understanding
from server.transport.mapping import filter_from_wire, ranked_to_wire, text_range_to_wire, timings_to_wire

_WIRE_MODES = {
    None: search_service_pb2.SEARCH_MODE_UNSPECIFIED,
    SearchMode.HYBRID: search_service_pb2.SEARCH_MODE_HYBRID,
    SearchMode.DENSE: search_service_pb2.SEARCH_MODE_DENSE,
    SearchMode.LEXICAL: search_service_pb2.SEARCH_MODE_LEXICAL,
}
_SEARCH_MODES = {wire: mode for mode, wire in _WIRE_MODES.items() if mode is not None}
_INTENTS = {
    Intent.FACTUAL: query_pb2.QUERY_INTENT_FACTUAL,
    Intent.KEYWORD: query_pb2.QUERY_INTENT_KEYWORD,
    Intent.SUMMARY: query_pb2.QUERY_INTENT_SUMMARY,
    Intent.COMPARISON: query_pb2.QUERY_INTENT_COMPARISON,
    Intent.CHAT: query_pb2.QUERY_INTENT_CHAT,
    Intent.ACTION: query_pb2.QUERY_INTENT_ACTION,
}


def search_command(request: search_service_pb2.SearchRequest) -> SearchCommand:
    """Raises InvalidField for a mode or a kind of condition that this server does not know."""
    return SearchCommand(
        query=request.query,
        limit=request.limit,
        filter=filter_from_wire(request.filter),
        mode=_mode("mode", request.mode),
        fusion=_fusion(request),
        consistency_token=request.consistency_token,
        rerank=request.rerank if request.HasField("rerank") else None,
        diversity=request.diversity.relevance_weight if request.HasField("diversity") else None,
        # How the index searched is told of a search of one's own.
        no_cache=request.no_cache or request.debug,
        apply_proposed_filters=request.apply_proposed_filters,
        profile=request.profile,
    )


def _mode(field: str, mode: search_service_pb2.SearchMode.ValueType) -> SearchMode | None:
    """None for the default. Raises InvalidField for a number that this server does not know."""
    if mode == search_service_pb2.SEARCH_MODE_UNSPECIFIED:
        return None
    if mode not in _SEARCH_MODES:
        raise errors.InvalidField(field, "must be a known SearchMode")
    return _SEARCH_MODES[mode]


def retrieval_settings(wire: search_service_pb2.RetrievalSettings) -> RetrievalSettings:
    """Raises InvalidField for a mode that this server does not know."""
    return RetrievalSettings(
        mode=_mode("retrieval.mode", wire.mode),
        fusion=_fusion(wire),
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


def profiles_response(page: ProfilePage) -> search_service_pb2.ListRetrievalProfilesResponse:
    return search_service_pb2.ListRetrievalProfilesResponse(
        profiles=[
            search_service_pb2.RetrievalProfile(
                name=profile.name, description=profile.description, settings=settings_to_wire(profile.settings)
            )
            for profile in page.profiles
        ],
        next_page_token=page.next_page_token,
    )


def settings_to_wire(settings: RetrievalSettings) -> search_service_pb2.RetrievalSettings:
    wire = search_service_pb2.RetrievalSettings(
        mode=_WIRE_MODES[settings.mode],
        rerank=settings.rerank,
        rerank_depth=settings.rerank_depth,
        candidates=settings.candidates,
        least_share=settings.least_share,
        max_passages=settings.max_passages,
        context_tokens=settings.context_tokens,
        neighbours=settings.neighbours,
        least_rerank_score=settings.least_rerank_score,
        rewrite=settings.rewrite,
    )
    if settings.diversity is not None:
        wire.diversity.relevance_weight = settings.diversity
    match settings.fusion:
        case ConvexFusion(weight):
            wire.convex.dense_weight = weight
            wire.convex.SetInParent()
        case ReciprocalRankFusion(k, weight):
            wire.reciprocal_rank.k, wire.reciprocal_rank.dense_weight = k, weight
        case DistributionFusion(weight):
            wire.distribution.dense_weight = weight
            wire.distribution.SetInParent()
    return wire


def search_response(
    outcome: SearchOutcome, timings: Iterable[StageTiming], *, debug: bool
) -> search_service_pb2.SearchResponse:
    response = search_service_pb2.SearchResponse(
        passages=[ranked_to_wire(ranked) for ranked in outcome.passages],
        timings=timings_to_wire(timings),
        index_position=token_of(outcome.index.position),
        cached=outcome.cached,
        understanding=understood_to_wire(outcome.understanding, applied=outcome.narrowed),
    )
    if debug:
        response.debug.segments.extend(_plan(plan) for plan in outcome.index.plans)
        response.debug.lexical_candidates = outcome.index.lexical_candidates
        response.debug.generation = outcome.index.generation
    return response


def _fusion(request: search_service_pb2.SearchRequest | search_service_pb2.RetrievalSettings) -> Fusion | None:
    match request.WhichOneof("fusion"):
        case "convex":
            return ConvexFusion(request.convex.dense_weight)
        case "reciprocal_rank":
            ranks = request.reciprocal_rank
            weight = ranks.dense_weight if ranks.HasField("dense_weight") else 0.5
            return ReciprocalRankFusion(ranks.k or 60, weight)
        case "distribution":
            return DistributionFusion(request.distribution.dense_weight)
        case _:
            return None


def _plan(plan: SegmentPlan) -> search_service_pb2.SegmentPlan:
    return search_service_pb2.SegmentPlan(
        segment=plan.segment, plan=plan.plan, allowed=plan.allowed, distances=plan.distances, visited=plan.visited
    )


def understood_to_wire(understanding: Understanding | None, *, applied: bool) -> query_pb2.QueryUnderstanding | None:
    if understanding is None:
        return None
    return query_pb2.QueryUnderstanding(
        query=understanding.query,
        language=understanding.language,
        intent=_INTENTS[understanding.intent],
        proposed_filters=[_proposed(each) for each in understanding.proposed],
        applied=applied,
    )


def _proposed(proposed: ProposedFilter) -> query_pb2.ProposedFilter:
    condition = passage_pb2.FilterCondition()
    match proposed.condition:
        case Tagged(values):
            condition.tags.values.extend(values)
        case OfDocuments(values):
            condition.documents.values.extend(values)
        case Created(not_before, before):
            condition.created.SetInParent()
            if not_before is not None:
                condition.created.not_before.FromSeconds(not_before)
            if before is not None:
                condition.created.before.FromSeconds(before)
    return query_pb2.ProposedFilter(range=text_range_to_wire(proposed.span), condition=condition)
