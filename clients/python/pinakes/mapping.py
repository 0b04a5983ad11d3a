"""From protobuf messages to `results`: the only place that reads a response's fields. Pure functions, one per message.

`tests/contract/test_mapping.py` changes every field of every response and fails for one that no result shows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from pinakes import options, results, retrieval, where
from pinakes.v1 import (
    answer_service_pb2,
    conversation_service_pb2,
    document_service_pb2,
    error_reason_pb2,
    index_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    passage_pb2,
    privacy_service_pb2,
    query_pb2,
    search_service_pb2,
    stage_timing_pb2,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor
    from google.protobuf.timestamp_pb2 import Timestamp

_E = TypeVar("_E", bound=results.WireEnum)


def enum_of(cls: type[_E], wire: EnumDescriptor, number: int) -> _E:
    """The member of the wire's name; UNSPECIFIED for a number that this client is too old to know."""
    known = wire.values_by_number.get(number)
    name = known.name.removeprefix(_prefix(wire)) if known else ""
    return cls[name] if name in cls.__members__ else cls["UNSPECIFIED"]


def enum_number(wire: EnumDescriptor, member: results.WireEnum) -> int:
    """The wire's number of a member."""
    return wire.values_by_name[_prefix(wire) + member.name].number


def _prefix(wire: EnumDescriptor) -> str:
    return wire.values_by_number[0].name.removesuffix("UNSPECIFIED")


def document_state(number: int) -> results.DocumentState:
    return enum_of(results.DocumentState, document_service_pb2.DocumentState.DESCRIPTOR, number)


def job_state(number: int) -> results.JobState:
    return enum_of(results.JobState, document_service_pb2.JobState.DESCRIPTOR, number)


def ingestion_stage(number: int) -> results.IngestionStage:
    return enum_of(results.IngestionStage, document_service_pb2.IngestionStage.DESCRIPTOR, number)


def ingestion_priority(number: int) -> results.IngestionPriority:
    return enum_of(results.IngestionPriority, document_service_pb2.IngestionPriority.DESCRIPTOR, number)


def answer_status(number: int) -> results.AnswerStatus:
    return enum_of(results.AnswerStatus, answer_service_pb2.AnswerStatus.DESCRIPTOR, number)


def answer_state(number: int) -> results.AnswerState:
    return enum_of(results.AnswerState, answer_service_pb2.AnswerState.DESCRIPTOR, number)


def degradation(number: int) -> results.Degradation:
    return enum_of(results.Degradation, answer_service_pb2.Degradation.DESCRIPTOR, number)


def passed_over_reason(number: int) -> results.PassedOverReason:
    return enum_of(results.PassedOverReason, answer_service_pb2.PassedOverReason.DESCRIPTOR, number)


def finish_reason(number: int) -> results.FinishReason:
    return enum_of(results.FinishReason, inference_service_pb2.FinishReason.DESCRIPTOR, number)


def generation_state(number: int) -> results.GenerationState:
    return enum_of(results.GenerationState, index_service_pb2.GenerationState.DESCRIPTOR, number)


def model_state(number: int) -> results.ModelState:
    return enum_of(results.ModelState, model_service_pb2.ModelState.DESCRIPTOR, number)


def memory_source(number: int) -> results.MemorySource:
    return enum_of(results.MemorySource, model_service_pb2.MemorySource.DESCRIPTOR, number)


def reason(number: int) -> str:
    """An ErrorReason's name without its prefix; its number if this client is too old to know it."""
    wire = error_reason_pb2.ErrorReason.DESCRIPTOR
    known = wire.values_by_number.get(number)
    return known.name.removeprefix(_prefix(wire)) if known else str(number)


def timings(wire: Iterable[stage_timing_pb2.StageTiming]) -> tuple[results.StageTiming, ...]:
    return tuple(results.StageTiming(t.stage, t.duration.ToNanoseconds() / 1e9) for t in wire)


def time(wire: Timestamp) -> datetime:
    return wire.ToDatetime(tzinfo=UTC)


# --- documents ---------------------------------------------------------------------------------------------------


def failure(wire: document_service_pb2.Failure) -> results.Failure:
    return results.Failure(reason(wire.reason), wire.message)


def document(wire: document_service_pb2.Document) -> results.Document:
    return results.Document(
        document_id=wire.document_id,
        name=wire.name,
        media_type=wire.media_type,
        size_bytes=wire.size_bytes,
        sha256=wire.sha256,
        state=document_state(wire.state),
        failure=failure(wire.failure) if wire.HasField("failure") else None,
        page_count=wire.page_count,
        chunk_count=wire.chunk_count,
        revision=wire.revision,
        tags=tuple(wire.tags),
        allowed_groups=tuple(wire.allowed_groups),
        create_time=time(wire.create_time),
        update_time=time(wire.update_time),
        job_id=wire.job_id,
        newest_revision=wire.newest_revision,
        acl=_acl(wire.acl) if wire.HasField("acl") else None,
    )


