# ruff: noqa: N802 - methods are named by the contract
"""AuthService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import auth_service_pb2 as wire
from pinakes.v1 import auth_service_pb2_grpc
from server.application.look_after_keys import LookAfterKeys
from server.application.look_after_users import LookAfterUsers
from server.application.sign_in import SignIn
from server.domain.identities import Tokens
from server.domain.principals import Principal
from server.transport import auth_mapping as mapping
from server.transport.auditing import note
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity, current_caller

LONGEST_HASHING_S = 30.0

Context = ServicerContext[Any, Any]


class AuthServicer(auth_service_pb2_grpc.AuthServiceServicer):
    def __init__(self, identity: Identity, sign_in: SignIn, users: LookAfterUsers, keys: LookAfterKeys) -> None:
        self._identity = identity
        self._sign_in = sign_in
        self._users = users
        self._keys = keys

    async def Login(self, request: wire.LoginRequest, context: Context) -> wire.LoginResponse:
        deadline = deadline_of(context, LONGEST_HASHING_S)
        tokens = await self._sign_in.login(request.tenant, request.user, request.password, deadline)
        _note_user(tokens)
        return wire.LoginResponse(tokens=mapping.tokens_to_wire(tokens))

    async def Refresh(self, request: wire.RefreshRequest, context: Context) -> wire.RefreshResponse:
        tokens = await self._sign_in.refresh(request.refresh_token)
        _note_user(tokens)
        return wire.RefreshResponse(tokens=mapping.tokens_to_wire(tokens))

    async def Logout(self, request: wire.LogoutRequest, context: Context) -> wire.LogoutResponse:
        await self._sign_in.logout(current_caller())
        return wire.LogoutResponse()

    async def ChangePassword(
        self, request: wire.ChangePasswordRequest, context: Context
    ) -> wire.ChangePasswordResponse:
        deadline = deadline_of(context, LONGEST_HASHING_S)
        await self._sign_in.change_password(current_caller(), request.old_password, request.new_password, deadline)
        return wire.ChangePasswordResponse()

    async def Revoke(self, request: wire.RevokeRequest, context: Context) -> wire.RevokeResponse:
        await self._sign_in.revoke(self._identity.principal(context), mapping.revocation(request))
        return wire.RevokeResponse()

    async def WhoAmI(self, request: wire.WhoAmIRequest, context: Context) -> wire.WhoAmIResponse:
        return mapping.caller_to_wire(current_caller())

    async def CreateUser(self, request: wire.CreateUserRequest, context: Context) -> wire.CreateUserResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_HASHING_S)
        user = await self._users.create(principal, mapping.new_user(request), deadline)
        return wire.CreateUserResponse(user=mapping.user_to_wire(user))

    async def ListUsers(self, request: wire.ListUsersRequest, context: Context) -> wire.ListUsersResponse:
        principal = self._identity.principal(context)
        return mapping.users_response(await self._users.page(principal, request.page_size, request.page_token))

    async def UpdateUser(self, request: wire.UpdateUserRequest, context: Context) -> wire.UpdateUserResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_HASHING_S)
        user = await self._users.change(principal, mapping.user_change(request), deadline)
        return wire.UpdateUserResponse(user=mapping.user_to_wire(user))

    async def CreateApiKey(self, request: wire.CreateApiKeyRequest, context: Context) -> wire.CreateApiKeyResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_HASHING_S)
        key, secret = await self._keys.create(principal, mapping.new_key(request), deadline)
        return wire.CreateApiKeyResponse(key=mapping.key_to_wire(key), secret=secret)

    async def ListApiKeys(self, request: wire.ListApiKeysRequest, context: Context) -> wire.ListApiKeysResponse:
        principal = self._identity.principal(context)
        return mapping.keys_response(await self._keys.page(principal, request.page_size, request.page_token))

    async def RevokeApiKey(self, request: wire.RevokeApiKeyRequest, context: Context) -> wire.RevokeApiKeyResponse:
        key = await self._keys.revoke(self._identity.principal(context), request.key_id)
        return wire.RevokeApiKeyResponse(key=mapping.key_to_wire(key))


def _note_user(tokens: Tokens) -> None:
    """Who calls was nobody before."""
    user = tokens.user
    note(Principal(user.tenant, user.name, frozenset(user.groups), user.role), detail=f"session={tokens.session_id}")
