"""No field of the contract is dropped between the wire and the client's results."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor

from pinakes import (
    audit,
    auth,
    credentials,
    encryption,
    events,
    mapping,
    options,
    privacy,
    quotas,
    requests,
    results,
    retrieval,
    where,
)
from pinakes.v1 import (
    answer_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    document_service_pb2,
    encryption_service_pb2,
    event_service_pb2,
    index_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    passage_pb2,
    privacy_service_pb2,
    query_pb2,
    search_service_pb2,
)
from tests.contract.messages import FILES, variants, without_each

RESPONSES: dict[str, Callable[[Any], object]] = {
    "ActivateGenerationResponse": mapping.activation,
    "AnswerResponse": mapping.answer_event,
    "BuildGenerationResponse": mapping.begun_generation,
    "CancelAnswerResponse": mapping.cancelled_answer,
    "CancelJobResponse": mapping.cancelled_job,
    "CompareGenerationsResponse": mapping.comparison,
    "CreateConversationResponse": mapping.made_conversation,
    "GetConversationResponse": mapping.found_conversation,
    "ListConversationsResponse": mapping.conversation_page,
    "UpdateConversationResponse": mapping.updated_conversation,
    "DeleteConversationResponse": mapping.deleted_conversation,
    "ListTurnsResponse": mapping.turn_page,
    "CreateSnapshotResponse": mapping.index_snapshot,
    "DeleteGenerationResponse": mapping.deleted_generation,
    "DeleteDocumentResponse": mapping.deletion_token,
    "DiscardDeadLetterResponse": mapping.discarded_letter,
    "EmbedResponse": mapping.embeddings,
    "GenerateResponse": mapping.generate_event,
    "DescribeModelResponse": mapping.model_description,
    "GetAliasesResponse": mapping.aliases,
    "ListModelsResponse": mapping.model_page,
    "ListRetrievalProfilesResponse": mapping.profile_page,
    "LoadModelResponse": mapping.loaded_model,
    "SetAliasResponse": mapping.alias_change,
    "UnloadModelResponse": mapping.unloaded_model,
    "WarmModelResponse": mapping.warm_up,
    "GetAnswerResponse": mapping.found_answer,
    "GetDocumentResponse": mapping.found_document,
    "GetIndexResponse": mapping.index_status,
    "GetPageImageResponse": mapping.page_image,
    "GetThumbnailResponse": mapping.thumbnail,
    "ListDeadLettersResponse": mapping.dead_letter_page,
    "ListDocumentsResponse": mapping.document_page,
    "RecognizeTextResponse": mapping.recognized_text,
    "ReindexDocumentResponse": mapping.reindexing_job,
    "ReplayDeadLetterResponse": mapping.replayed_job,
    "RerankResponse": mapping.rerank_scores,
    "ResumeAnswerResponse": mapping.resumed_event,
    "SearchResponse": mapping.search_results,
    "SetDocumentAclResponse": mapping.sharing,
    "SubscribeResponse": events.told,
    "QueryAuditLogResponse": audit.audit_page,
    "VerifyAuditLogResponse": audit.audit_verification,
    "ExportAuditLogResponse": audit.exported_lines,
    "GetPolicyResponse": privacy.found_policy,
    "SetPolicyResponse": privacy.changed_policy,
    "ScanTextResponse": privacy.scanned_text,
    "GetQuotaResponse": quotas.found_quota,
    "SetQuotaResponse": quotas.changed_quota,
    "ListQuotasResponse": quotas.quota_page,
    "ListDataKeysResponse": encryption.data_key_page,
    "RotateDataKeyResponse": encryption.rotated_data_key,
    "RotateMasterKeyResponse": encryption.rotated_master_key,
    "DeleteTenantResponse": encryption.deleted_tenant,
    "UploadDocumentResponse": mapping.upload,
    "WatchJobResponse": mapping.watched_job,
    "ChangePasswordResponse": auth.nothing,
    "CreateApiKeyResponse": auth.created_key,
    "CreateUserResponse": auth.created_user,
    "ListApiKeysResponse": auth.key_page,
    "ListUsersResponse": auth.user_page,
    "LoginResponse": auth.logged_in,
    "LogoutResponse": auth.nothing,
    "RefreshResponse": auth.refreshed,
    "RevokeApiKeyResponse": auth.revoked_key,
    "RevokeResponse": auth.nothing,
    "UpdateUserResponse": auth.updated_user,
    "WhoAmIResponse": auth.identity,
}

METHODS = [method for file in FILES for service in file.services_by_name.values() for method in service.methods]


@pytest.mark.parametrize("descriptor", [m.output_type for m in METHODS], ids=lambda d: d.name)
def test_every_field_of_every_response_shows_in_its_result(descriptor: Descriptor) -> None:
    to_result = RESPONSES[descriptor.name]
    checked = 0
    for message in variants(descriptor):
        shown = to_result(message)
        for path, changed in without_each(message):
            checked += 1
            assert to_result(changed) != shown, f"{descriptor.name}.{'.'.join(path)} does not reach the result"
    assert bool(checked) == bool(descriptor.fields)


def test_an_unset_optional_field_is_none() -> None:
    passage = mapping.ranked_passage(passage_pb2.RankedPassage())
    assert (passage.dense, passage.lexical, passage.rerank_score, passage.snippet) == (None, None, None, None)
    assert mapping.generation_options(index_service_pb2.GenerationOptions()) == results.GenerationOptions()
    assert mapping.ranked_passage(passage_pb2.RankedPassage(rerank_score=0.0)).rerank_score == 0.0
    assert mapping.search_results(search_service_pb2.SearchResponse()).debug is None
    job = mapping.job(document_service_pb2.Job())
    assert (job.success, job.failure) == (None, None)


ENUMS: list[tuple[EnumDescriptor, type[results.WireEnum]]] = [
    (document_service_pb2.DocumentState.DESCRIPTOR, results.DocumentState),
    (document_service_pb2.JobState.DESCRIPTOR, results.JobState),
    (document_service_pb2.IngestionPriority.DESCRIPTOR, results.IngestionPriority),
    (document_service_pb2.IngestionStage.DESCRIPTOR, results.IngestionStage),
    (query_pb2.QueryIntent.DESCRIPTOR, results.QueryIntent),
    (search_service_pb2.SearchMode.DESCRIPTOR, results.SearchMode),
    (index_service_pb2.GenerationState.DESCRIPTOR, results.GenerationState),
    (model_service_pb2.ModelState.DESCRIPTOR, results.ModelState),
    (model_service_pb2.MemorySource.DESCRIPTOR, results.MemorySource),
    (event_service_pb2.EventType.DESCRIPTOR, events.EventType),
    (event_service_pb2.AlertKind.DESCRIPTOR, events.AlertKind),
    (answer_service_pb2.AnswerState.DESCRIPTOR, results.AnswerState),
    (answer_service_pb2.AnswerStatus.DESCRIPTOR, results.AnswerStatus),
    (answer_service_pb2.Degradation.DESCRIPTOR, results.Degradation),
    (answer_service_pb2.PassedOverReason.DESCRIPTOR, results.PassedOverReason),
    (inference_service_pb2.EmbeddingKind.DESCRIPTOR, results.EmbeddingKind),
    (inference_service_pb2.FinishReason.DESCRIPTOR, results.FinishReason),
    (passage_pb2.PiiKind.DESCRIPTOR, results.PiiKind),
    (auth_service_pb2.Role.DESCRIPTOR, auth.Role),
    (auth_service_pb2.CredentialKind.DESCRIPTOR, auth.CredentialKind),
    (audit_service_pb2.AuditClass.DESCRIPTOR, audit.AuditClass),
    (audit_service_pb2.AuditActorKind.DESCRIPTOR, audit.AuditActorKind),
    (audit_service_pb2.AuditBreakReason.DESCRIPTOR, audit.AuditBreakReason),
    (privacy_service_pb2.PrivacyAction.DESCRIPTOR, privacy.PrivacyAction),
    (encryption_service_pb2.DataKeyState.DESCRIPTOR, encryption.DataKeyState),
]


def test_enums_are_those_of_the_wire() -> None:
    for wire, cls in ENUMS:
        members = [mapping.enum_of(cls, wire, value.number) for value in wire.values]
        assert members == list(cls), wire.name
        assert [mapping.enum_number(wire, member) for member in members] == [value.number for value in wire.values]
    listed = {wire.full_name for wire, _ in ENUMS} | {"pinakes.v1.ErrorReason"}
    assert listed == {enum.full_name for file in FILES for enum in file.enum_types_by_name.values()}


def test_what_a_newer_server_adds_does_not_break_an_older_client() -> None:
    assert mapping.job_state(99) is results.JobState.UNSPECIFIED
    assert mapping.reason(99) == "99"
    assert mapping.answer_event(answer_service_pb2.AnswerResponse(answer_id="a", sequence=1)) is None
    assert mapping.generate_event(inference_service_pb2.GenerateResponse()) is None
    newer = event_service_pb2.SubscribeResponse(event=event_service_pb2.Event(event_id="e"), resume_token="t")
    (told,) = events.told(newer)
    assert isinstance(told, events.Event) and (told.body, told.resume_token) == (None, "t")


FILTER = options.SearchFilter(document_ids=("d",), tags=("t",), languages=("ja",), condition=where.tags("t"))
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
CONDITIONS: list[where.Condition] = [
    where.documents("d"),
    where.tags("t"),
    where.languages("ja"),
    where.owners("o"),
    where.created(not_before=MOMENT, before=MOMENT),
    where.pages(3, 7),
    where.all_of(where.tags("t")),
    where.any_of(where.tags("t")),
    where.not_(where.tags("t")),
]
SEARCH = options.SearchOptions(
    limit=5,
    filter=FILTER,
    mode=results.SearchMode.DENSE,
    fusion=options.ConvexFusion(0.25),
    consistency_token="c",
    rerank=False,
    debug=True,
    diversity=0.25,
    no_cache=True,
    apply_proposed_filters=True,
    profile="p",
)
RECIPROCAL = options.SearchOptions(fusion=options.ReciprocalRankFusion(k=7, dense_weight=0.0))
DISTRIBUTION = options.SearchOptions(fusion=options.DistributionFusion(0.25))
OF_GENERATION = results.GenerationOptions(graph_degree=16, build_effort=100)
RETRIEVAL = retrieval.RetrievalSettings(
    results.SearchMode.DENSE, options.ConvexFusion(0.25), False, 7, 0.25, 9, 0.75, 3, 99, 2, 0.5, True
)
ANSWER = options.AnswerOptions(
    filter=FILTER,
    max_passages=2,
    max_tokens=3,
    seed=0,
    consistency_token="c",
    no_cache=True,
    apply_proposed_filters=True,
    resume_window_s=5.5,
    conversation_id="c",
    response_schema="{}",
    profile="p",
    retrieval=RETRIEVAL,
)
GENERATE = options.GenerateOptions(
    system="s",
    max_tokens=3,
    temperature=0.5,
    seed=0,
    stop=("x",),
    grammar="g",
    log_probabilities=True,
    alternatives=2,
)
ACL = results.DocumentAcl(("u",), ("g",), True, "o", "e")
UPLOAD = options.UploadOptions(
    tags=("t",),
    allowed_groups=("g",),
    replace=True,
    replaced_document_id="d",
    priority=results.IngestionPriority.BULK,
    acl=ACL,
)

REQUESTS: dict[str, list[Any]] = {
    "ActivateGenerationRequest": [requests.activate_generation("g")],
    "AnswerRequest": [
        requests.answer("q", ANSWER),
        *(requests.answer("q", options.AnswerOptions(filter=condition)) for condition in CONDITIONS),
        *(
            requests.answer("q", options.AnswerOptions(retrieval=retrieval.RetrievalSettings(fusion=fusion)))
            for fusion in (options.ReciprocalRankFusion(k=7, dense_weight=0.0), options.DistributionFusion(0.25))
        ),
    ],
    "BuildGenerationRequest": [requests.build_generation(OF_GENERATION)],
    "CancelAnswerRequest": [requests.cancel_answer("a")],
    "CancelJobRequest": [requests.cancel_job("j")],
    "CompareGenerationsRequest": [requests.compare_generations("g", 5)],
    "CreateConversationRequest": [requests.create_conversation("t")],
    "GetConversationRequest": [requests.get_conversation("c")],
    "ListConversationsRequest": [requests.list_conversations(5, "p")],
    "UpdateConversationRequest": [requests.update_conversation("c", "t")],
    "DeleteConversationRequest": [requests.delete_conversation("c")],
    "ListTurnsRequest": [requests.list_turns("c", 5, "p")],
    "CreateSnapshotRequest": [requests.create_snapshot("s")],
    "DeleteGenerationRequest": [requests.delete_generation("g")],
    "DeleteDocumentRequest": [requests.delete_document("d")],
    "DiscardDeadLetterRequest": [requests.discard_dead_letter("j")],
    "EmbedRequest": [requests.embed(["t"], results.EmbeddingKind.QUERY)],
    "GenerateRequest": [
        requests.generate("p", GENERATE),
        requests.generate("p", options.GenerateOptions(json_schema="{}")),
    ],
    "DescribeModelRequest": [requests.describe_model("m@1")],
    "GetAliasesRequest": [requests.get_aliases()],
    "ListModelsRequest": [requests.list_models("embed", 5, "p")],
    "ListRetrievalProfilesRequest": [requests.list_retrieval_profiles(5, "p")],
    "LoadModelRequest": [requests.load_model("m@1")],
    "SetAliasRequest": [requests.set_alias("embed.default", ["m@1"])],
    "UnloadModelRequest": [requests.unload_model("m@1", force=True)],
    "WarmModelRequest": [requests.warm_model("m@1")],
    "GetAnswerRequest": [requests.get_answer("a")],
    "GetDocumentRequest": [requests.get_document("d")],
    "GetIndexRequest": [requests.get_index()],
    "GetPageImageRequest": [requests.get_page_image("d", 2, 1.5, [results.Box(1, 2, 3, 4)])],
    "GetThumbnailRequest": [requests.get_thumbnail("d")],
    "ListDeadLettersRequest": [requests.list_dead_letters("UNREADABLE_DOCUMENT", MOMENT, MOMENT, 5, "p")],
    "ListDocumentsRequest": [requests.list_documents(results.DocumentState.READY, ["t"], 5, "p")],
    "RecognizeTextRequest": [requests.recognize_text(b"i")],
    "ReindexDocumentRequest": [
        requests.reindex_document("d", results.IngestionStage.EXTRACT, results.IngestionPriority.BULK, "r")
    ],
    "ReplayDeadLetterRequest": [requests.replay_dead_letter("j")],
    "RerankRequest": [requests.rerank("q", ["t"])],
    "ResumeAnswerRequest": [requests.resume_answer("a", 5)],
    "SetDocumentAclRequest": [requests.set_document_acl("d", ACL)],
    "SearchRequest": [
        *(requests.search("q", each) for each in (SEARCH, RECIPROCAL, DISTRIBUTION)),
        *(requests.search("q", options.SearchOptions(filter=condition)) for condition in CONDITIONS),
    ],
    "SubscribeRequest": [
        events.subscribe_request([events.EventType.DOCUMENT_DELETED], "t", None),
        events.subscribe_request([], "", MOMENT),
    ],
    "UploadDocumentRequest": [requests.upload_header("n", "r", UPLOAD), requests.upload_data(b"p")],
    "QueryAuditLogRequest": [
        audit.query_audit_log(
            {
                "audit_class": audit.AuditClass.ACCESS,
                "not_before": datetime(2026, 1, 2, 0, 0, 0, 7, tzinfo=UTC),
                "before": datetime(2026, 1, 3, 0, 0, 0, 7, tzinfo=UTC),
                "actor_id": "ana",
                "action": "a",
                "object_kind": "document",
                "object_id": "d",
                "result": "OK",
                "request_id": "r",
            },
            7,
            "t",
        )
    ],
    "VerifyAuditLogRequest": [audit.verify_audit_log(audit.AuditClass.ACCESS, 3)],
    "ExportAuditLogRequest": [
        audit.export_audit_log(
            audit.AuditClass.ACCESS,
            datetime(2026, 1, 2, 0, 0, 0, 7, tzinfo=UTC),
            datetime(2026, 1, 3, 0, 0, 0, 7, tzinfo=UTC),
        )
    ],
    "GetPolicyRequest": [privacy.get_policy()],
    "SetPolicyRequest": [privacy.set_policy({results.PiiKind.PHONE: privacy.PrivacyAction.BLOCK})],
    "ScanTextRequest": [privacy.scan_text("t")],
    "GetQuotaRequest": [quotas.get_quota("t")],
    "SetQuotaRequest": [quotas.set_quota(quotas.QuotaLimits(1, 2, 3, 4, 5), "t")],
    "ListQuotasRequest": [quotas.list_quotas(5, "p")],
    "ListDataKeysRequest": [encryption.list_data_keys("t", 1, "p")],
    "RotateDataKeyRequest": [encryption.rotate_data_key("t")],
    "RotateMasterKeyRequest": [encryption.rotate_master_key()],
    "DeleteTenantRequest": [encryption.delete_tenant("t")],
    "WatchJobRequest": [requests.watch_job("j")],
    "ChangePasswordRequest": [auth.password_change("old", "new")],
    "CreateApiKeyRequest": [auth.new_key("n", ("search",), ("g",), timedelta(days=1, microseconds=1), True, "t")],
    "CreateUserRequest": [auth.new_user("u", "p", auth.Role.USER, ("g",), "t")],
    "ListApiKeysRequest": [auth.list_keys(5, "t")],
    "ListUsersRequest": [auth.list_users(5, "t")],
    "LoginRequest": [auth.login_request(credentials.Login("u", "p", "t"))],
    "LogoutRequest": [auth_service_pb2.LogoutRequest()],
    "RefreshRequest": [auth.refresh_request("r")],
    "RevokeApiKeyRequest": [auth.key_revocation("k")],
    "RevokeRequest": [
        auth.user_revocation("u"),
        auth.session_revocation("s"),
        auth.revoked_token("i", "j", MOMENT),
    ],
    "UpdateUserRequest": [auth.user_change("u", auth.Role.USER, ("g",), True, "p")],
    "WhoAmIRequest": [auth_service_pb2.WhoAmIRequest()],
}


@pytest.mark.parametrize("descriptor", [m.input_type for m in METHODS], ids=lambda d: d.name)
def test_every_field_of_every_request_can_be_set(descriptor: Descriptor) -> None:
    set_paths = {path for request in REQUESTS[descriptor.name] for path, _ in without_each(request)}
    all_paths = {path for message in variants(descriptor) for path, _ in without_each(message)}
    assert all_paths - set_paths == set()


def test_conditions_are_joined_as_they_read() -> None:
    a, b, c = where.tags("a"), where.documents("b"), where.pages(first=3)
    assert a & b & ~c == where.all_of(a, b, where.not_(c))
    assert a | b | c == where.any_of(a, b, c)
    assert a & (b | c) == where.all_of(a, where.any_of(b, c))
    request = requests.search("q", options.SearchOptions(filter=a & (b | c)))
    either = request.filter.condition.all_of.conditions[1].any_of.conditions
    assert [each.WhichOneof("condition") for each in either] == ["documents", "pages"]
    assert (either[1].pages.first, either[1].pages.last) == (3, 0)


def test_a_time_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        where.created(before=datetime(2026, 1, 2))  # noqa: DTZ001 - that is the point
    tokyo = datetime(2026, 1, 2, 9, tzinfo=timezone(timedelta(hours=9)))
    request = requests.search("q", options.SearchOptions(filter=where.created(before=tokyo)))
    created = request.filter.condition.created
    assert created.before.ToDatetime(tzinfo=UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert not created.HasField("not_before")


def test_a_snippet_comes_in_pieces() -> None:
    text = "The ferry leaves, the Ferry stays."
    snippet = results.Snippet(results.TextSpan(4, 33), (results.TextSpan(4, 9), results.TextSpan(22, 27)))
    assert list(snippet.pieces(text)) == [("ferry", True), (" leaves, the ", False), ("Ferry", True), (" stays", False)]


def test_what_is_not_asked_for_is_left_to_the_server() -> None:
    assert requests.build_generation(None) == index_service_pb2.BuildGenerationRequest()
    assert requests.search("q", {}) == search_service_pb2.SearchRequest(query="q")
    assert requests.answer("q", {}) == answer_service_pb2.AnswerRequest(question="q")
    assert requests.generate("p", {}) == inference_service_pb2.GenerateRequest(prompt="p")
    everything = requests.list_documents(results.DocumentState.UNSPECIFIED, (), 0, "")
    assert everything == document_service_pb2.ListDocumentsRequest()


def test_confidence_is_the_geometric_mean_of_the_probabilities() -> None:
    wire = inference_service_pb2.GenerateCompletion(mean_log_probability=math.log(0.25))
    end = mapping.generate_event(inference_service_pb2.GenerateResponse(completion=wire))
    assert isinstance(end, results.GenerateCompletion)
    assert end.confidence == pytest.approx(0.25)
    wire.ClearField("mean_log_probability")
    silent = mapping.generate_event(inference_service_pb2.GenerateResponse(completion=wire))
    assert isinstance(silent, results.GenerateCompletion)
    assert silent.confidence is None


def test_two_constraints_are_refused_rather_than_one_dropped() -> None:
    with pytest.raises(ValueError, match="exclude"):
        requests.generate("p", options.GenerateOptions(grammar="g", json_schema="{}"))