def _acl(wire: document_service_pb2.DocumentAcl) -> results.DocumentAcl:
    return results.DocumentAcl(tuple(wire.users), tuple(wire.groups), wire.tenant_wide, wire.owner, wire.etag)


def sharing(wire: document_service_pb2.SetDocumentAclResponse) -> results.Sharing:
    return results.Sharing(document(wire.document), wire.consistency_token)


def job_success(wire: document_service_pb2.JobSuccess) -> results.JobSuccess:
    return results.JobSuccess(wire.chunk_count, wire.consistency_token)


def job(wire: document_service_pb2.Job) -> results.Job:
    return results.Job(
        job_id=wire.job_id,
        document_id=wire.document_id,
        state=job_state(wire.state),
        stage=ingestion_stage(wire.stage),
        pages_done=wire.pages_done,
        pages_total=wire.pages_total,
        attempt=wire.attempt,
        create_time=time(wire.create_time),
        update_time=time(wire.update_time),
        success=job_success(wire.success) if wire.HasField("success") else None,
        failure=failure(wire.failure) if wire.HasField("failure") else None,
        revision=wire.revision,
        end_time=time(wire.end_time) if wire.HasField("end_time") else None,
        trace_id=wire.trace_id,
        priority=ingestion_priority(wire.priority),
    )


def cancelled_job(wire: document_service_pb2.CancelJobResponse) -> results.Job:
    return job(wire.job)


def reindexing_job(wire: document_service_pb2.ReindexDocumentResponse) -> results.Job:
    return job(wire.job)


def replayed_job(wire: document_service_pb2.ReplayDeadLetterResponse) -> results.Job:
    return job(wire.job)


def discarded_letter(wire: document_service_pb2.DiscardDeadLetterResponse) -> None:
    return None


def dead_letter_page(wire: document_service_pb2.ListDeadLettersResponse) -> results.DeadLetterPage:
    letters = (results.DeadLetter(job(each.job), each.document_name) for each in wire.dead_letters)
    return results.DeadLetterPage(tuple(letters), wire.next_page_token)


def upload(wire: document_service_pb2.UploadDocumentResponse) -> results.Upload:
    return results.Upload(document(wire.document), job(wire.job))


def found_document(wire: document_service_pb2.GetDocumentResponse) -> results.Document:
    return document(wire.document)


def document_page(wire: document_service_pb2.ListDocumentsResponse) -> results.DocumentPage:
    return results.DocumentPage(tuple(document(d) for d in wire.documents), wire.next_page_token)


def page_image(wire: document_service_pb2.GetPageImageResponse) -> results.PageImage:
    return results.PageImage(wire.image, wire.media_type, wire.width, wire.height, wire.scale)


def thumbnail(wire: document_service_pb2.GetThumbnailResponse) -> results.Thumbnail:
    return results.Thumbnail(wire.image, wire.media_type)


def deletion_token(wire: document_service_pb2.DeleteDocumentResponse) -> str:
    return wire.consistency_token


def watched_job(wire: document_service_pb2.WatchJobResponse) -> results.Job:
    return job(wire.job)


# --- passages ----------------------------------------------------------------------------------------------------


def box(wire: passage_pb2.BoundingBox) -> results.Box:
    return results.Box(wire.x0, wire.y0, wire.x1, wire.y1)


def page_region(wire: passage_pb2.PageRegion) -> results.PageRegion:
    return results.PageRegion(wire.page, wire.page_width, wire.page_height, tuple(box(b) for b in wire.boxes))


def passage(wire: passage_pb2.Passage) -> results.Passage:
    return results.Passage(
        chunk_id=wire.chunk_id,
        document_id=wire.document_id,
        document_name=wire.document_name,
        revision=wire.revision,
        text=wire.text,
        heading_path=tuple(wire.heading_path),
        language=wire.language,
        regions=tuple(page_region(r) for r in wire.regions),
        joined_chunk_ids=tuple(wire.joined_chunk_ids),
        masked=masked_spans(wire.masked),
    )


def branch_score(wire: passage_pb2.BranchScore) -> results.BranchScore:
    return results.BranchScore(wire.rank, wire.score)


