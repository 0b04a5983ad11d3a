"""What is recorded of a call: its class, and what it acts on. Beside `permissions.py`, which says who may make it.

A method without a row is recorded as one that changes something, so that nothing is forgotten; a test finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.domain.audit import AuditClass


@dataclass(frozen=True, slots=True)
class AuditedCall:
    """`named` are paths in the request, the first that says something being the object's id; `made` is one in the
    response, for objects that the call makes. `told` are paths in the request whose values are no contents: states,
    roles, names of groups. `begins`: recorded before it runs, since it changes something, or hands it out."""

    audit_class: AuditClass
    object_kind: str = ""
    named: tuple[str, ...] = ()
    made: str = ""
    told: tuple[str, ...] = ()
    begins: bool = False


def _change(kind: str = "", *named: str, made: str = "", told: tuple[str, ...] = ()) -> AuditedCall:
    return AuditedCall(AuditClass.AUDIT, kind, named, made, told, begins=True)


def _entry(kind: str = "", *named: str, made: str = "", told: tuple[str, ...] = ()) -> AuditedCall:
    """Of who comes in, or looks at what only few may see; nothing that others see is changed."""
    return AuditedCall(AuditClass.AUDIT, kind, named, made, told)


def _shown(kind: str = "", *named: str, made: str = "", told: tuple[str, ...] = ()) -> AuditedCall:
    return AuditedCall(AuditClass.ACCESS, kind, named, made, told)


def _use(kind: str = "", *named: str) -> AuditedCall:
    return AuditedCall(AuditClass.APPLICATION, kind, named)


UNKNOWN = _change()

AUDITED: Mapping[str, AuditedCall] = {
    "pinakes.v1.DocumentService/UploadDocument": _change("document", made="document.document_id"),
    "pinakes.v1.DocumentService/GetDocument": _shown("document", "document_id"),
    "pinakes.v1.DocumentService/ListDocuments": _shown(),
    "pinakes.v1.DocumentService/DeleteDocument": _change("document", "document_id"),
    "pinakes.v1.DocumentService/SetDocumentAcl": _change(
        "document", "document_id", told=("acl.tenant_wide", "acl.users", "acl.groups")
    ),
    "pinakes.v1.DocumentService/WatchJob": _use("job", "job_id"),
    "pinakes.v1.DocumentService/CancelJob": _change("job", "job_id"),
    "pinakes.v1.DocumentService/ReindexDocument": _change("document", "document_id", told=("first_stage",)),
    "pinakes.v1.DocumentService/ListDeadLetters": _shown(),
    "pinakes.v1.DocumentService/ReplayDeadLetter": _change("job", "job_id"),
    "pinakes.v1.DocumentService/DiscardDeadLetter": _change("job", "job_id"),
    "pinakes.v1.DocumentService/GetPageImage": _shown("document", "document_id", told=("page",)),
    "pinakes.v1.DocumentService/GetThumbnail": _shown("document", "document_id"),
    "pinakes.v1.SearchService/Search": _shown(),
    "pinakes.v1.SearchService/ListRetrievalProfiles": _use(),
    "pinakes.v1.AnswerService/Answer": _shown("answer", made="answer_id"),
    "pinakes.v1.AnswerService/ResumeAnswer": _shown("answer", "answer_id"),
    "pinakes.v1.AnswerService/GetAnswer": _shown("answer", "answer_id"),
    "pinakes.v1.AnswerService/CancelAnswer": _change("answer", "answer_id"),
    "pinakes.v1.ConversationService/CreateConversation": _change("conversation", made="conversation.conversation_id"),
    "pinakes.v1.ConversationService/GetConversation": _shown("conversation", "conversation_id"),
    "pinakes.v1.ConversationService/ListConversations": _shown(),
    "pinakes.v1.ConversationService/UpdateConversation": _change("conversation", "conversation_id"),
    "pinakes.v1.ConversationService/DeleteConversation": _change("conversation", "conversation_id"),
    "pinakes.v1.ConversationService/ListTurns": _shown("conversation", "conversation_id"),
    "pinakes.v1.EventService/Subscribe": _shown(),
    "pinakes.v1.IndexService/GetIndex": _use(),
    "pinakes.v1.IndexService/BuildGeneration": _change("generation", made="generation.name"),
    "pinakes.v1.IndexService/CompareGenerations": _use("generation", "name"),
    "pinakes.v1.IndexService/ActivateGeneration": _change("generation", "name"),
    "pinakes.v1.IndexService/DeleteGeneration": _change("generation", "name"),
    "pinakes.v1.IndexService/CreateSnapshot": _change("snapshot", "name"),
    "pinakes.v1.InferenceService/Embed": _use(),
    "pinakes.v1.InferenceService/Rerank": _use(),
    "pinakes.v1.InferenceService/RecognizeText": _use(),
    "pinakes.v1.InferenceService/Generate": _use(),
    "pinakes.v1.ModelService/ListModels": _use(),
    "pinakes.v1.ModelService/DescribeModel": _use("model", "name"),
    "pinakes.v1.ModelService/LoadModel": _change("model", "name"),
    "pinakes.v1.ModelService/UnloadModel": _change("model", "name", told=("force",)),
    "pinakes.v1.ModelService/WarmModel": _use("model", "name"),
    "pinakes.v1.ModelService/GetAliases": _use(),
    "pinakes.v1.ModelService/SetAlias": _change("alias", "alias", told=("models",)),
    # Whoever signs in is nobody before, and could fill the log with beginnings.
    "pinakes.v1.AuthService/Login": _entry("user", "user"),
    "pinakes.v1.AuthService/Refresh": _entry(),
    "pinakes.v1.AuthService/Logout": _change(),
    "pinakes.v1.AuthService/ChangePassword": _change(),
    "pinakes.v1.AuthService/Revoke": _change("credential", "user", "session_id", "token.token_id"),
    "pinakes.v1.AuthService/WhoAmI": _use(),
    "pinakes.v1.AuthService/CreateUser": _change("user", "user", told=("role", "groups", "tenant")),
    "pinakes.v1.AuthService/ListUsers": _entry(),
    "pinakes.v1.AuthService/UpdateUser": _change("user", "user", told=("role", "disabled", "groups.groups")),
    "pinakes.v1.AuthService/CreateApiKey": _change(
        "api_key", made="key.key_id", told=("scopes", "groups", "as_caller", "tenant")
    ),
    "pinakes.v1.AuthService/ListApiKeys": _entry(),
    "pinakes.v1.AuthService/RevokeApiKey": _change("api_key", "key_id"),
    "pinakes.v1.AuditService/QueryAuditLog": _entry(told=("audit_class",)),
    "pinakes.v1.AuditService/VerifyAuditLog": _entry(told=("audit_class", "first_sequence")),
    "pinakes.v1.AuditService/ExportAuditLog": _change(told=("audit_class",)),
    "pinakes.v1.EncryptionService/ListDataKeys": _entry("tenant", "tenant"),
    "pinakes.v1.EncryptionService/RotateDataKey": _change("tenant", "tenant"),
    "pinakes.v1.EncryptionService/RotateMasterKey": _change("master_key", made="master_key_id"),
    "pinakes.v1.QuotaService/GetQuota": _use("tenant", "tenant"),
    "pinakes.v1.QuotaService/SetQuota": _change(
        "tenant",
        "tenant",
        told=(
            "limits.documents",
            "limits.bytes",
            "limits.requests_per_minute",
            "limits.tokens_per_day",
            "limits.tokens_per_month",
        ),
    ),
    "pinakes.v1.QuotaService/ListQuotas": _use(),
    "pinakes.v1.TenantService/DeleteTenant": _change("tenant", "tenant"),
    "pinakes.v1.PrivacyService/GetPolicy": _entry(),
    "pinakes.v1.PrivacyService/SetPolicy": _change(),
    "pinakes.v1.PrivacyService/ScanText": _use(),
    "grpc.health.v1.Health/List": _use(),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _use(),
}
"""Of every method that the interceptor sees, without the leading slash."""
