"""Users, keys and tokens between the wire and the domain."""

from __future__ import annotations

from pinakes.v1 import auth_service_pb2 as wire
from server.application.identity_ports import KeyPage, UserPage
from server.application.look_after_keys import NewKey
from server.application.look_after_users import ChangeUser, NewUser
from server.application.sign_in import Revocation
from server.domain.callers import Caller, CredentialKind
from server.domain.identities import ApiKey, Tokens, User
from server.domain.permissions import Role
from server.transport.mapping import time_from_wire, timestamp_to_wire

_ROLES = {
    Role.VIEWER: wire.ROLE_VIEWER,
    Role.USER: wire.ROLE_USER,
    Role.POWER_USER: wire.ROLE_POWER_USER,
    Role.ADMIN: wire.ROLE_ADMIN,
    Role.SERVICE: wire.ROLE_SERVICE,
}
_ROLE_OF = {number: role for role, number in _ROLES.items()}
_KINDS = {
    CredentialKind.NONE: wire.CREDENTIAL_KIND_UNSPECIFIED,
    CredentialKind.API_KEY: wire.CREDENTIAL_KIND_API_KEY,
    CredentialKind.ACCESS_TOKEN: wire.CREDENTIAL_KIND_ACCESS_TOKEN,
    CredentialKind.ISSUED_ELSEWHERE: wire.CREDENTIAL_KIND_ISSUED_ELSEWHERE,
    CredentialKind.CERTIFICATE: wire.CREDENTIAL_KIND_CERTIFICATE,
    CredentialKind.DEVELOPMENT: wire.CREDENTIAL_KIND_DEVELOPMENT,
}


def tokens_to_wire(tokens: Tokens) -> wire.Tokens:
    return wire.Tokens(
        access_token=tokens.access_token,
        access_expire_time=timestamp_to_wire(tokens.access_expire_time),
        refresh_token=tokens.refresh_token,
        refresh_expire_time=timestamp_to_wire(tokens.refresh_expire_time),
    )


def user_to_wire(user: User) -> wire.User:
    return wire.User(
        user=user.name,
        role=_ROLES[user.role],
        groups=user.groups,
        disabled=user.disabled,
        create_time=timestamp_to_wire(user.create_time),
        update_time=timestamp_to_wire(user.update_time),
    )


def users_response(page: UserPage) -> wire.ListUsersResponse:
    return wire.ListUsersResponse(users=map(user_to_wire, page.users), next_page_token=page.next_page_token)


def key_to_wire(key: ApiKey) -> wire.ApiKey:
    return wire.ApiKey(
        key_id=key.key_id,
        name=key.name,
        user=key.user,
        groups=key.groups,
        scopes=key.scopes,
        creator=key.creator,
        create_time=timestamp_to_wire(key.create_time),
        expire_time=None if key.expire_time is None else timestamp_to_wire(key.expire_time),
        revoke_time=None if key.revoke_time is None else timestamp_to_wire(key.revoke_time),
        last_use_time=None if key.last_use_time is None else timestamp_to_wire(key.last_use_time),
    )


def keys_response(page: KeyPage) -> wire.ListApiKeysResponse:
    return wire.ListApiKeysResponse(keys=map(key_to_wire, page.keys), next_page_token=page.next_page_token)


def caller_to_wire(caller: Caller) -> wire.WhoAmIResponse:
    principal = caller.principal
    return wire.WhoAmIResponse(
        tenant=principal.tenant,
        user=principal.user,
        groups=sorted(principal.groups),
        role=_ROLES[principal.role],
        permissions=sorted(principal.permissions),
        credential_kind=_KINDS[caller.kind],
        credential_id=caller.credential_id,
    )


def new_user(request: wire.CreateUserRequest) -> NewUser:
    return NewUser(
        name=request.user,
        password=request.password,
        role=_ROLE_OF.get(request.role),
        groups=tuple(request.groups),
        tenant=request.tenant,
    )


def user_change(request: wire.UpdateUserRequest) -> ChangeUser:
    # A role that this version does not know is refused, not taken for none.
    role = _ROLE_OF.get(request.role, Role.SERVICE) if request.role else None
    return ChangeUser(
        name=request.user,
        role=role,
        groups=tuple(request.groups.groups) if request.HasField("groups") else None,
        disabled=request.disabled if request.HasField("disabled") else None,
        password=request.password,
    )


def new_key(request: wire.CreateApiKeyRequest) -> NewKey:
    return NewKey(
        name=request.name,
        scopes=tuple(request.scopes),
        groups=tuple(request.groups),
        lifetime_s=request.lifetime.ToNanoseconds() / 1e9 if request.HasField("lifetime") else None,
        as_caller=request.as_caller,
        tenant=request.tenant,
    )


def revocation(request: wire.RevokeRequest) -> Revocation:
    """Raises InvalidField."""
    token = request.token
    ends = token.HasField("expire_time")
    return Revocation(
        user=request.user,
        session_id=request.session_id,
        issuer=token.issuer,
        token_id=token.token_id,
        expire_time=time_from_wire("token.expire_time", token.expire_time) if ends else None,
    )
