"""No field of the contract is without meaning: what the domain knows reaches the wire, what callers set reaches us."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import (
    answer_service_pb2,
    audit_service_pb2,
    document_service_pb2,
    error_reason_pb2,
    index_service_pb2,
    inference_service_pb2,
    passage_pb2,
    privacy_service_pb2,
    search_service_pb2,
)
from server.application.audit_ports import EntryPage
from server.application.conversation_ports import ConversationPage
from server.application.ingestion_failures import DEFECT
from server.application.job_ports import DeadLetterPage
from server.application.keeping import quoted_alone
from server.application.look_after_conversations import ShownTurns
from server.application.look_after_index import IndexStatus
from server.application.look_after_models import ModelPage
from server.application.model_ports import (
    ChosenToken,
    Embeddings,
    GeneratedText,
    RecognizedCharacter,
    RecognizedImage,
    RecognizedLine,
    ScoredToken,
)
from server.application.page_image_ports import PageView
from server.application.privacy.look_after_privacy import ScannedText
from server.application.retrieval_profiles import ProfilePage
from server.application.search_passages import SearchOutcome
from server.application.subscribe_events import Told
from server.application.verify_audit import ChainProgress, ChainReport
from server.domain.answers import (
    AnswerStatus,
    Citation,
    Completion,
    Degradation,
    Delta,
    Sources,
    StageTiming,
    Unsupported,
    Usage,
)
from server.domain.audit import AuditClass, AuditEntry, AuditRecord, BreakReason, ChainBreak, ChainId
from server.domain.conditions import AnyOf, Condition, Created, InLanguages, Not, OfDocuments, Tagged
from server.domain.conversations import Conversation
from server.domain.documents import (
    Box,
    DeadLetter,
    Document,
    DocumentState,
    Failure,
    Job,
    JobState,
    LineSpan,
    PageSize,
    Priority,
    Stage,
)
from server.domain.errors import InvalidField
from server.domain.events import Event, StreamPosition
from server.domain.generation import PassedOver, PassedOverReason
from server.domain.generations import (
    Generation,
    GenerationComparison,
    GenerationOptions,
    GenerationState,
    IndexCopy,
    IndexSegment,
)
from server.domain.models import (
    Alias,
    CatalogueModel,
    MemorySource,
    MemoryUse,
    Model,
    ModelArtifact,
    ModelState,
    WarmUp,
)
from server.domain.passages import (
    BranchScore,
    ConvexFusion,
    DistributionFusion,
    Fusion,
    IndexResult,
    Passage,
    RankedPassage,
    ReciprocalRankFusion,
    SearchMode,
    SegmentPlan,
    Snippet,
    TextSpan,
)
from server.domain.principals import AccessList, Principal
from server.domain.privacy import PiiKind, PiiSpan, PrivacyAction, PrivacyPolicy
from server.domain.retrieval import RetrievalProfile, RetrievalSettings
from server.domain.stored_answers import AnswerState, NumberedEvent, ShownAnswer, WithheldCitation
from server.domain.understanding import Intent, ProposedFilter, Understanding
from server.transport import (
    answer_mapping,
    audit_mapping,
    document_mapping,
    event_mapping,
    index_mapping,
    inference_mapping,
    mapping,
    model_mapping,
    privacy_mapping,
    search_mapping,
)
from tests.server.jetstream.test_events import ONE_OF_EACH

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TIMINGS = (StageTiming("embed", 0.25),)
MASKED = (PiiSpan(1, 8, PiiKind.EMAIL),)
POLICY = PrivacyPolicy(3, {PiiKind.EMAIL: PrivacyAction.BLOCK}, MOMENT, "ana")
PASSAGE = Passage(
    chunk_id="c1",
    document_id="d1",
    document_name="handbook.pdf",
    revision=2,
    text="Alpha beta.\nGamma delta.",
    heading_path=("One", "Two"),
    language="en",
    line_spans=(
        LineSpan(0, 11, 3, Box(1, 2, 3, 4)),
        LineSpan(12, 24, 4, Box(5, 6, 7, 8)),
    ),
    pages=(PageSize(3, 595, 842), PageSize(4, 595, 842)),
    joined=("c0",),
    masked=(PiiSpan(13, 18, PiiKind.PHONE),),
)
RANKED = RankedPassage(
    PASSAGE,
    0.5,
    BranchScore(1, 0.9),
    BranchScore(2, 7.0),
    0.4,
    Snippet(TextSpan(6, 17), (TextSpan(6, 10), TextSpan(12, 17))),
)


CHARACTER = RecognizedCharacter("t", 0.8, Box(1, 2, 3, 4))
SCORED = ScoredToken(b"text", -0.25)
GENERATION = Generation(
    name="generation-2",
    state=GenerationState.FAILED,
    position=9,
    fingerprint="model@1",
    create_time=MOMENT,
    segments=(IndexSegment("segment-1", 10, 3, graph=True),),
    options=GenerationOptions(32, 200),
    failure="the disk is full",
)


MODEL = Model(
    known=CatalogueModel(
        name="e5@1",
        slot="embed",
        fingerprint="e5@1+abc",
        artifacts=(ModelArtifact("weights", "e5.bin", "ab", 10, "MIT", "somewhere"),),
        declared_bytes=100,
    ),
    state=ModelState.FAILED,
    problem="no such weights",
    memory=MemoryUse(100, MemorySource.DECLARED),
    aliases=("embed.default",),
    last_use_time=MOMENT,
)
ALIAS = Alias("embed.default", "embed", ("e5@1", "e5@2"), "e5@1", by_default=True)


def document(**changes: Any) -> Document:
    values: dict[str, Any] = {
        "document_id": "d1",
        "tenant": "t",
        "name": "handbook.pdf",
        "media_type": "application/pdf",
        "size_bytes": 10,
        "sha256": "ab",
        "state": DocumentState.FAILED,
        "failure": Failure("UnreadableDocument", "broken"),
        "page_count": 3,
        "chunk_count": 4,
        "revision": 1,
        "newest_revision": 2,
        "tags": ("b", "a"),
        "access": AccessList("u", ("g",), True, ("v",)),
        "create_time": MOMENT,
        "update_time": MOMENT,
        "job_id": "j1",
    }
    return Document(**(values | changes))


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "job_id": "j1",
        "document_id": "d1",
        "tenant": "t",
        "revision": 1,
        "state": JobState.SUCCEEDED,
        "stage": Stage.COMMIT,
        "pages_done": 3,
        "pages_total": 3,
        "attempt": 1,
        "chunk_count": 4,
        "log_position": 9,
        "failure": None,
        "create_time": MOMENT,
        "update_time": MOMENT,
        "end_time": MOMENT,
        "trace_id": "abc",
        "priority": Priority.BULK,
    }
    return Job(**(values | changes))


RETRIEVAL = RetrievalSettings(SearchMode.DENSE, None, True, 7, 0.25, 9, 0.75, 3, 99, 2, 0.5, True)
UNDERSTOOD = Understanding(
    "files tagged a since 1970",
    "en",
    Intent.KEYWORD,
    (
        ProposedFilter(TextSpan(6, 14), Tagged(("a",))),
        ProposedFilter(TextSpan(15, 25), Created(5, 9)),
        ProposedFilter(TextSpan(0, 5), OfDocuments(("d",))),
    ),
)


def outcome() -> SearchOutcome:
    plans = (SegmentPlan("head", "flat", 5, 6, 7),)
    found = IndexResult((), 9, plans, 3, "generation-1")
    return SearchOutcome(
        (RANKED,), found, (Degradation.NO_RERANKER,), cached=True, understanding=UNDERSTOOD, narrowed=True
    )


def completion() -> Completion:
    return Completion(
        status=AnswerStatus.ANSWERED,
        usage=Usage(10, 5),
        timings=TIMINGS,
        degradations=(Degradation.NO_RERANKER,),
        unsupported=(Unsupported(3, 9, "/city"),),
        generator="qwen@1",
        index_position=9,
        embedder="e5@1",
        reranker="r@1",
        reader="reader@1",
        mean_log_probability=-0.25,
        cached=True,
        passed_over=(PassedOver("own", PassedOverReason.RESTING),),
        confidence=0.5,
        masked=MASKED,
    )


def stored() -> ShownAnswer:
    return ShownAnswer(
        answer_id="a1",
        question="q",
        state=AnswerState.FAILED,
        failure=Failure("StageDeadline", "too slow"),
        text="text",
        withheld=(TextSpan(2, 5),),
        sources=Sources((RANKED,), "searched"),
        citations=(
            Citation(TextSpan(2, 5), PASSAGE, TextSpan(12, 24), 0.75, "/city"),
            WithheldCitation(TextSpan(2, 5)),
        ),
        completion=completion(),
        layout=(),
        create_time=MOMENT,
        end_time=MOMENT,
        conversation_id="c1",
        turn=2,
        masked=MASKED,
    )


OWNER = Principal("t", "u", frozenset())
CHAIN = ChainId("acme", AuditClass.ACCESS)
RECORD = AuditRecord("acme", AuditClass.ACCESS, 5, "user", *"abcdefghijk"[:10])
CONVERSATION = Conversation("c1", "ferries", 2, MOMENT, MOMENT, "asked about ferries")
RESPONSES: list[Message] = [
    document_mapping.document_to_wire(document(), OWNER),
    document_mapping.job_to_wire(job()),
    document_mapping.job_to_wire(job(state=JobState.FAILED, failure=Failure("EncryptedDocument", "locked"))),
    document_mapping.page_image_response(PageView(b"image", "image/jpeg", 300, 200, 1.5)),
    document_mapping.dead_letters_response(DeadLetterPage((DeadLetter(job(), "handbook.pdf"),), "more")),
    search_mapping.search_response(outcome(), TIMINGS, debug=True),
    search_mapping.profiles_response(
        ProfilePage(
            tuple(
                RetrievalProfile("thorough", "slow", dataclasses.replace(RETRIEVAL, fusion=fusion))
                for fusion in (ConvexFusion(0.5), ReciprocalRankFusion(7, 0.5), DistributionFusion(0.5))
            ),
            "more",
        )
    ),
    answer_mapping.answer_response("a1", 1, Sources((RANKED,), understanding=UNDERSTOOD, narrowed=True)),
    answer_mapping.answer_response("a1", 2, Delta("text")),
    answer_mapping.answer_response("a1", 3, Citation(TextSpan(2, 5), PASSAGE, TextSpan(12, 24), 0.75, "/city")),
    answer_mapping.answer_response("a1", 4, completion()),
    audit_mapping.entries_response(EntryPage((AuditEntry(7, RECORD, b"hash"),), "more")),
    audit_mapping.verify_response(ChainProgress(CHAIN, 3, 9)),
    audit_mapping.verify_response(ChainReport(CHAIN, 3, 9, 2, 8, ChainBreak(4, BreakReason.MISSING))),
    privacy_service_pb2.SetPolicyResponse(policy=privacy_mapping.policy_to_wire(POLICY)),
    privacy_mapping.scan_response(ScannedText(MASKED, "a[email]")),
    answer_mapping.get_answer_response(stored()),
    answer_mapping.conversations_response(ConversationPage((CONVERSATION,), "more")),
    answer_mapping.turns_response(ShownTurns((stored(),), "more")),
    answer_mapping.resumed_to_wire("a1", NumberedEvent(3, WithheldCitation(TextSpan(2, 5)))),
    index_mapping.index_response(IndexStatus((GENERATION,), 9)),
    index_mapping.activation_response(GENERATION, "generation-1"),
    index_mapping.comparison_response(GenerationComparison(0.5, 0.75, 0.25, 7)),
    index_mapping.copy_response(IndexCopy("/data/snapshots/monday", 9, 100)),
    inference_mapping.embed_response(
        Embeddings(np.ones((1, 2), np.float32), np.array([3], np.int32), np.array([True])), "e5@1", TIMINGS
    ),
    inference_mapping.rerank_response([0.5], "r@1", TIMINGS),
    inference_mapping.recognize_text_response(
        RecognizedImage(10, 20, (RecognizedLine("t", 0.9, Box(1, 2, 3, 4), (CHARACTER,)),)), "ocr@1", TIMINGS
    ),
    model_mapping.models_response(ModelPage((MODEL,), "more", 1_000)),
    model_mapping.describe_response(MODEL),
    model_mapping.warm_up_response(WarmUp(2, 0.5, 0.25)),
    model_mapping.aliases_response([ALIAS]),
    model_mapping.set_alias_response(ALIAS, ["e5@1"]),
    *(
        event_mapping.told_to_wire([Told(Event("e", MOMENT, "acme", body), StreamPosition("s", 9))] * 2)
        for body in ONE_OF_EACH
    ),
    inference_mapping.generate_delta(GeneratedText("text", tokens=(ChosenToken(SCORED, (SCORED,)),))),
    inference_mapping.generate_completion(GeneratedText("", "length", 3, 4, 2), -0.5, "qwen@1", TIMINGS),
]


def fields_set(message: Message, into: dict[str, set[str]]) -> None:
    """Adds, by message type, the names of the fields that carry a value."""
    known = into.setdefault(message.DESCRIPTOR.full_name, set())
    for field, value in message.ListFields():
        known.add(field.name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for child in value if field.is_repeated else [value]:
                fields_set(child, into)


ASKED_ALONE = {
    "pinakes.v1.FilterCondition": {"languages", "owners", "pages", "all_of", "any_of", "not"},
    "pinakes.v1.FilterConditions": {"conditions"},
    "pinakes.v1.PageRange": {"first", "last"},
}
"""Conditions that callers send and that no query says."""


def test_every_field_of_every_response_is_filled() -> None:
    seen: dict[str, set[str]] = {}
    for response in RESPONSES:
        fields_set(response, seen)
    declared = {
        descriptor.full_name: {field.name for field in descriptor.fields}
        for response in RESPONSES
        for descriptor in _types(response.DESCRIPTOR, set())
        if descriptor.full_name.startswith("pinakes.v1.")
    }
    missing = {name: fields - seen.get(name, set()) for name, fields in declared.items()}
    assert {name: fields for name, fields in missing.items() if fields} == ASKED_ALONE


def _types(descriptor: Any, visited: set[str]) -> Iterator[Any]:
    if descriptor.full_name in visited:
        return
    visited.add(descriptor.full_name)
    yield descriptor
    for field in descriptor.fields:
        if field.message_type is not None:
            yield from _types(field.message_type, visited)


NAMES = passage_pb2.FilterValues(values=["a"])
TAGGED = passage_pb2.FilterCondition(tags=NAMES)
ACL = document_service_pb2.DocumentAcl(owner="u", users=["v"], groups=["g"], tenant_wide=True, etag="access-7")
REQUESTS: list[tuple[Message, Callable[[Any], Any]]] = [
    (
        search_service_pb2.SearchRequest(
            query="q",
            limit=3,
            filter=passage_pb2.SearchFilter(document_ids=["d"], tags=["t"], languages=["ja"]),
            mode=search_service_pb2.SEARCH_MODE_DENSE,
            convex=search_service_pb2.ConvexFusion(dense_weight=0.25),
            consistency_token="log-3",
            rerank=False,
            diversity=search_service_pb2.Diversity(relevance_weight=0.25),
            no_cache=True,
            apply_proposed_filters=True,
            profile="p",
        ),
        search_mapping.search_command,
    ),
    (search_service_pb2.SearchRequest(debug=True), search_mapping.search_command),
    (
        search_service_pb2.SearchRequest(distribution=search_service_pb2.DistributionFusion(dense_weight=0.25)),
        search_mapping.search_command,
    ),
    *[
        (
            search_service_pb2.SearchRequest(filter=passage_pb2.SearchFilter(condition=condition)),
            search_mapping.search_command,
        )
        for condition in (
            passage_pb2.FilterCondition(documents=NAMES),
            passage_pb2.FilterCondition(tags=NAMES),
            passage_pb2.FilterCondition(languages=NAMES),
            passage_pb2.FilterCondition(owners=NAMES),
            passage_pb2.FilterCondition(
                created=passage_pb2.TimeRange(not_before=Timestamp(seconds=5, nanos=1), before=Timestamp(seconds=9))
            ),
            passage_pb2.FilterCondition(pages=passage_pb2.PageRange(first=3, last=7)),
            passage_pb2.FilterCondition(all_of=passage_pb2.FilterConditions(conditions=[TAGGED])),
            passage_pb2.FilterCondition(any_of=passage_pb2.FilterConditions(conditions=[TAGGED])),
            passage_pb2.FilterCondition(**{"not": TAGGED}),  # type: ignore[arg-type]
        )
    ],
    (
        search_service_pb2.SearchRequest(
            reciprocal_rank=search_service_pb2.ReciprocalRankFusion(k=5, dense_weight=0.25)
        ),
        search_mapping.search_command,
    ),
    (
        answer_service_pb2.AnswerRequest(
            question="q",
            filter=passage_pb2.SearchFilter(document_ids=["d"], tags=["t"], languages=["ja"]),
            max_passages=2,
            max_tokens=7,
            seed=5,
            consistency_token="log-3",
            no_cache=True,
            apply_proposed_filters=True,
            profile="p",
            retrieval=search_mapping.settings_to_wire(dataclasses.replace(RETRIEVAL, fusion=ConvexFusion(0.25))),
            resume_window=Duration(seconds=5, nanos=500_000_000),
        ),
        lambda request: (answer_mapping.answer_command(request), answer_mapping.resume_window_s(request)),
    ),
    (
        inference_service_pb2.GenerateRequest(
            prompt="p",
            system="s",
            max_tokens=4,
            temperature=0.5,
            seed=9,
            stop=["x"],
            grammar="g",
            log_probabilities=True,
            alternatives=2,
        ),
        inference_mapping.generation_request,
    ),
    (inference_service_pb2.GenerateRequest(prompt="p", json_schema="{}"), inference_mapping.generation_request),
    (
        index_service_pb2.BuildGenerationRequest(
            options=index_service_pb2.GenerationOptions(graph_degree=16, build_effort=100)
        ),
        index_mapping.build_command,
    ),
    (
        document_service_pb2.UploadHeader(
            name="n",
            request_id="r",
            tags=["t"],
            allowed_groups=["g"],
            replace=True,
            replaced_document_id="d",
            priority=document_service_pb2.INGESTION_PRIORITY_BULK,
            acl=ACL,
        ),
        document_mapping.upload_header,
    ),
    (
        document_service_pb2.SetDocumentAclRequest(document_id="d", acl=ACL),
        lambda request: (
            request.document_id,
            document_mapping.wanted_access(request) if request.HasField("acl") else None,
        ),
    ),
    (
        document_service_pb2.ReindexDocumentRequest(
            document_id="d",
            first_stage=document_service_pb2.INGESTION_STAGE_EXTRACT,
            request_id="r",
            priority=document_service_pb2.INGESTION_PRIORITY_INTERACTIVE,
        ),
        lambda request: document_mapping.reindex_command(request, "trace"),
    ),
    (
        document_service_pb2.GetPageImageRequest(
            document_id="d", page=2, scale=1.5, boxes=[passage_pb2.BoundingBox(x0=1, y0=2, x1=3, y1=4)]
        ),
        lambda request: (request.document_id, document_mapping.page_wish(request)),
    ),
    (
        document_service_pb2.ListDeadLettersRequest(
            reason=error_reason_pb2.ERROR_REASON_INTERNAL,
            failed=passage_pb2.TimeRange(not_before=Timestamp(seconds=5), before=Timestamp(seconds=9)),
        ),
        document_mapping.wanted_letters,
    ),
    (
        audit_service_pb2.QueryAuditLogRequest(
            audit_class=audit_service_pb2.AUDIT_CLASS_ACCESS,
            not_before=Timestamp(seconds=5, nanos=7_000),
            before=Timestamp(seconds=9, nanos=7_000),
            actor_id="ana",
            action="a",
            object_kind="document",
            object_id="d1",
            result="OK",
            request_id="r1",
        ),
        audit_mapping.wanted_entries,
    ),
]


@pytest.mark.parametrize(("request_", "translate"), REQUESTS, ids=lambda value: type(value).__name__)
def test_every_field_of_a_request_matters(request_: Message, translate: Callable[[Any], Any]) -> None:
    whole = translate(request_)
    for path in _paths(request_):
        assert _translated(translate, _without(request_, path)) != whole, f"{'.'.join(path)} is not read"


def _translated(translate: Callable[[Any], Any], request: Message) -> Any:
    """A refusal is a meaning, too."""
    try:
        return translate(request)
    except InvalidField as refusal:
        return refusal


def _paths(message: Message, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field, value in message.ListFields():
        yield (*prefix, field.name)
        if field.message_type is not None and not field.is_repeated:
            yield from _paths(value, (*prefix, field.name))


def _without(message: Message, path: tuple[str, ...]) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    owner: Any = copy
    for name in path[:-1]:
        owner = getattr(owner, name)
    owner.ClearField(path[-1])
    return copy


def condition_of(wire: passage_pb2.FilterCondition) -> Condition | None:
    return mapping.filter_from_wire(passage_pb2.SearchFilter(condition=wire)).condition


def test_every_kind_of_condition_is_read() -> None:
    kinds = passage_pb2.FilterCondition.DESCRIPTOR.oneofs_by_name["condition"].fields
    asked = [request for request, _ in REQUESTS if isinstance(request, search_service_pb2.SearchRequest)]
    assert {field.name for field in kinds} <= {each.filter.condition.WhichOneof("condition") for each in asked}
    both = passage_pb2.FilterConditions(conditions=[TAGGED, passage_pb2.FilterCondition(languages=NAMES)])
    assert condition_of(passage_pb2.FilterCondition(any_of=both)) == AnyOf((Tagged(("a",)), InLanguages(("a",))))
    assert condition_of(passage_pb2.FilterCondition(**{"not": TAGGED})) == Not(Tagged(("a",)))  # type: ignore[arg-type]


def test_times_are_compared_with_whole_seconds() -> None:
    def created(**bounds: Timestamp) -> Condition | None:
        return condition_of(passage_pb2.FilterCondition(created=passage_pb2.TimeRange(**bounds)))

    assert created(not_before=Timestamp(seconds=5, nanos=1), before=Timestamp(seconds=9)) == Created(6, 9)
    assert created(before=Timestamp()) == Created(None, 0)
    assert created() == Created()


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (passage_pb2.FilterCondition(), "filter.condition"),
        (
            passage_pb2.FilterCondition(
                all_of=passage_pb2.FilterConditions(conditions=[TAGGED, passage_pb2.FilterCondition()])
            ),
            "filter.condition.all_of.conditions[1]",
        ),
        (
            passage_pb2.FilterCondition(any_of=passage_pb2.FilterConditions(conditions=[TAGGED] * 100)),
            "filter.condition.any_of.conditions[63]",
        ),
    ],
)
def test_a_condition_that_is_none_is_named(condition: passage_pb2.FilterCondition, field: str) -> None:
    wanted = passage_pb2.SearchFilter(condition=condition)
    for translate in (
        lambda: search_mapping.search_command(search_service_pb2.SearchRequest(filter=wanted)),
        lambda: answer_mapping.answer_command(answer_service_pb2.AnswerRequest(filter=wanted)),
    ):
        with pytest.raises(InvalidField) as refusal:
            translate()
        assert refusal.value.field == field


def test_enums_are_total() -> None:
    for state in DocumentState:
        assert document_mapping.document_to_wire(document(state=state, failure=None), OWNER).state
    for job_state in JobState:
        assert document_mapping.job_to_wire(job(state=job_state)).state
    for stage in Stage:
        assert document_mapping.job_to_wire(job(stage=stage)).stage
    for priority in Priority:
        assert document_mapping.job_to_wire(job(priority=priority)).priority
    for generation_state in GenerationState:
        assert index_mapping.generation_to_wire(dataclasses.replace(GENERATION, state=generation_state)).state
    for model_state in ModelState:
        assert model_mapping.model_to_wire(dataclasses.replace(MODEL, state=model_state)).state
    for source in MemorySource:
        assert model_mapping.model_to_wire(dataclasses.replace(MODEL, memory=MemoryUse(1, source))).memory_source
    for intent in Intent:
        understood = dataclasses.replace(UNDERSTOOD, intent=intent)
        response = search_mapping.search_response(
            dataclasses.replace(outcome(), understanding=understood), (), debug=False
        )
        assert response.understanding.intent
    for mode in search_service_pb2.SearchMode.values():
        known = search_mapping.search_command(search_service_pb2.SearchRequest(mode=mode)).mode
        assert known is (None if mode == search_service_pb2.SEARCH_MODE_UNSPECIFIED else SearchMode[_short(mode)])


def _short(mode: search_service_pb2.SearchMode.ValueType) -> str:
    return search_service_pb2.SearchMode.Name(mode).removeprefix("SEARCH_MODE_")


@pytest.mark.parametrize("fusion", [None, ConvexFusion(0.0), ReciprocalRankFusion(7, 0.25), DistributionFusion(0.5)])
def test_settings_come_back_as_they_were_sent(fusion: Fusion | None) -> None:
    settings = dataclasses.replace(RETRIEVAL, fusion=fusion)
    assert search_mapping.retrieval_settings(search_mapping.settings_to_wire(settings)) == settings
    assert (
        search_mapping.retrieval_settings(search_mapping.settings_to_wire(RetrievalSettings())) == RetrievalSettings()
    )


def test_unknown_enum_values_are_refused() -> None:
    with pytest.raises(InvalidField, match="mode"):
        search_mapping.search_command(search_service_pb2.SearchRequest(mode=99))  # type: ignore[arg-type]
    with pytest.raises(InvalidField, match="kind"):
        inference_mapping.embedding_kind_from_wire(inference_service_pb2.EMBEDDING_KIND_UNSPECIFIED)


def test_dead_letters_are_filtered_by_every_failure_of_the_reason() -> None:
    def reasons(reason: error_reason_pb2.ErrorReason.ValueType) -> tuple[str, ...]:
        return document_mapping.wanted_letters(document_service_pb2.ListDeadLettersRequest(reason=reason)).reasons

    for reason in error_reason_pb2.ErrorReason.values():
        for name in reasons(reason):
            assert document_mapping.failure_to_wire(Failure(name, "")).reason == reason
    assert reasons(error_reason_pb2.ERROR_REASON_UNSPECIFIED) == ()
    assert set(reasons(error_reason_pb2.ERROR_REASON_MODEL_NOT_INSTALLED)) == {"ModelNotInstalled", "SlotMisconfigured"}
    assert DEFECT in reasons(error_reason_pb2.ERROR_REASON_INTERNAL)
    with pytest.raises(InvalidField, match="reason"):
        reasons(999)  # type: ignore[arg-type]


@pytest.mark.parametrize("bound", ["not_before", "before"])
def test_dead_letters_of_no_time_are_refused(bound: str) -> None:
    never = passage_pb2.TimeRange(**{bound: Timestamp(seconds=2**60)})
    with pytest.raises(InvalidField, match=f"failed.{bound}"):
        document_mapping.wanted_letters(document_service_pb2.ListDeadLettersRequest(failed=never))


def test_a_citation_shows_only_the_supporting_lines() -> None:
    wire = answer_mapping.citation_to_wire(Citation(TextSpan(0, 5), PASSAGE, TextSpan(12, 24), 0.5))
    assert wire.quote == "Gamma delta."
    assert [region.page for region in wire.regions] == [4]
    assert [(box.x0, box.y1) for box in wire.regions[0].boxes] == [(5, 8)]


def test_a_citation_that_was_kept_says_what_it_said() -> None:
    citation = Citation(TextSpan(2, 5), PASSAGE, TextSpan(6, 20), 0.75)
    assert answer_mapping.citation_to_wire(quoted_alone(citation)) == answer_mapping.citation_to_wire(citation)


def test_absent_fields_take_the_documented_defaults() -> None:
    command = search_mapping.search_command(search_service_pb2.SearchRequest(query="q"))
    assert (command.mode, command.fusion, command.rerank, command.profile) == (None, None, None, "")
    weighted = search_service_pb2.SearchRequest(reciprocal_rank=search_service_pb2.ReciprocalRankFusion())
    assert search_mapping.search_command(weighted).fusion == ReciprocalRankFusion(60, 0.5)
    weighted = search_service_pb2.SearchRequest(distribution=search_service_pb2.DistributionFusion())
    assert search_mapping.search_command(weighted).fusion == DistributionFusion(0.0)
    assert command.diversity is None
    alone = search_service_pb2.SearchRequest(diversity=search_service_pb2.Diversity())
    assert search_mapping.search_command(alone).diversity == 0.0
    zero = search_service_pb2.SearchRequest(convex=search_service_pb2.ConvexFusion())
    assert search_mapping.search_command(zero).fusion == ConvexFusion(0.0)


def test_a_job_has_a_result_only_when_it_has_ended() -> None:
    failure = Failure("StageDeadline", "too slow")
    for state in JobState:
        wire = document_mapping.job_to_wire(job(state=state, failure=failure))
        assert (wire.WhichOneof("result") is not None) == state.terminal


def test_a_policy_says_of_every_kind_what_is_done_with_it() -> None:
    wire = privacy_mapping.policy_to_wire(POLICY)
    told = dict(privacy_mapping.rules_from_wire(wire.rules))
    assert told == dict.fromkeys(PiiKind, PrivacyAction.OFF) | {PiiKind.EMAIL: PrivacyAction.BLOCK}
    assert not privacy_mapping.policy_to_wire(PrivacyPolicy()).HasField("update_time")
    for rule in (
        privacy_service_pb2.PrivacyRule(kind=passage_pb2.PII_KIND_EMAIL),
        privacy_service_pb2.PrivacyRule(action=privacy_service_pb2.PRIVACY_ACTION_OFF),
    ):
        with pytest.raises(InvalidField):
            privacy_mapping.rules_from_wire([rule])


def test_a_citation_marks_what_is_masked_in_its_quote() -> None:
    wire = answer_mapping.citation_to_wire(Citation(TextSpan(0, 1), PASSAGE, TextSpan(12, 24), 0.5))
    [masked] = wire.masked
    assert wire.quote[masked.range.start : masked.range.end] == "amma "
    assert not answer_mapping.citation_to_wire(Citation(TextSpan(0, 1), PASSAGE, TextSpan(0, 11), 0.5)).masked


def test_an_entry_that_somebody_has_changed_can_be_shown() -> None:
    """Whatever stands there now."""
    for time_us in (-(2**63), 2**63 - 1):
        changed = dataclasses.replace(RECORD, time_us=time_us, actor_kind="mallory")
        page = audit_mapping.entries_response(EntryPage((AuditEntry(2**63 - 1, changed, b""),), ""))
        assert page.entries[0].actor_kind == audit_service_pb2.AUDIT_ACTOR_KIND_UNSPECIFIED
        page.entries[0].time.ToDatetime()


def test_whatever_an_answer_went_without_is_told() -> None:
    told = answer_mapping.completion_to_wire(dataclasses.replace(completion(), degradations=tuple(Degradation)))
    names = [answer_service_pb2.Degradation.Name(each) for each in told.degradations]
    assert names == [f"DEGRADATION_{each.name}" for each in Degradation]