def ranked_passage(wire: passage_pb2.RankedPassage) -> results.RankedPassage:
    return results.RankedPassage(
        passage=passage(wire.passage),
        score=wire.score,
        dense=branch_score(wire.dense) if wire.HasField("dense") else None,
        lexical=branch_score(wire.lexical) if wire.HasField("lexical") else None,
        rerank_score=wire.rerank_score if wire.HasField("rerank_score") else None,
        snippet=snippet(wire.snippet) if wire.HasField("snippet") else None,
    )


def pii_kind(number: int) -> results.PiiKind:
    return enum_of(results.PiiKind, passage_pb2.PiiKind.DESCRIPTOR, number)


def masked_spans(
    wire: Iterable[passage_pb2.MaskedRange] | Iterable[privacy_service_pb2.PiiFinding],
) -> tuple[results.MaskedSpan, ...]:
    return tuple(results.MaskedSpan(each.range.start, each.range.end, pii_kind(each.kind)) for each in wire)


def text_range(wire: passage_pb2.TextRange) -> results.TextSpan:
    return results.TextSpan(wire.start, wire.end)


def snippet(wire: passage_pb2.Snippet) -> results.Snippet:
    return results.Snippet(text_range(wire.range), tuple(text_range(mark) for mark in wire.highlights))


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
        understanding=_understanding(wire),
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


def condition(wire: passage_pb2.FilterCondition) -> where.Condition:
    """`where.all_of()` for a kind that this client is too old to know."""
    match wire.WhichOneof("condition"):
        case "documents":
            return where.documents(*wire.documents.values)
        case "tags":
            return where.tags(*wire.tags.values)
        case "languages":
            return where.languages(*wire.languages.values)
        case "owners":
            return where.owners(*wire.owners.values)
        case "created":
            created = wire.created
            return where.created(
                not_before=time(created.not_before) if created.HasField("not_before") else None,
                before=time(created.before) if created.HasField("before") else None,
            )
        case "pages":
            return where.pages(wire.pages.first or None, wire.pages.last or None)
        case "any_of":
            return where.any_of(*(condition(each) for each in wire.any_of.conditions))
        case "not":
            return where.not_(condition(getattr(wire, "not")))
        case _:
            return where.all_of(*(condition(each) for each in wire.all_of.conditions))


