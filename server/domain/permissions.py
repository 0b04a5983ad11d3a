"""Who may call what: the one table of roles, scopes and methods.

A caller has permissions: those of its role, or the scopes of its service key. A method needs one permission, or is
open. What concerns the whole installation (models, the index, tenants) is granted to callers of the operator's tenant
alone: the administrator of another tenant administers that tenant.

A method without a row is refused, and a test finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Permission(StrEnum):
    """What a caller may do; also the scopes of a service key. In which documents it may do it is the documents' access
    lists' matter."""

    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    DOCUMENTS_SHARE = "documents:share"
    SEARCH = "search"
    ANSWERS_ASK = "answers:ask"
    EVENTS_READ = "events:read"
    INFERENCE_USE = "inference:use"
    MODELS_READ = "models:read"
    MODELS_MANAGE = "models:manage"
    INDEX_READ = "index:read"
    INDEX_MANAGE = "index:manage"
    USERS_MANAGE = "users:manage"
    KEYS_MANAGE = "keys:manage"
    AUDIT_READ = "audit:read"
    QUOTAS_READ = "quotas:read"
    QUOTAS_MANAGE = "quotas:manage"
    PRIVACY_MANAGE = "privacy:manage"
    TENANTS_MANAGE = "tenants:manage"
    KEYS_ROTATE = "keys:rotate"


class Role(StrEnum):
    """Of a user. A service has none of the four: its key's scopes are its permissions."""

    ADMIN = "admin"
    POWER_USER = "power_user"
    USER = "user"
    VIEWER = "viewer"
    SERVICE = "service"


class Access(StrEnum):
    """What a method asks for where it is no permission."""

    PUBLIC = "public"
    """Nothing: the caller may be anybody."""
    SIGNED_IN = "signed_in"
    """Any valid credential."""


_VIEWER = frozenset({Permission.DOCUMENTS_READ, Permission.SEARCH, Permission.EVENTS_READ, Permission.MODELS_READ})
_USER = _VIEWER | {Permission.ANSWERS_ASK, Permission.DOCUMENTS_WRITE, Permission.DOCUMENTS_SHARE}
_POWER_USER = _USER | {Permission.INFERENCE_USE, Permission.INDEX_READ, Permission.QUOTAS_READ}

ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.POWER_USER: _POWER_USER,
    Role.USER: _USER,
    Role.VIEWER: _VIEWER,
    Role.SERVICE: frozenset(),
}

INSTALLATION_WIDE: frozenset[Permission] = frozenset(
    {
        Permission.MODELS_MANAGE,
        Permission.INDEX_READ,
        Permission.INDEX_MANAGE,
        Permission.QUOTAS_MANAGE,
        Permission.TENANTS_MANAGE,
        Permission.KEYS_ROTATE,
    }
)
"""Granted in the operator's tenant alone: they touch, or show, what belongs to all tenants."""

