"""Between the wire and the domain: pure functions, one per message. Protobuf ends here, and in `inference_mapping` and
`model_mapping`.

`tests/server/transport/test_mapping.py` walks every message's DESCRIPTOR and fails when a field has no meaning here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import (
    answer_service_pb2,
    document_service_pb2,
    error_reason_pb2,
    index_service_pb2,
    passage_pb2,
    query_pb2,
    search_service_pb2,
    stage_timing_pb2,
)
from server.application.answer_question import AnswerCommand
from server.application.consistency import token_of
from server.application.ingestion_failures import DEFECT
from server.application.keeping import masked_within
from server.application.look_after_index import BuildCommand, IndexStatus
from server.application.look_after_jobs import ReindexCommand
from server.application.page_image_ports import PageView, PageWish
from server.application.ports import DeadLetterPage, WantedAccess, WantedLetters
from server.application.query import ConditionBudget
from server.application.retrieval_profiles import ProfilePage
from server.application.search_passages import SearchCommand, SearchOutcome
from server.application.share_document import etag_of
from server.application.upload_document import UploadHeader
from server.domain import errors
from server.domain.answers import (
    AnswerEvent,
    AnswerStatus,
    Citation,
    Completion,
    Degradation,
    Delta,
    Sources,
    StageTiming,
    Unsupported,
)
from server.domain.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    Tagged,
)
from server.domain.documents import (
    Box,
    Document,
    DocumentState,
    Failure,
    Job,
    JobState,
    LineSpan,
    Priority,
    Stage,
)
from server.domain.generation import PassedOver, PassedOverReason
from server.domain.generations import (
    Generation,
    GenerationComparison,
    GenerationState,
    IndexCopy,
    IndexSegment,
)
from server.domain.passages import (
    BranchScore,
    ConvexFusion,
    DistributionFusion,
    Fusion,
    Passage,
    RankedPassage,
    ReciprocalRankFusion,
    SearchFilter,
    SearchMode,
    SegmentPlan,
    Snippet,
    TextSpan,
)
from server.domain.principals import AccessList, Principal
from server.domain.retrieval import RetrievalSettings
from server.domain.understanding import Intent, ProposedFilter, Understanding
from server.transport.privacy_mapping import masked_to_wire
from server.transport.status import RULES, reason_of

_DOCUMENT_STATES = {
    DocumentState.PROCESSING: document_service_pb2.DOCUMENT_STATE_PROCESSING,
    DocumentState.READY: document_service_pb2.DOCUMENT_STATE_READY,
    DocumentState.FAILED: document_service_pb2.DOCUMENT_STATE_FAILED,
}
_JOB_STATES = {
    JobState.PENDING: document_service_pb2.JOB_STATE_PENDING,
    JobState.RUNNING: document_service_pb2.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: document_service_pb2.JOB_STATE_SUCCEEDED,
    JobState.FAILED: document_service_pb2.JOB_STATE_FAILED,
    JobState.CANCELLED: document_service_pb2.JOB_STATE_CANCELLED,
}
_PRIORITIES = {
    Priority.INTERACTIVE: document_service_pb2.INGESTION_PRIORITY_INTERACTIVE,
    Priority.BULK: document_service_pb2.INGESTION_PRIORITY_BULK,
}
_STAGES = {
    None: document_service_pb2.INGESTION_STAGE_UNSPECIFIED,
    Stage.PROBE: document_service_pb2.INGESTION_STAGE_PROBE,
    Stage.EXTRACT: document_service_pb2.INGESTION_STAGE_EXTRACT,
    Stage.CHUNK: document_service_pb2.INGESTION_STAGE_CHUNK,
    Stage.EMBED: document_service_pb2.INGESTION_STAGE_EMBED,
    Stage.COMMIT: document_service_pb2.INGESTION_STAGE_COMMIT,
}
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
_GENERATION_STATES = {
    GenerationState.BUILDING: index_service_pb2.GENERATION_STATE_BUILDING,
    GenerationState.READY: index_service_pb2.GENERATION_STATE_READY,
    GenerationState.SERVING: index_service_pb2.GENERATION_STATE_SERVING,
    GenerationState.FAILED: index_service_pb2.GENERATION_STATE_FAILED,
}
_ANSWER_STATUSES = {
    AnswerStatus.ANSWERED: answer_service_pb2.ANSWER_STATUS_ANSWERED,
    AnswerStatus.NOT_IN_DOCUMENTS: answer_service_pb2.ANSWER_STATUS_NOT_IN_DOCUMENTS,
    AnswerStatus.TRUNCATED: answer_service_pb2.ANSWER_STATUS_TRUNCATED,
}
_DEGRADATIONS = {
    Degradation.NO_RERANKER: answer_service_pb2.DEGRADATION_NO_RERANKER,
    Degradation.RERANK_SKIPPED: answer_service_pb2.DEGRADATION_RERANK_SKIPPED,
    Degradation.RERANK_REDUCED: answer_service_pb2.DEGRADATION_RERANK_REDUCED,
    Degradation.EXTRACTIVE: answer_service_pb2.DEGRADATION_EXTRACTIVE,
    Degradation.OTHER_GENERATOR: answer_service_pb2.DEGRADATION_OTHER_GENERATOR,
    Degradation.DRAFT_REPLACED: answer_service_pb2.DEGRADATION_DRAFT_REPLACED,
    Degradation.REWRITE_SKIPPED: answer_service_pb2.DEGRADATION_REWRITE_SKIPPED,
}
_PASSED_OVER = {
    PassedOverReason.UNAVAILABLE: answer_service_pb2.PASSED_OVER_REASON_UNAVAILABLE,
    PassedOverReason.OVERLOADED: answer_service_pb2.PASSED_OVER_REASON_OVERLOADED,
    PassedOverReason.TOO_SLOW: answer_service_pb2.PASSED_OVER_REASON_TOO_SLOW,
    PassedOverReason.RESTING: answer_service_pb2.PASSED_OVER_REASON_RESTING,
    PassedOverReason.REFUSED: answer_service_pb2.PASSED_OVER_REASON_REFUSED,
    PassedOverReason.NOT_SET_UP: answer_service_pb2.PASSED_OVER_REASON_NOT_SET_UP,
}
_FAILURE_CLASSES = {
    name: member
    for name, member in vars(errors).items()
    if isinstance(member, type) and issubclass(member, errors.PinakesError)
}

# --- shared --------------------------------------------------------------------------------------------------------


def timings_to_wire(timings: Iterable[StageTiming]) -> list[stage_timing_pb2.StageTiming]:
    return [stage_timing_pb2.StageTiming(stage=t.stage, duration=duration_to_wire(t.seconds)) for t in timings]


def box_to_wire(box: Box) -> passage_pb2.BoundingBox:
    return passage_pb2.BoundingBox(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1)


def regions_to_wire(passage: Passage, spans: Iterable[LineSpan]) -> list[passage_pb2.PageRegion]:
    """One region per page that the spans touch, in page order."""
    sizes = {size.number: size for size in passage.pages}
    regions: dict[int, passage_pb2.PageRegion] = {}
    for span in spans:
        if span.page not in regions:
            size = sizes.get(span.page)
            regions[span.page] = passage_pb2.PageRegion(
                page=span.page,
                page_width=size.width if size else 0.0,
                page_height=size.height if size else 0.0,
            )
        if span.box is not None:
            regions[span.page].boxes.append(box_to_wire(span.box))
    return [regions[page] for page in sorted(regions)]


def passage_to_wire(passage: Passage) -> passage_pb2.Passage:
    return passage_pb2.Passage(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document_name=passage.document_name,
        revision=passage.revision,
        text=passage.text,
        heading_path=passage.heading_path,
        language=passage.language,
        regions=regions_to_wire(passage, passage.line_spans),
        joined_chunk_ids=passage.joined,
        masked=masked_to_wire(passage.masked),
    )


def ranked_to_wire(ranked: RankedPassage) -> passage_pb2.RankedPassage:
    return passage_pb2.RankedPassage(
        passage=passage_to_wire(ranked.passage),
        score=ranked.score,
        dense=_branch(ranked.dense),
        lexical=_branch(ranked.lexical),
        rerank_score=ranked.rerank_score,
        snippet=None if ranked.snippet is None else snippet_to_wire(ranked.snippet),
    )


def snippet_to_wire(snippet: Snippet) -> passage_pb2.Snippet:
    return passage_pb2.Snippet(
        range=_text_range(snippet.span), highlights=[_text_range(span) for span in snippet.highlights]
    )


def filter_from_wire(wanted: passage_pb2.SearchFilter) -> SearchFilter:
    """Raises InvalidField for a condition that says nothing, and for too many of them."""
    condition = None
    if wanted.HasField("condition"):
        condition = _condition(wanted.condition, "filter.condition", ConditionBudget(), 1)
    return SearchFilter(
        document_ids=tuple(wanted.document_ids),
        tags=tuple(wanted.tags),
        languages=tuple(wanted.languages),
        condition=condition,
    )


def _condition(wire: passage_pb2.FilterCondition, field: str, budget: ConditionBudget, depth: int) -> Condition:
    budget.take(field, depth)
    match wire.WhichOneof("condition"):
        case "documents":
            return OfDocuments(tuple(wire.documents.values))
        case "tags":
            return Tagged(tuple(wire.tags.values))
        case "languages":
            return InLanguages(tuple(wire.languages.values))
        case "owners":
            return OwnedBy(tuple(wire.owners.values))
        case "created":
            return _created(wire.created)
        case "pages":
            return OnPages(wire.pages.first, wire.pages.last)
        case "all_of":
            return AllOf(_conditions(wire.all_of, f"{field}.all_of", budget, depth))
        case "any_of":
            return AnyOf(_conditions(wire.any_of, f"{field}.any_of", budget, depth))
        case "not":
            return Not(_condition(getattr(wire, "not"), f"{field}.not", budget, depth + 1))
        case _:
            raise errors.InvalidField(field, "must hold one kind of condition that this server knows")


def _conditions(
    wire: passage_pb2.FilterConditions, field: str, budget: ConditionBudget, depth: int
) -> tuple[Condition, ...]:
    return tuple(
        _condition(each, f"{field}.conditions[{number}]", budget, depth + 1)
        for number, each in enumerate(wire.conditions)
    )


def _created(wire: passage_pb2.TimeRange) -> Created:
    return Created(
        not_before_unix_s=_next_whole_second(wire.not_before) if wire.HasField("not_before") else None,
        before_unix_s=_next_whole_second(wire.before) if wire.HasField("before") else None,
    )


def _next_whole_second(moment: Timestamp) -> int:
    """The first whole second at or after it: whole seconds lie on the same side of both."""
    return moment.seconds + (1 if moment.nanos > 0 else 0)


def _text_range(span: TextSpan) -> passage_pb2.TextRange:
    return passage_pb2.TextRange(start=span.start, end=span.end)


def _branch(score: BranchScore | None) -> passage_pb2.BranchScore | None:
    return None if score is None else passage_pb2.BranchScore(rank=score.rank, score=score.score)


def duration_to_wire(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def stage_to_wire(stage: Stage | None) -> document_service_pb2.IngestionStage.ValueType:
    return _STAGES[stage]


def time_from_wire(field: str, wire: Timestamp) -> datetime:
    """Raises InvalidField."""
    try:
        return wire.ToDatetime(tzinfo=UTC)
    except ValueError as error:
        raise errors.InvalidField(field, "must be a time between the years 1 and 9999") from error


def timestamp_to_wire(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


# --- documents -----------------------------------------------------------------------------------------------------


def upload_header(header: document_service_pb2.UploadHeader) -> UploadHeader:
    return UploadHeader(
        name=header.name,
        request_id=header.request_id,
        tags=tuple(header.tags),
        allowed_groups=tuple(header.allowed_groups),
        replace=header.replace,
        replaced_document_id=header.replaced_document_id,
        priority=_priority("header.priority", header.priority, Priority.INTERACTIVE),
        access=_access_from_wire(header.acl) if header.HasField("acl") else None,
    )


def wanted_access(request: document_service_pb2.SetDocumentAclRequest) -> WantedAccess:
    """Raises InvalidField where none is said: to take access from everybody by a forgotten field is no wish."""
    if not request.HasField("acl"):
        raise errors.InvalidField("acl", "must be present; an empty one leaves the document to its owner alone")
    return _access_from_wire(request.acl)


def _access_from_wire(acl: document_service_pb2.DocumentAcl) -> WantedAccess:
    return WantedAccess(acl.owner, tuple(acl.users), tuple(acl.groups), acl.tenant_wide, acl.etag)


def _access_to_wire(access: AccessList, version: int) -> document_service_pb2.DocumentAcl:
    return document_service_pb2.DocumentAcl(
        owner=access.owner,
        users=sorted(access.users),
        groups=sorted(access.groups),
        tenant_wide=access.tenant_wide,
        etag=etag_of(version),
    )


def _priority(field: str, wire: document_service_pb2.IngestionPriority.ValueType, unspecified: Priority) -> Priority:
    """Raises InvalidField for a number that this server does not know."""
    if wire == document_service_pb2.INGESTION_PRIORITY_UNSPECIFIED:
        return unspecified
    for known, number in _PRIORITIES.items():
        if number == wire:
            return known
    raise errors.InvalidField(field, "must be a known IngestionPriority")


def document_to_wire(document: Document, reader: Principal) -> document_service_pb2.Document:
    """As `reader`, who may read it, may see it: who else may is told to those who may change that."""
    shares = document.access.changeable_by(reader)
    return document_service_pb2.Document(
        document_id=document.document_id,
        name=document.name,
        media_type=document.media_type,
        size_bytes=document.size_bytes,
        sha256=document.sha256,
        state=_DOCUMENT_STATES[document.state],
        failure=None if document.failure is None else failure_to_wire(document.failure),
        page_count=document.page_count,
        chunk_count=document.chunk_count,
        revision=document.revision,
        tags=sorted(document.tags),
        allowed_groups=sorted(document.access.groups),
        create_time=timestamp_to_wire(document.create_time),
        update_time=timestamp_to_wire(document.update_time),
        job_id=document.job_id,
        newest_revision=document.newest_revision,
        acl=_access_to_wire(document.access, document.access_version) if shares else None,
    )


def job_to_wire(job: Job) -> document_service_pb2.Job:
    wire = document_service_pb2.Job(
        job_id=job.job_id,
        document_id=job.document_id,
        state=_JOB_STATES[job.state],
        stage=stage_to_wire(job.stage),
        pages_done=job.pages_done,
        pages_total=job.pages_total,
        attempt=job.attempt,
        create_time=timestamp_to_wire(job.create_time),
        update_time=timestamp_to_wire(job.update_time),
        revision=job.revision,
        end_time=None if job.end_time is None else timestamp_to_wire(job.end_time),
        trace_id=job.trace_id,
        priority=_PRIORITIES[job.priority],
    )
    if job.state is JobState.SUCCEEDED:
        wire.success.chunk_count = job.chunk_count
        wire.success.consistency_token = token_of(job.log_position or 0)
    elif job.state.terminal and job.failure is not None:
        wire.failure.CopyFrom(failure_to_wire(job.failure))
    return wire


def document_state_from_wire(state: document_service_pb2.DocumentState.ValueType) -> DocumentState | None:
    """None for any state. Raises InvalidField for a number that this server does not know."""
    if state == document_service_pb2.DOCUMENT_STATE_UNSPECIFIED:
        return None
    for known, wire in _DOCUMENT_STATES.items():
        if wire == state:
            return known
    raise errors.InvalidField("state", "must be a known DocumentState")


def reindex_command(request: document_service_pb2.ReindexDocumentRequest, trace_id: str) -> ReindexCommand:
    """Raises InvalidField for a stage that this server does not know."""
    stages = {wire: stage for stage, wire in _STAGES.items()}
    if request.first_stage not in stages:
        raise errors.InvalidField("first_stage", "must be a known IngestionStage")
    return ReindexCommand(
        request.document_id,
        stages[request.first_stage],
        request.request_id,
        trace_id,
        _priority("priority", request.priority, Priority.BULK),
    )


def page_wish(request: document_service_pb2.GetPageImageRequest) -> PageWish:
    return PageWish(
        request.page,
        request.scale if request.HasField("scale") else None,
        tuple(Box(box.x0, box.y0, box.x1, box.y1) for box in request.boxes),
    )


def page_image_response(view: PageView) -> document_service_pb2.GetPageImageResponse:
    return document_service_pb2.GetPageImageResponse(
        image=view.image, media_type=view.media_type, width=view.width, height=view.height, scale=view.scale
    )


def wanted_letters(request: document_service_pb2.ListDeadLettersRequest) -> WantedLetters:
    """Raises InvalidField for a reason that this server does not know, and for times that are none."""
    if request.reason not in error_reason_pb2.ErrorReason.values():
        raise errors.InvalidField("reason", "must be a known ErrorReason")
    failed = request.failed
    return WantedLetters(
        reasons=_failures_of(request.reason),
        not_before=time_from_wire("failed.not_before", failed.not_before) if failed.HasField("not_before") else None,
        before=time_from_wire("failed.before", failed.before) if failed.HasField("before") else None,
    )


def dead_letters_response(page: DeadLetterPage) -> document_service_pb2.ListDeadLettersResponse:
    return document_service_pb2.ListDeadLettersResponse(
        dead_letters=[
            document_service_pb2.DeadLetter(job=job_to_wire(letter.job), document_name=letter.document_name)
            for letter in page.letters
        ],
        next_page_token=page.next_page_token,
    )


def _failures_of(reason: error_reason_pb2.ErrorReason.ValueType) -> tuple[str, ...]:
    """What `failure_to_wire` tells by this reason; empty: anything."""
    if reason == error_reason_pb2.ERROR_REASON_UNSPECIFIED:
        return ()
    told = {name: reason_of(error) for name, error in _FAILURE_CLASSES.items() if RULES.keys() & set(error.__mro__)}
    told[DEFECT] = error_reason_pb2.ERROR_REASON_INTERNAL
    return tuple(sorted(name for name, told_by in told.items() if told_by == reason))


def failure_to_wire(failure: Failure) -> document_service_pb2.Failure:
    error = _FAILURE_CLASSES.get(failure.reason)
    reason = reason_of(error) if error else error_reason_pb2.ERROR_REASON_INTERNAL
    return document_service_pb2.Failure(reason=reason, message=failure.message)


# --- search --------------------------------------------------------------------------------------------------------


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
                name=profile.name,
                description=profile.description,
                settings=settings_to_wire(profile.settings),
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
        understanding=_understood(outcome.understanding, applied=outcome.narrowed),
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
        segment=plan.segment,
        plan=plan.plan,
        allowed=plan.allowed,
        distances=plan.distances,
        visited=plan.visited,
    )


def _understood(understanding: Understanding | None, *, applied: bool) -> query_pb2.QueryUnderstanding | None:
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
    return query_pb2.ProposedFilter(range=_text_range(proposed.span), condition=condition)


# --- answers -------------------------------------------------------------------------------------------------------


def answer_command(request: answer_service_pb2.AnswerRequest) -> AnswerCommand:
    return AnswerCommand(
        question=request.question,
        filter=filter_from_wire(request.filter),
        max_passages=request.max_passages,
        max_tokens=request.max_tokens,
        seed=request.seed if request.HasField("seed") else 0,
        consistency_token=request.consistency_token,
        no_cache=request.no_cache,
        apply_proposed_filters=request.apply_proposed_filters,
        profile=request.profile,
        retrieval=retrieval_settings(request.retrieval),
        response_schema=request.response_schema,
    )


def answer_response(answer_id: str, sequence: int, event: AnswerEvent) -> answer_service_pb2.AnswerResponse:
    response = answer_service_pb2.AnswerResponse(answer_id=answer_id, sequence=sequence)
    match event:
        case Sources():
            response.sources.CopyFrom(sources_to_wire(event))
            response.sources.SetInParent()
        case Delta():
            response.delta.text = event.text
        case Citation():
            response.citation.CopyFrom(citation_to_wire(event))
        case Completion():
            response.completion.CopyFrom(completion_to_wire(event))
    return response


def sources_to_wire(sources: Sources) -> answer_service_pb2.Sources:
    return answer_service_pb2.Sources(
        passages=[ranked_to_wire(ranked) for ranked in sources.passages],
        searched_question=sources.searched,
        understanding=_understood(sources.understanding, applied=sources.narrowed),
    )


def citation_to_wire(citation: Citation) -> answer_service_pb2.Citation:
    passage = citation.passage
    support = citation.support
    lines = [span for span in passage.line_spans if span.start < support.end and span.end > support.start]
    return answer_service_pb2.Citation(
        start=citation.sentence.start,
        end=citation.sentence.end,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document_name=passage.document_name,
        revision=passage.revision,
        regions=regions_to_wire(passage, lines),
        quote=passage.text[support.start : support.end],
        score=citation.score,
        field=citation.field,
        masked=masked_to_wire(masked_within(passage, support)),
    )


def completion_to_wire(completion: Completion) -> answer_service_pb2.Completion:
    usage = completion.usage
    return answer_service_pb2.Completion(
        status=_ANSWER_STATUSES[completion.status],
        usage=None
        if usage is None
        else answer_service_pb2.Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens),
        timings=timings_to_wire(completion.timings),
        degradations=[_DEGRADATIONS[degradation] for degradation in completion.degradations],
        unsupported=[_unsupported(span) for span in completion.unsupported],
        generator=completion.generator,
        embedder=completion.embedder,
        reranker=completion.reranker,
        index_position=token_of(completion.index_position),
        cached=completion.cached,
        passed_over=[_passed_over(each) for each in completion.passed_over],
        confidence=completion.confidence,
        masked=masked_to_wire(completion.masked),
    )


def _passed_over(generator: PassedOver) -> answer_service_pb2.PassedOverGenerator:
    return answer_service_pb2.PassedOverGenerator(name=generator.provider, reason=_PASSED_OVER[generator.reason])


def _unsupported(span: Unsupported) -> answer_service_pb2.UnsupportedSentence:
    return answer_service_pb2.UnsupportedSentence(start=span.start, end=span.end, field=span.field)


# --- index ---------------------------------------------------------------------------------------------------------


def build_command(request: index_service_pb2.BuildGenerationRequest) -> BuildCommand:
    options = request.options
    return BuildCommand(
        graph_degree=options.graph_degree if options.HasField("graph_degree") else None,
        build_effort=options.build_effort if options.HasField("build_effort") else None,
    )


def index_response(status: IndexStatus) -> index_service_pb2.GetIndexResponse:
    return index_service_pb2.GetIndexResponse(
        generations=[generation_to_wire(generation) for generation in status.generations],
        log_position=token_of(status.log_position),
    )


def generation_to_wire(generation: Generation) -> index_service_pb2.Generation:
    options = generation.options
    return index_service_pb2.Generation(
        name=generation.name,
        state=_GENERATION_STATES[generation.state],
        position=token_of(generation.position),
        fingerprint=generation.fingerprint,
        create_time=timestamp_to_wire(generation.create_time),
        segments=[_segment(segment) for segment in generation.segments],
        options=index_service_pb2.GenerationOptions(
            graph_degree=options.graph_degree, build_effort=options.build_effort
        ),
        failure=generation.failure,
    )


def _segment(segment: IndexSegment) -> index_service_pb2.IndexSegment:
    return index_service_pb2.IndexSegment(
        name=segment.name, rows=segment.rows, removed=segment.removed, graph=segment.graph
    )


def comparison_response(comparison: GenerationComparison) -> index_service_pb2.CompareGenerationsResponse:
    return index_service_pb2.CompareGenerationsResponse(
        serving_recall=comparison.serving_recall,
        other_recall=comparison.other_recall,
        overlap=comparison.overlap,
        samples=comparison.samples,
    )


def activation_response(generation: Generation, previous: str) -> index_service_pb2.ActivateGenerationResponse:
    return index_service_pb2.ActivateGenerationResponse(generation=generation_to_wire(generation), previous=previous)


def copy_response(copy: IndexCopy) -> index_service_pb2.CreateSnapshotResponse:
    return index_service_pb2.CreateSnapshotResponse(
        path=copy.path, position=token_of(copy.position), size_bytes=copy.size_bytes
    )
