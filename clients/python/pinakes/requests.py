"""From arguments to protobuf requests: the only place that writes a request's fields. Pure functions, one per call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes import where
from pinakes.mapping import enum_number
from pinakes.options import (
    AnswerOptions,
    ConvexFusion,
    DistributionFusion,
    GenerateOptions,
    ReciprocalRankFusion,
    SearchFilter,
    SearchOptions,
    UploadOptions,
)
from pinakes.results import (
    Box,
    DocumentAcl,
    DocumentState,
    EmbeddingKind,
    GenerationOptions,
    IngestionPriority,
    IngestionStage,
    Job,
    SearchMode,
)
from pinakes.retrieval import RetrievalSettings
from pinakes.v1 import (
    answer_service_pb2,
    conversation_service_pb2,
    document_service_pb2,
    error_reason_pb2,
    index_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    passage_pb2,
    search_service_pb2,
)


def upload_header(name: str, request_id: str, options: UploadOptions) -> document_service_pb2.UploadDocumentRequest:
    return document_service_pb2.UploadDocumentRequest(
        header=document_service_pb2.UploadHeader(
            name=name,
            request_id=request_id,
            tags=options.get("tags", ()),
            allowed_groups=options.get("allowed_groups", ()),
            replace=options.get("replace", False),
            replaced_document_id=options.get("replaced_document_id", ""),
            priority=_priority(options.get("priority", IngestionPriority.UNSPECIFIED)),
            acl=None if (acl := options.get("acl")) is None else _acl(acl),
        )
    )


def set_document_acl(document_id: str, acl: DocumentAcl) -> document_service_pb2.SetDocumentAclRequest:
    return document_service_pb2.SetDocumentAclRequest(document_id=document_id, acl=_acl(acl))


def _acl(acl: DocumentAcl) -> document_service_pb2.DocumentAcl:
    return document_service_pb2.DocumentAcl(
        owner=acl.owner, users=acl.users, groups=acl.groups, tenant_wide=acl.tenant_wide, etag=acl.etag
    )


def upload_data(part: bytes) -> document_service_pb2.UploadDocumentRequest:
    return document_service_pb2.UploadDocumentRequest(data=part)


def get_document(document_id: str) -> document_service_pb2.GetDocumentRequest:
    return document_service_pb2.GetDocumentRequest(document_id=document_id)


def list_documents(
    state: DocumentState, tags: Sequence[str], page_size: int, page_token: str
) -> document_service_pb2.ListDocumentsRequest:
    number = enum_number(document_service_pb2.DocumentState.DESCRIPTOR, state)
    return document_service_pb2.ListDocumentsRequest(
        page_size=page_size,
        page_token=page_token,
        state=cast(document_service_pb2.DocumentState.ValueType, number),
        tags=tags,
    )


def get_page_image(
    document_id: str, page: int, scale: float | None, boxes: Sequence[Box]
) -> document_service_pb2.GetPageImageRequest:
    return document_service_pb2.GetPageImageRequest(
        document_id=document_id,
        page=page,
        scale=scale,
        boxes=[passage_pb2.BoundingBox(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1) for box in boxes],
    )


def get_thumbnail(document_id: str) -> document_service_pb2.GetThumbnailRequest:
    return document_service_pb2.GetThumbnailRequest(document_id=document_id)


def delete_document(document_id: str) -> document_service_pb2.DeleteDocumentRequest:
    return document_service_pb2.DeleteDocumentRequest(document_id=document_id)


def watch_job(job: Job | str) -> document_service_pb2.WatchJobRequest:
    return document_service_pb2.WatchJobRequest(job_id=_job_id(job))


def cancel_job(job: Job | str) -> document_service_pb2.CancelJobRequest:
    return document_service_pb2.CancelJobRequest(job_id=_job_id(job))


def reindex_document(
    document_id: str, first_stage: IngestionStage, priority: IngestionPriority, request_id: str
) -> document_service_pb2.ReindexDocumentRequest:
    number = enum_number(document_service_pb2.IngestionStage.DESCRIPTOR, first_stage)
    return document_service_pb2.ReindexDocumentRequest(
        document_id=document_id,
        first_stage=cast(document_service_pb2.IngestionStage.ValueType, number),
        request_id=request_id,
        priority=_priority(priority),
    )


def list_dead_letters(
    reason: str, not_before: datetime | None, before: datetime | None, page_size: int, page_token: str
) -> document_service_pb2.ListDeadLettersRequest:
    """Raises ValueError for a reason that is none."""
    return document_service_pb2.ListDeadLettersRequest(
        page_size=page_size,
        page_token=page_token,
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason or 'UNSPECIFIED'}"),
        failed=passage_pb2.TimeRange(not_before=_timestamp(not_before), before=_timestamp(before)),
    )


def replay_dead_letter(job: Job | str) -> document_service_pb2.ReplayDeadLetterRequest:
    return document_service_pb2.ReplayDeadLetterRequest(job_id=_job_id(job))


def discard_dead_letter(job: Job | str) -> document_service_pb2.DiscardDeadLetterRequest:
    return document_service_pb2.DiscardDeadLetterRequest(job_id=_job_id(job))


def _priority(priority: IngestionPriority) -> document_service_pb2.IngestionPriority.ValueType:
    number = enum_number(document_service_pb2.IngestionPriority.DESCRIPTOR, priority)
    return cast(document_service_pb2.IngestionPriority.ValueType, number)


def _job_id(job: Job | str) -> str:
    return job.job_id if isinstance(job, Job) else job


def search(query: str, options: SearchOptions) -> search_service_pb2.SearchRequest:
    number = enum_number(search_service_pb2.SearchMode.DESCRIPTOR, options.get("mode", SearchMode.UNSPECIFIED))
    request = search_service_pb2.SearchRequest(
        query=query,
        limit=options.get("limit", 0),
        filter=_filter(options.get("filter")),
        mode=cast(search_service_pb2.SearchMode.ValueType, number),
        consistency_token=options.get("consistency_token", ""),
        rerank=options.get("rerank"),
        debug=options.get("debug", False),
        no_cache=options.get("no_cache", False),
        apply_proposed_filters=options.get("apply_proposed_filters", False),
        profile=options.get("profile", ""),
    )
    _fuse(request, options.get("fusion"))
    diversity = options.get("diversity")
    if diversity is not None:
        request.diversity.CopyFrom(search_service_pb2.Diversity(relevance_weight=diversity))
    return request


def _fuse(
    request: search_service_pb2.SearchRequest | search_service_pb2.RetrievalSettings,
    fusion: ConvexFusion | ReciprocalRankFusion | DistributionFusion | None,
) -> None:
    match fusion:
        case ConvexFusion(dense_weight):
            request.convex.CopyFrom(search_service_pb2.ConvexFusion(dense_weight=dense_weight))
        case ReciprocalRankFusion(k, weight):
            request.reciprocal_rank.CopyFrom(search_service_pb2.ReciprocalRankFusion(k=k, dense_weight=weight))
        case DistributionFusion(dense_weight):
            request.distribution.CopyFrom(search_service_pb2.DistributionFusion(dense_weight=dense_weight))


def list_retrieval_profiles(page_size: int, page_token: str) -> search_service_pb2.ListRetrievalProfilesRequest:
    return search_service_pb2.ListRetrievalProfilesRequest(page_size=page_size, page_token=page_token)


def _retrieval(settings: RetrievalSettings | None) -> search_service_pb2.RetrievalSettings | None:
    if settings is None:
        return None
    number = enum_number(search_service_pb2.SearchMode.DESCRIPTOR, settings.mode)
    wire = search_service_pb2.RetrievalSettings(
        mode=cast(search_service_pb2.SearchMode.ValueType, number),
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
    _fuse(wire, settings.fusion)
    if settings.diversity is not None:
        wire.diversity.CopyFrom(search_service_pb2.Diversity(relevance_weight=settings.diversity))
    return wire


def answer(question: str, options: AnswerOptions) -> answer_service_pb2.AnswerRequest:
    return answer_service_pb2.AnswerRequest(
        question=question,
        filter=_filter(options.get("filter")),
        max_passages=options.get("max_passages", 0),
        max_tokens=options.get("max_tokens", 0),
        seed=options.get("seed"),
        consistency_token=options.get("consistency_token", ""),
        no_cache=options.get("no_cache", False),
        apply_proposed_filters=options.get("apply_proposed_filters", False),
        profile=options.get("profile", ""),
        retrieval=_retrieval(options.get("retrieval")),
        resume_window=_duration(options.get("resume_window_s")),
        conversation_id=options.get("conversation_id", ""),
        response_schema=options.get("response_schema", ""),
    )


def create_conversation(title: str) -> conversation_service_pb2.CreateConversationRequest:
    return conversation_service_pb2.CreateConversationRequest(title=title)


def get_conversation(conversation_id: str) -> conversation_service_pb2.GetConversationRequest:
    return conversation_service_pb2.GetConversationRequest(conversation_id=conversation_id)


def list_conversations(page_size: int, page_token: str) -> conversation_service_pb2.ListConversationsRequest:
    return conversation_service_pb2.ListConversationsRequest(page_size=page_size, page_token=page_token)


def update_conversation(conversation_id: str, title: str) -> conversation_service_pb2.UpdateConversationRequest:
    return conversation_service_pb2.UpdateConversationRequest(conversation_id=conversation_id, title=title)


def delete_conversation(conversation_id: str) -> conversation_service_pb2.DeleteConversationRequest:
    return conversation_service_pb2.DeleteConversationRequest(conversation_id=conversation_id)


def list_turns(conversation_id: str, page_size: int, page_token: str) -> conversation_service_pb2.ListTurnsRequest:
    return conversation_service_pb2.ListTurnsRequest(
        conversation_id=conversation_id, page_size=page_size, page_token=page_token
    )


def resume_answer(answer_id: str, after_sequence: int) -> answer_service_pb2.ResumeAnswerRequest:
    return answer_service_pb2.ResumeAnswerRequest(answer_id=answer_id, after_sequence=after_sequence)


def resume_after(last: answer_service_pb2.AnswerResponse) -> answer_service_pb2.ResumeAnswerRequest:
    """For the events behind one that was received."""
    return resume_answer(last.answer_id, last.sequence)


def get_answer(answer_id: str) -> answer_service_pb2.GetAnswerRequest:
    return answer_service_pb2.GetAnswerRequest(answer_id=answer_id)


def cancel_answer(answer_id: str) -> answer_service_pb2.CancelAnswerRequest:
    return answer_service_pb2.CancelAnswerRequest(answer_id=answer_id)


def embed(texts: Sequence[str], kind: EmbeddingKind) -> inference_service_pb2.EmbedRequest:
    number = enum_number(inference_service_pb2.EmbeddingKind.DESCRIPTOR, kind)
    return inference_service_pb2.EmbedRequest(
        texts=texts, kind=cast(inference_service_pb2.EmbeddingKind.ValueType, number)
    )


def rerank(query: str, texts: Sequence[str]) -> inference_service_pb2.RerankRequest:
    return inference_service_pb2.RerankRequest(query=query, texts=texts)


def recognize_text(image: bytes) -> inference_service_pb2.RecognizeTextRequest:
    return inference_service_pb2.RecognizeTextRequest(image=image)


def generate(prompt: str, options: GenerateOptions) -> inference_service_pb2.GenerateRequest:
    """Raises ValueError for both a grammar and a schema, of which the message could hold only one."""
    if "grammar" in options and "json_schema" in options:
        raise ValueError("grammar and json_schema exclude each other")
    request = inference_service_pb2.GenerateRequest(
        prompt=prompt,
        system=options.get("system", ""),
        max_tokens=options.get("max_tokens", 0),
        temperature=options.get("temperature", 0.0),
        seed=options.get("seed"),
        stop=options.get("stop", ()),
        log_probabilities=options.get("log_probabilities", False),
        alternatives=options.get("alternatives", 0),
    )
    if "grammar" in options:
        request.grammar = options["grammar"]
    if "json_schema" in options:
        request.json_schema = options["json_schema"]
    return request


def get_index() -> index_service_pb2.GetIndexRequest:
    return index_service_pb2.GetIndexRequest()


def build_generation(options: GenerationOptions | None) -> index_service_pb2.BuildGenerationRequest:
    if options is None:
        return index_service_pb2.BuildGenerationRequest()
    return index_service_pb2.BuildGenerationRequest(
        options=index_service_pb2.GenerationOptions(
            graph_degree=options.graph_degree, build_effort=options.build_effort
        )
    )


def compare_generations(name: str, samples: int) -> index_service_pb2.CompareGenerationsRequest:
    return index_service_pb2.CompareGenerationsRequest(name=name, samples=samples)


def activate_generation(name: str) -> index_service_pb2.ActivateGenerationRequest:
    return index_service_pb2.ActivateGenerationRequest(name=name)


def delete_generation(name: str) -> index_service_pb2.DeleteGenerationRequest:
    return index_service_pb2.DeleteGenerationRequest(name=name)


def create_snapshot(name: str) -> index_service_pb2.CreateSnapshotRequest:
    return index_service_pb2.CreateSnapshotRequest(name=name)


def list_models(slot: str, page_size: int, page_token: str) -> model_service_pb2.ListModelsRequest:
    return model_service_pb2.ListModelsRequest(slot=slot, page_size=page_size, page_token=page_token)


def describe_model(name: str) -> model_service_pb2.DescribeModelRequest:
    return model_service_pb2.DescribeModelRequest(name=name)


def load_model(name: str) -> model_service_pb2.LoadModelRequest:
    return model_service_pb2.LoadModelRequest(name=name)


def unload_model(name: str, force: bool) -> model_service_pb2.UnloadModelRequest:
    return model_service_pb2.UnloadModelRequest(name=name, force=force)


def warm_model(name: str) -> model_service_pb2.WarmModelRequest:
    return model_service_pb2.WarmModelRequest(name=name)


def get_aliases() -> model_service_pb2.GetAliasesRequest:
    return model_service_pb2.GetAliasesRequest()


def set_alias(alias: str, models: Sequence[str]) -> model_service_pb2.SetAliasRequest:
    return model_service_pb2.SetAliasRequest(alias=alias, models=models)


def _filter(given: SearchFilter | where.Condition | None) -> passage_pb2.SearchFilter | None:
    if given is None:
        return None
    if isinstance(given, where.Condition):
        given = SearchFilter(condition=given)
    return passage_pb2.SearchFilter(
        document_ids=given.document_ids,
        tags=given.tags,
        languages=given.languages,
        condition=None if given.condition is None else _condition(given.condition),
    )


def _condition(given: where.Condition) -> passage_pb2.FilterCondition:
    wire = passage_pb2.FilterCondition()
    match given:
        case where.Documents(values):
            wire.documents.CopyFrom(passage_pb2.FilterValues(values=values))
        case where.Tags(values):
            wire.tags.CopyFrom(passage_pb2.FilterValues(values=values))
        case where.Languages(values):
            wire.languages.CopyFrom(passage_pb2.FilterValues(values=values))
        case where.Owners(values):
            wire.owners.CopyFrom(passage_pb2.FilterValues(values=values))
        case where.Created(not_before, before):
            wire.created.CopyFrom(passage_pb2.TimeRange(not_before=_timestamp(not_before), before=_timestamp(before)))
        case where.Pages(first, last):
            wire.pages.CopyFrom(passage_pb2.PageRange(first=first or 0, last=last or 0))
        case where.AllOf(conditions):
            wire.all_of.CopyFrom(passage_pb2.FilterConditions(conditions=map(_condition, conditions)))
        case where.AnyOf(conditions):
            wire.any_of.CopyFrom(passage_pb2.FilterConditions(conditions=map(_condition, conditions)))
        case where.Not(condition):
            getattr(wire, "not").CopyFrom(_condition(condition))
        case _:
            raise TypeError(f"{given!r} is no condition")
    return wire


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