METHODS: Mapping[str, Permission | Access] = {
    "pinakes.v1.DocumentService/UploadDocument": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/GetDocument": Permission.DOCUMENTS_READ,
    "pinakes.v1.DocumentService/ListDocuments": Permission.DOCUMENTS_READ,
    "pinakes.v1.DocumentService/DeleteDocument": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/SetDocumentAcl": Permission.DOCUMENTS_SHARE,
    "pinakes.v1.DocumentService/WatchJob": Permission.DOCUMENTS_READ,
    "pinakes.v1.DocumentService/CancelJob": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/ReindexDocument": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/ListDeadLetters": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/ReplayDeadLetter": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/DiscardDeadLetter": Permission.DOCUMENTS_WRITE,
    "pinakes.v1.DocumentService/GetPageImage": Permission.DOCUMENTS_READ,
    "pinakes.v1.DocumentService/GetThumbnail": Permission.DOCUMENTS_READ,
    "pinakes.v1.QuotaService/GetQuota": Permission.QUOTAS_READ,
    "pinakes.v1.QuotaService/SetQuota": Permission.QUOTAS_MANAGE,
    "pinakes.v1.QuotaService/ListQuotas": Permission.QUOTAS_MANAGE,
    "pinakes.v1.SearchService/Search": Permission.SEARCH,
    "pinakes.v1.SearchService/ListRetrievalProfiles": Permission.SEARCH,
    "pinakes.v1.AnswerService/Answer": Permission.ANSWERS_ASK,
    "pinakes.v1.AnswerService/ResumeAnswer": Permission.ANSWERS_ASK,
    "pinakes.v1.AnswerService/GetAnswer": Permission.ANSWERS_ASK,
    "pinakes.v1.AnswerService/CancelAnswer": Permission.ANSWERS_ASK,
    "pinakes.v1.ConversationService/CreateConversation": Permission.ANSWERS_ASK,
    "pinakes.v1.ConversationService/GetConversation": Permission.ANSWERS_ASK,
    "pinakes.v1.ConversationService/ListConversations": Permission.ANSWERS_ASK,
    "pinakes.v1.ConversationService/UpdateConversation": Permission.ANSWERS_ASK,
    "pinakes.v1.ConversationService/DeleteConversation": Permission.ANSWERS_ASK,
    "pinakes.v1.ConversationService/ListTurns": Permission.ANSWERS_ASK,
    "pinakes.v1.PrivacyService/GetPolicy": Permission.PRIVACY_MANAGE,
    "pinakes.v1.PrivacyService/SetPolicy": Permission.PRIVACY_MANAGE,
    "pinakes.v1.PrivacyService/ScanText": Permission.PRIVACY_MANAGE,
    "pinakes.v1.EventService/Subscribe": Permission.EVENTS_READ,
    "pinakes.v1.IndexService/GetIndex": Permission.INDEX_READ,
    "pinakes.v1.IndexService/BuildGeneration": Permission.INDEX_MANAGE,
    "pinakes.v1.IndexService/CompareGenerations": Permission.INDEX_MANAGE,
    "pinakes.v1.IndexService/ActivateGeneration": Permission.INDEX_MANAGE,
    "pinakes.v1.IndexService/DeleteGeneration": Permission.INDEX_MANAGE,
    "pinakes.v1.IndexService/CreateSnapshot": Permission.INDEX_MANAGE,
    "pinakes.v1.InferenceService/Embed": Permission.INFERENCE_USE,
    "pinakes.v1.InferenceService/Rerank": Permission.INFERENCE_USE,
    "pinakes.v1.InferenceService/RecognizeText": Permission.INFERENCE_USE,
    "pinakes.v1.InferenceService/Generate": Permission.INFERENCE_USE,
    "pinakes.v1.ModelService/ListModels": Permission.MODELS_READ,
    "pinakes.v1.ModelService/DescribeModel": Permission.MODELS_READ,
    "pinakes.v1.ModelService/LoadModel": Permission.MODELS_MANAGE,
    "pinakes.v1.ModelService/UnloadModel": Permission.MODELS_MANAGE,
    "pinakes.v1.ModelService/WarmModel": Permission.MODELS_MANAGE,
    "pinakes.v1.ModelService/GetAliases": Permission.MODELS_READ,
    "pinakes.v1.ModelService/SetAlias": Permission.MODELS_MANAGE,
    # Who calls them has nothing yet; what they are given is all that is looked at.
    "pinakes.v1.AuthService/Login": Access.PUBLIC,
    "pinakes.v1.AuthService/Refresh": Access.PUBLIC,
    # They concern the caller alone.
    "pinakes.v1.AuthService/Logout": Access.SIGNED_IN,
    "pinakes.v1.AuthService/ChangePassword": Access.SIGNED_IN,
    "pinakes.v1.AuthService/WhoAmI": Access.SIGNED_IN,
    "pinakes.v1.AuthService/Revoke": Permission.USERS_MANAGE,
    "pinakes.v1.AuthService/CreateUser": Permission.USERS_MANAGE,
    "pinakes.v1.AuthService/ListUsers": Permission.USERS_MANAGE,
    "pinakes.v1.AuthService/UpdateUser": Permission.USERS_MANAGE,
    "pinakes.v1.AuthService/CreateApiKey": Permission.KEYS_MANAGE,
    "pinakes.v1.AuthService/ListApiKeys": Permission.KEYS_MANAGE,
    "pinakes.v1.AuthService/RevokeApiKey": Permission.KEYS_MANAGE,
    "pinakes.v1.AuditService/QueryAuditLog": Permission.AUDIT_READ,
    "pinakes.v1.AuditService/VerifyAuditLog": Permission.AUDIT_READ,
    "pinakes.v1.AuditService/ExportAuditLog": Permission.AUDIT_READ,
    "pinakes.v1.EncryptionService/ListDataKeys": Permission.KEYS_ROTATE,
    "pinakes.v1.EncryptionService/RotateDataKey": Permission.KEYS_ROTATE,
    "pinakes.v1.EncryptionService/RotateMasterKey": Permission.KEYS_ROTATE,
    "pinakes.v1.TenantService/DeleteTenant": Permission.TENANTS_MANAGE,
    # Probes and load balancers hold no credentials, and learn only whether something serves.
    "grpc.health.v1.Health/Check": Access.PUBLIC,
    "grpc.health.v1.Health/Watch": Access.PUBLIC,
    # It names the slots and generators, which Check and Watch tell only to who knows their names.
    "grpc.health.v1.Health/List": Access.SIGNED_IN,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Access.SIGNED_IN,
}
"""Of every method that the server has, without the leading slash."""


def permissions_of(role: Role, scopes: Iterable[Permission] = (), *, operator: bool) -> frozenset[Permission]:
    """What a caller may do: what its role may, or, of a service, its scopes; what concerns the installation only as
    the `operator`, in whose tenant it is."""
    granted = frozenset(scopes) if role is Role.SERVICE else ROLES[role]
    return granted if operator else granted - INSTALLATION_WIDE