def _understanding(
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


# --- answers -----------------------------------------------------------------------------------------------------


def answer_event(wire: answer_service_pb2.AnswerResponse) -> results.AnswerEvent | None:
    """None for a kind of event that this client is too old to know."""
    match wire.WhichOneof("event"):
        case "sources":
            ranked = tuple(ranked_passage(p) for p in wire.sources.passages)
            return results.Sources(
                wire.answer_id, wire.sequence, ranked, wire.sources.searched_question, _understanding(wire.sources)
            )
        case "delta":
            return results.Delta(wire.answer_id, wire.sequence, wire.delta.text)
        case "citation":
            return _citation(wire.answer_id, wire.sequence, wire.citation)
        case "completion":
            return _completion(wire.answer_id, wire.sequence, wire.completion)
        case _:
            return None


def resumed_event(wire: answer_service_pb2.ResumeAnswerResponse) -> results.AnswerEvent | None:
    return answer_event(wire.event)


def streamed_event(
    wire: answer_service_pb2.AnswerResponse | answer_service_pb2.ResumeAnswerResponse,
) -> results.AnswerEvent | None:
    """Of a stream that may have been resumed."""
    return resumed_event(wire) if isinstance(wire, answer_service_pb2.ResumeAnswerResponse) else answer_event(wire)


def found_answer(wire: answer_service_pb2.GetAnswerResponse) -> results.StoredAnswer:
    return stored_answer(wire.answer)


def cancelled_answer(wire: answer_service_pb2.CancelAnswerResponse) -> None:
    return None


def stored_answer(wire: answer_service_pb2.StoredAnswer) -> results.StoredAnswer:
    return results.StoredAnswer(
        answer_id=wire.answer_id,
        question=wire.question,
        state=answer_state(wire.state),
        text=wire.text,
        withheld=tuple(text_range(span) for span in wire.withheld),
        sources=tuple(ranked_passage(p) for p in wire.sources.passages),
        citations=tuple(_citation(wire.answer_id, 0, c) for c in wire.citations),
        completion=_completion(wire.answer_id, 0, wire.completion) if wire.HasField("completion") else None,
        failure=failure(wire.failure) if wire.HasField("failure") else None,
        create_time=time(wire.create_time),
        end_time=time(wire.end_time) if wire.HasField("end_time") else None,
        searched_question=wire.sources.searched_question,
        understanding=_understanding(wire.sources),
        conversation_id=wire.conversation_id,
        turn=wire.turn,
        masked=masked_spans(wire.masked),
    )


def conversation(wire: conversation_service_pb2.Conversation) -> results.Conversation:
    return results.Conversation(
        conversation_id=wire.conversation_id,
        title=wire.title,
        turn_count=wire.turn_count,
        create_time=time(wire.create_time),
        update_time=time(wire.update_time),
        summary=wire.summary,
    )


def made_conversation(wire: conversation_service_pb2.CreateConversationResponse) -> results.Conversation:
    return conversation(wire.conversation)


def found_conversation(wire: conversation_service_pb2.GetConversationResponse) -> results.Conversation:
    return conversation(wire.conversation)


def updated_conversation(wire: conversation_service_pb2.UpdateConversationResponse) -> results.Conversation:
    return conversation(wire.conversation)


def deleted_conversation(wire: conversation_service_pb2.DeleteConversationResponse) -> None:
    return None


def conversation_page(wire: conversation_service_pb2.ListConversationsResponse) -> results.ConversationPage:
    return results.ConversationPage(tuple(conversation(c) for c in wire.conversations), wire.next_page_token)


def turn_page(wire: conversation_service_pb2.ListTurnsResponse) -> results.TurnPage:
    return results.TurnPage(tuple(stored_answer(a) for a in wire.answers), wire.next_page_token)


def _citation(answer_id: str, sequence: int, wire: answer_service_pb2.Citation) -> results.Citation:
    return results.Citation(
        answer_id=answer_id,
        sequence=sequence,
        start=wire.start,
        end=wire.end,
        chunk_id=wire.chunk_id,
        document_id=wire.document_id,
        document_name=wire.document_name,
        revision=wire.revision,
        regions=tuple(page_region(r) for r in wire.regions),
        quote=wire.quote,
        score=wire.score,
        withheld=wire.withheld,
        field=wire.field,
        masked=masked_spans(wire.masked),
    )


def _completion(answer_id: str, sequence: int, wire: answer_service_pb2.Completion) -> results.Completion:
    usage = results.Usage(wire.usage.prompt_tokens, wire.usage.completion_tokens)
    return results.Completion(
        answer_id=answer_id,
        sequence=sequence,
        status=answer_status(wire.status),
        usage=usage if wire.HasField("usage") else None,
        timings=timings(wire.timings),
        degradations=tuple(degradation(d) for d in wire.degradations),
        unsupported=tuple(results.Unsupported(s.start, s.end, s.field) for s in wire.unsupported),
        generator=wire.generator,
        index_position=wire.index_position,
        embedder=wire.embedder,
        reranker=wire.reranker,
        cached=wire.cached,
        passed_over=tuple(
            results.PassedOverGenerator(each.name, passed_over_reason(each.reason)) for each in wire.passed_over
        ),
        confidence=wire.confidence,
        masked=masked_spans(wire.masked),
    )


# --- index -------------------------------------------------------------------------------------------------------


def generation_options(wire: index_service_pb2.GenerationOptions) -> results.GenerationOptions:
    return results.GenerationOptions(
        graph_degree=wire.graph_degree if wire.HasField("graph_degree") else None,
        build_effort=wire.build_effort if wire.HasField("build_effort") else None,
    )


def index_segment(wire: index_service_pb2.IndexSegment) -> results.IndexSegment:
    return results.IndexSegment(wire.name, wire.rows, wire.removed, wire.graph)


def generation(wire: index_service_pb2.Generation) -> results.Generation:
    return results.Generation(
        name=wire.name,
        state=generation_state(wire.state),
        position=wire.position,
        fingerprint=wire.fingerprint,
        create_time=time(wire.create_time),
        segments=tuple(index_segment(s) for s in wire.segments),
        options=generation_options(wire.options),
        failure=wire.failure,
    )


def index_status(wire: index_service_pb2.GetIndexResponse) -> results.IndexStatus:
    return results.IndexStatus(tuple(generation(g) for g in wire.generations), wire.log_position)


def begun_generation(wire: index_service_pb2.BuildGenerationResponse) -> results.Generation:
    return generation(wire.generation)


def comparison(wire: index_service_pb2.CompareGenerationsResponse) -> results.Comparison:
    return results.Comparison(wire.serving_recall, wire.other_recall, wire.overlap, wire.samples)


def activation(wire: index_service_pb2.ActivateGenerationResponse) -> results.Activation:
    return results.Activation(generation(wire.generation), wire.previous)


def deleted_generation(wire: index_service_pb2.DeleteGenerationResponse) -> None:
    return None


def index_snapshot(wire: index_service_pb2.CreateSnapshotResponse) -> results.IndexSnapshot:
    return results.IndexSnapshot(wire.path, wire.position, wire.size_bytes)


# --- models ------------------------------------------------------------------------------------------------------


def embeddings(wire: inference_service_pb2.EmbedResponse) -> results.Embeddings:
    return results.Embeddings(
        embeddings=tuple(results.Embedding(tuple(e.values), e.token_count, e.truncated) for e in wire.embeddings),
        model=wire.model,
        timings=timings(wire.timings),
    )


def rerank_scores(wire: inference_service_pb2.RerankResponse) -> results.RerankScores:
    return results.RerankScores(tuple(wire.scores), wire.model, timings(wire.timings))


def recognized_line(wire: inference_service_pb2.RecognizedLine) -> results.RecognizedLine:
    characters = (results.RecognizedCharacter(c.text, c.confidence, box(c.box)) for c in wire.characters)
    return results.RecognizedLine(wire.text, wire.confidence, box(wire.box), tuple(characters))


def recognized_text(wire: inference_service_pb2.RecognizeTextResponse) -> results.RecognizedText:
    return results.RecognizedText(
        lines=tuple(recognized_line(line) for line in wire.lines),
        width=wire.width,
        height=wire.height,
        model=wire.model,
        timings=timings(wire.timings),
    )


def generate_event(wire: inference_service_pb2.GenerateResponse) -> results.GenerateEvent | None:
    """None for a kind of event that this client is too old to know."""
    match wire.WhichOneof("event"):
        case "delta":
            return results.GenerateDelta(wire.delta.text, tuple(map(chosen_token, wire.delta.tokens)))
        case "completion":
            end = wire.completion
            return results.GenerateCompletion(
                finish_reason=finish_reason(end.finish_reason),
                prompt_tokens=end.prompt_tokens,
                completion_tokens=end.completion_tokens,
                model=end.model,
                timings=timings(end.timings),
                mean_log_probability=end.mean_log_probability if end.HasField("mean_log_probability") else None,
                cached_prompt_tokens=end.cached_prompt_tokens,
            )
        case _:
            return None


def chosen_token(wire: inference_service_pb2.ChosenToken) -> results.ChosenToken:
    return results.ChosenToken(scored_token(wire.chosen), tuple(map(scored_token, wire.alternatives)))


def scored_token(wire: inference_service_pb2.ScoredToken) -> results.ScoredToken:
    return results.ScoredToken(wire.token, wire.log_probability)


def model(wire: model_service_pb2.Model) -> results.Model:
    return results.Model(
        name=wire.name,
        slot=wire.slot,
        fingerprint=wire.fingerprint,
        state=model_state(wire.state),
        problem=wire.problem,
        memory_bytes=wire.memory_bytes,
        memory_source=memory_source(wire.memory_source),
        aliases=tuple(wire.aliases),
        last_use_time=time(wire.last_use_time) if wire.HasField("last_use_time") else None,
    )


def model_artifact(wire: model_service_pb2.ModelArtifact) -> results.ModelArtifact:
    return results.ModelArtifact(
        role=wire.role,
        file=wire.file,
        sha256=wire.sha256,
        size_bytes=wire.size_bytes,
        licence=wire.licence,
        origin=wire.origin,
    )


def model_page(wire: model_service_pb2.ListModelsResponse) -> results.ModelPage:
    return results.ModelPage(tuple(model(m) for m in wire.models), wire.next_page_token, wire.memory_budget_bytes)


def model_description(wire: model_service_pb2.DescribeModelResponse) -> results.ModelDescription:
    return results.ModelDescription(model(wire.model), tuple(model_artifact(a) for a in wire.artifacts))


def loaded_model(wire: model_service_pb2.LoadModelResponse) -> results.Model:
    return model(wire.model)


def unloaded_model(wire: model_service_pb2.UnloadModelResponse) -> results.Model:
    return model(wire.model)


def warm_up(wire: model_service_pb2.WarmModelResponse) -> results.WarmUp:
    return results.WarmUp(wire.rounds, wire.first.ToNanoseconds() / 1e9, wire.last.ToNanoseconds() / 1e9)


def alias(wire: model_service_pb2.Alias) -> results.Alias:
    return results.Alias(wire.name, wire.slot, tuple(wire.models), wire.serving, wire.by_default)


def aliases(wire: model_service_pb2.GetAliasesResponse) -> tuple[results.Alias, ...]:
    return tuple(alias(a) for a in wire.aliases)


def alias_change(wire: model_service_pb2.SetAliasResponse) -> results.AliasChange:
    return results.AliasChange(alias(wire.alias), tuple(wire.previous))
