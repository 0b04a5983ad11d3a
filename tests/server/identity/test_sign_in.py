"""Signing in, refreshing, revoking, on one server and on two."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
import structlog

from pinakes.v1 import auth_service_pb2 as wire
from pinakes.v1 import event_service_pb2
from server.adapters.argon2_hashes import Argon2Hashes
from server.adapters.postgres.api_keys import PostgresApiKeys, PostgresRefusedTokens
from server.adapters.postgres.identity_changes import ChangeOptions, PostgresIdentityChanges
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.users import PostgresLoginCounter, PostgresSessions, PostgresUsers
from server.application.identify_callers import IdentifyCallers, IdentifyOptions
from server.application.identity_rules import GrantRules
from server.application.identity_states import IdentityStates, StateOptions
from server.application.sign_in import SignIn, SignInOptions
from server.domain.credentials import Credentials
from server.domain.deadline import Deadline
from server.domain.errors import LoginRefused, Overloaded, Unauthenticated
from server.domain.identities import IssuedToken, User, UserChange
from server.domain.permissions import Permission, Role
from tests.server.identity.conftest import CHEAP, PASSWORD, Begin, Replica
from tests.server.identity.test_access import make_key, make_user, signed_in

README = Path(__file__).parents[3] / "README.md"
LISTEN_ENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pinakes identity'"


class NoTokens:
    """Accepts none."""

    keys_version = 0

    async def verify(self, token: str) -> IssuedToken:
        raise Unauthenticated("no tokens here")


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value


def reason(error: grpc.aio.AioRpcError) -> str:
    return str(error.trailing_metadata())


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no test
            await asyncio.sleep(0.01)


async def known(replica: Replica, bearer: str) -> bool:
    try:
        await replica.call("AuthService/WhoAmI", wire.WhoAmIRequest(), bearer)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        return False
    return True


async def test_who_signs_in_is_who_the_server_says(replica: Replica) -> None:
    request = wire.CreateUserRequest(user="ana", password=PASSWORD, role=wire.ROLE_USER, groups=["sales", "quality"])
    await replica.call("AuthService/CreateUser", request, replica.admin)
    tokens = await signed_in(replica, "ana", "")
    told: wire.WhoAmIResponse = await replica.call("AuthService/WhoAmI", wire.WhoAmIRequest(), tokens.access_token)
    assert (told.tenant, told.user, list(told.groups)) == ("default", "ana", ["quality", "sales"])
    assert told.role == wire.ROLE_USER and told.credential_kind == wire.CREDENTIAL_KIND_ACCESS_TOKEN
    assert "users:manage" not in told.permissions
    lifetime = tokens.access_expire_time.seconds, tokens.refresh_expire_time.seconds
    assert lifetime[1] - lifetime[0] == 7 * 86_400 - 900


async def test_an_unknown_user_and_a_wrong_password_are_told_the_same(replica: Replica) -> None:
    await make_user(replica, "ana", Role.USER)
    await make_user(replica, "ben", Role.USER)
    await replica.call("AuthService/UpdateUser", wire.UpdateUserRequest(user="ben", disabled=True), replica.admin)
    told = set()
    for tenant, user, password in (
        ("", "ana", "a wrong password"),
        ("", "nobody", PASSWORD),
        ("rival", "ana", PASSWORD),
        ("", "ben", PASSWORD),
    ):
        request = wire.LoginRequest(tenant=tenant, user=user, password=password)
        error = await refused(replica.call("AuthService/Login", request))
        told.add((error.code(), error.details(), reason(error)))
    assert len(told) == 1
    assert told.pop()[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("user", ["ana", "nobody"])
async def test_failures_under_a_name_make_the_next_login_wait(replica: Replica, user: str) -> None:
    await make_user(replica, "ana", Role.USER)
    wrong = wire.LoginRequest(user=user, password="a wrong password")
    errors = await asyncio.gather(*(refused(replica.call("AuthService/Login", wrong)) for _ in range(12)))
    codes = [error.code() for error in errors]
    # However many come at once, five are looked at.
    assert codes.count(grpc.StatusCode.UNAUTHENTICATED) == 5
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 7
    right = wire.LoginRequest(user=user, password=PASSWORD)
    error = await refused(replica.call("AuthService/Login", right))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "TOO_MANY_LOGINS" in reason(error)


class Issuer:
    """Of tokens that nobody looks at."""

    def issue(self, user_id: str, session_id: str, expire_time: datetime) -> str:
        return session_id


def signing_in(pool: PostgresPool, dsn: str, hasher: Argon2Hashes, users: PostgresUsers | None = None) -> SignIn:
    return SignIn(
        users or PostgresUsers(pool),
        PostgresSessions(pool),
        PostgresRefusedTokens(pool),
        PostgresLoginCounter(pool),
        hasher,
        Issuer(),
        IdentityStates(PostgresIdentityChanges(dsn), StateOptions()),
        GrantRules("default"),
        SignInOptions(),
    )


async def rows_of(pool: PostgresPool, table: str) -> int:
    async with pool.spanning() as connection:
        return len(await (await connection.execute(f"SELECT 1 FROM {table}".encode())).fetchall())


async def test_no_more_attempts_are_kept_than_there_are_hashes(pool: PostgresPool, migrated_dsn: str) -> None:
    hasher = Argon2Hashes(replace(CHEAP, waiting=0))
    sign_in = signing_in(pool, migrated_dsn, hasher)
    with hasher.place(), pytest.raises(Overloaded):
        await sign_in.login("", "nobody", PASSWORD, Deadline.after(60))
    assert await rows_of(pool, "login_attempts") == 0
    with pytest.raises(LoginRefused):
        await sign_in.login("", "nobody", PASSWORD, Deadline.after(60))
    assert await rows_of(pool, "login_attempts") == 1
    hasher.close()


async def test_a_caller_who_leaves_has_caused_a_hash_like_others(pool: PostgresPool, migrated_dsn: str) -> None:
    hashes = 0

    class Counting(Argon2Hashes):
        async def matches_nothing(self, secret: str, deadline: Deadline) -> None:
            nonlocal hashes
            await super().matches_nothing(secret, deadline)
            hashes += 1

    class Left(PostgresUsers):
        async def find(self, tenant: str, name: str) -> tuple[User, str] | None:
            login.cancel()
            await asyncio.sleep(0)
            return await super().find(tenant, name)

    hasher = Counting(CHEAP)
    sign_in = signing_in(pool, migrated_dsn, hasher, Left(pool))
    login = asyncio.create_task(sign_in.login("", "nobody", PASSWORD, Deadline.after(60)))
    with pytest.raises(asyncio.CancelledError):
        await login
    await eventually(lambda: hashes == 1)
    assert await rows_of(pool, "login_attempts") == 1
    hasher.close()


async def test_a_password_that_is_changed_while_it_is_proven_begins_no_session(
    pool: PostgresPool, migrated_dsn: str
) -> None:
    users = PostgresUsers(pool)

    class Slow(Argon2Hashes):
        changes = True

        async def matches(self, hashed: str, secret: str, deadline: Deadline) -> bool:
            matched = await super().matches(hashed, secret, deadline)
            if self.changes:
                await users.change("default", "ana", UserChange(password_hash=await self.hash("another", deadline)))
            return matched

    hasher, deadline, now = Slow(CHEAP), Deadline.after(60), datetime.now(UTC)
    ana = User(str(uuid4()), "default", "ana", Role.USER, (), False, now, now)
    await users.create(ana, await hasher.hash(PASSWORD, deadline))
    sign_in = signing_in(pool, migrated_dsn, hasher)
    with pytest.raises(LoginRefused):
        await sign_in.login("", "ana", PASSWORD, deadline)
    assert await rows_of(pool, "sessions") == 0
    hasher.changes = False
    assert (await sign_in.login("", "ana", "another", deadline)).user.name == "ana"
    hasher.close()


async def test_a_login_that_succeeds_forgets_the_failures_before_it(pool: PostgresPool) -> None:
    counter = PostgresLoginCounter(pool)
    for _ in range(4):
        assert await counter.attempt("default", "ana") == 0
    await counter.succeeded("default", "ana")
    for _ in range(5):
        assert await counter.attempt("default", "ana") == 0
    first = await counter.attempt("default", "ana")
    assert 0 < first <= 1
    async with pool.spanning() as connection:
        await connection.execute("UPDATE login_attempts SET failures = 40")
    assert 800 < await counter.attempt("default", "ana") <= 900


async def test_attempts_under_names_of_nobody_are_forgotten_too(pool: PostgresPool) -> None:
    counter = PostgresLoginCounter(pool)
    await counter.attempt("a-tenant-of-nobody", "ana")
    async with pool.spanning() as connection:
        await connection.execute("UPDATE login_attempts SET last_time = now() - interval '2 hours'")
    await counter.attempt("default", "ana")
    async with pool.spanning() as connection:
        rows = await (await connection.execute("SELECT tenant FROM login_attempts")).fetchall()
    assert [row["tenant"] for row in rows] == ["default"]


async def test_a_refresh_token_is_good_for_once(replica: Replica) -> None:
    await make_user(replica, "ana", Role.USER)
    first = await signed_in(replica, "ana", "")
    refresh = wire.RefreshRequest(refresh_token=first.refresh_token)
    second = (await replica.call("AuthService/Refresh", refresh)).tokens
    assert await known(replica, first.access_token) and await known(replica, second.access_token)
    # A second time: two have it. Whoever they are, the session ends.
    error = await refused(replica.call("AuthService/Refresh", refresh))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED and "LOGIN_REFUSED" in reason(error)
    again = wire.RefreshRequest(refresh_token=second.refresh_token)
    assert "LOGIN_REFUSED" in reason(await refused(replica.call("AuthService/Refresh", again)))
    assert not await known(replica, second.access_token)


async def test_of_two_refreshes_at_once_one_succeeds_and_the_session_ends(replica: Replica) -> None:
    await make_user(replica, "ana", Role.USER)
    tokens = await signed_in(replica, "ana", "")
    refresh = wire.RefreshRequest(refresh_token=tokens.refresh_token)
    calls = (replica.call("AuthService/Refresh", refresh) for _ in range(4))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in outcomes) == 1
    assert not await known(replica, tokens.access_token)


async def change(pool: PostgresPool, statement: str) -> None:
    async with pool.spanning() as connection:
        await connection.execute(statement.encode())


async def test_however_often_it_is_refreshed_a_session_ends(replica: Replica, pool: PostgresPool) -> None:
    await make_user(replica, "ana", Role.USER)
    tokens = await signed_in(replica, "ana", "")
    ends = []
    for age in ("1 day", "89 days"):
        await change(pool, f"UPDATE sessions SET create_time = now() - interval '{age}'")
        refresh = wire.RefreshRequest(refresh_token=tokens.refresh_token)
        tokens = (await replica.call("AuthService/Refresh", refresh)).tokens
        ends.append(tokens.refresh_expire_time.ToDatetime(UTC) - datetime.now(UTC))
    assert timedelta(days=6) < ends[0] < timedelta(days=8), "as any"
    assert ends[1] < timedelta(days=2), "90 days after the login"
    # Also one that was given longer, before there was such an end.
    await change(pool, "UPDATE sessions SET create_time = now() - interval '91 days'")
    again = wire.RefreshRequest(refresh_token=tokens.refresh_token)
    assert "LOGIN_REFUSED" in reason(await refused(replica.call("AuthService/Refresh", again)))


async def test_used_refresh_tokens_are_forgotten_when_they_could_not_be_good_any_more(
    replica: Replica, pool: PostgresPool
) -> None:
    await make_user(replica, "ana", Role.USER)
    first = await signed_in(replica, "ana", "")
    tokens = first
    for _ in range(3):
        refresh = wire.RefreshRequest(refresh_token=tokens.refresh_token)
        tokens = (await replica.call("AuthService/Refresh", refresh)).tokens
    assert await rows_of(pool, "refresh_tokens") == 4
    await change(pool, "UPDATE refresh_tokens SET use_time = use_time - interval '8 days'")
    refresh = wire.RefreshRequest(refresh_token=tokens.refresh_token)
    tokens = (await replica.call("AuthService/Refresh", refresh)).tokens
    assert await rows_of(pool, "refresh_tokens") == 2, "the one that was used now, and the one for the next time"
    await refused(replica.call("AuthService/Refresh", wire.RefreshRequest(refresh_token=first.refresh_token)))
    assert await known(replica, tokens.access_token), "it proves nothing, for or against"
    await refused(replica.call("AuthService/Refresh", refresh))
    assert not await known(replica, tokens.access_token)


async def test_a_wrong_secret_ends_nobodys_session(replica: Replica) -> None:
    await make_user(replica, "ana", Role.USER)
    tokens = await signed_in(replica, "ana", "")
    name, _, secret = tokens.refresh_token.rpartition(".")
    forged = wire.RefreshRequest(refresh_token=f"{name}.{secret[::-1]}")
    await refused(replica.call("AuthService/Refresh", forged))
    assert await known(replica, tokens.access_token)


async def test_what_one_server_revokes_the_other_refuses(begin: Begin) -> None:
    one, other = await begin(), await begin()
    await make_user(one, "ana", Role.USER)
    sessions = [await signed_in(one, "ana", "") for _ in range(4)]
    key = await make_key(one, {Permission.SEARCH})
    bearers = [*(each.access_token for each in sessions), key.secret]
    # The other has signed none of these tokens, and now has seen all of them.
    assert [await known(other, bearer) for bearer in bearers] == [True] * 5
    told = await other.call("AuthService/WhoAmI", wire.WhoAmIRequest(), sessions[1].access_token)
    await one.call("AuthService/Logout", wire.LogoutRequest(), sessions[0].access_token)
    await one.call("AuthService/Revoke", wire.RevokeRequest(session_id=told.credential_id), one.admin)
    await one.call("AuthService/RevokeApiKey", wire.RevokeApiKeyRequest(key_id=key.key.key_id), one.admin)
    for bearer in (bearers[0], bearers[1], bearers[4]):
        await eventually_unknown(other, bearer)
        assert not await known(one, bearer)
    assert await known(other, bearers[2])
    await one.call("AuthService/Revoke", wire.RevokeRequest(user="ana"), one.admin)
    await eventually_unknown(other, bearers[2])
    await eventually_unknown(other, bearers[3])


async def eventually_unknown(replica: Replica, bearer: str) -> None:
    async with asyncio.timeout(60):
        while await known(replica, bearer):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def test_a_change_of_role_holds_at_once(begin: Begin) -> None:
    one, other = await begin(), await begin()
    await make_user(one, "ana", Role.ADMIN)
    token = (await signed_in(one, "ana", "")).access_token
    await other.call("AuthService/ListUsers", wire.ListUsersRequest(), token)
    change = wire.UpdateUserRequest(user="ana", role=wire.ROLE_VIEWER)
    await one.call("AuthService/UpdateUser", change, one.admin)
    error = await refused(one.call("AuthService/ListUsers", wire.ListUsersRequest(), token))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    async with asyncio.timeout(60):
        while True:
            try:
                await other.call("AuthService/ListUsers", wire.ListUsersRequest(), token)
            except grpc.aio.AioRpcError as refusal:
                assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED
                break


async def test_while_changes_are_not_heard_the_database_is_asked(begin: Begin, migrated_dsn: str) -> None:
    """Told of nothing, a server trusts nothing that it remembers: so what is revoked is refused all the same."""
    deaf: Replica = await begin(changes=ChangeOptions(stale_s=0))
    key = await make_key(deaf, {Permission.SEARCH})
    assert await known(deaf, key.secret)
    async with await psycopg.AsyncConnection.connect(migrated_dsn, autocommit=True) as connection:
        # As if the message were lost: nothing but the row says it.
        await connection.execute("ALTER TABLE api_keys DISABLE TRIGGER told")
        try:
            await connection.execute("UPDATE api_keys SET revoke_time = now() WHERE key_id = %s", (key.key.key_id,))
        finally:
            await connection.execute("ALTER TABLE api_keys ENABLE TRIGGER told")
    assert not await known(deaf, key.secret)


async def test_a_lost_connection_makes_everything_forgotten(begin: Begin, migrated_dsn: str) -> None:
    replica: Replica = await begin()
    key = await make_key(replica, {Permission.SEARCH})
    assert await known(replica, key.secret)
    async with await psycopg.AsyncConnection.connect(migrated_dsn, autocommit=True) as connection:
        await connection.execute("ALTER TABLE api_keys DISABLE TRIGGER told")
        try:
            await connection.execute("UPDATE api_keys SET revoke_time = now() WHERE key_id = %s", (key.key.key_id,))
        finally:
            await connection.execute("ALTER TABLE api_keys ENABLE TRIGGER told")
        await connection.execute(LISTEN_ENDS)
    await eventually_unknown(replica, key.secret)


async def test_a_running_stream_ends_when_its_credential_is_revoked(replica: Replica) -> None:
    key = await make_key(replica, {Permission.EVENTS_READ})
    other = await make_key(replica, {Permission.EVENTS_READ})
    subscribe: Any = replica.channel.unary_stream(
        "/pinakes.v1.EventService/Subscribe",
        request_serializer=event_service_pb2.SubscribeRequest.SerializeToString,
        response_deserializer=event_service_pb2.SubscribeResponse.FromString,
    )
    streams = []
    for made in (key, other):
        carried = grpc.aio.Metadata(("authorization", f"Bearer {made.secret}"))
        stream = subscribe(event_service_pb2.SubscribeRequest(), metadata=carried)
        await stream.read()
        streams.append(stream)
    await replica.call("AuthService/RevokeApiKey", wire.RevokeApiKeyRequest(key_id=key.key.key_id), replica.admin)
    async with asyncio.timeout(60):
        error = await refused(streams[0].read())
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not streams[1].done()
    streams[1].cancel()


async def test_a_stream_whose_token_has_expired_ends_with_the_session(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token's end ends no call; being revoked does, also when nothing is left of the token's time."""
    await make_user(replica, "ana", Role.USER)
    tokens = await signed_in(replica, "ana", "")
    subscribe: Any = replica.channel.unary_stream(
        "/pinakes.v1.EventService/Subscribe",
        request_serializer=event_service_pb2.SubscribeRequest.SerializeToString,
        response_deserializer=event_service_pb2.SubscribeResponse.FromString,
    )
    carried = grpc.aio.Metadata(("authorization", f"Bearer {tokens.access_token}"))
    stream = subscribe(event_service_pb2.SubscribeRequest(), metadata=carried)
    await stream.read()
    callers: Any = replica.parts.gate._callers
    monkeypatch.setattr(callers, "_clock", lambda: time.time() + 3_600)
    assert not await known(replica, tokens.access_token)
    await replica.parts.gate.review()
    assert not stream.done()
    await replica.call("AuthService/Revoke", wire.RevokeRequest(user="ana"), replica.admin)
    async with asyncio.timeout(60):
        error = await refused(stream.read())
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_nobody_gives_what_it_has_not(replica: Replica) -> None:
    await make_user(replica, "root", Role.ADMIN)
    keeper = await make_key(replica, {Permission.USERS_MANAGE, Permission.KEYS_MANAGE, *_viewer()})
    secret = keeper.secret
    more = wire.CreateUserRequest(user="eve", password=PASSWORD, role=wire.ROLE_ADMIN)
    attempts: list[tuple[str, Any]] = [
        ("CreateUser", more),
        ("UpdateUser", wire.UpdateUserRequest(user="root", password=PASSWORD)),
        ("UpdateUser", wire.UpdateUserRequest(user="ron", role=wire.ROLE_ADMIN)),
        ("Revoke", wire.RevokeRequest(user="root")),
        ("CreateApiKey", wire.CreateApiKeyRequest(name="more", scopes=["models:manage"])),
        ("CreateApiKey", wire.CreateApiKeyRequest(name="more", scopes=["search"], tenant="rival")),
        ("CreateUser", wire.CreateUserRequest(user="e", password=PASSWORD, role=wire.ROLE_VIEWER, tenant="rival")),
    ]
    ron = wire.CreateUserRequest(user="ron", password=PASSWORD, role=wire.ROLE_VIEWER)
    await replica.call("AuthService/CreateUser", ron, secret)
    for method, request in attempts:
        error = await refused(replica.call(f"AuthService/{method}", request, secret))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED, (method, request)


def _viewer() -> set[Permission]:
    return {Permission.DOCUMENTS_READ, Permission.SEARCH, Permission.EVENTS_READ, Permission.MODELS_READ}


async def test_another_tenants_users_and_keys_are_not_there(replica: Replica) -> None:
    await make_user(replica, "ana", Role.USER)
    await make_user(replica, "boss", Role.ADMIN, "rival")
    key = await make_key(replica, {Permission.SEARCH})
    boss = (await signed_in(replica, "boss", "rival")).access_token
    ana = await replica.call(
        "AuthService/WhoAmI", wire.WhoAmIRequest(), (await signed_in(replica, "ana", "")).access_token
    )
    for method, request in (
        ("UpdateUser", wire.UpdateUserRequest(user="ana", disabled=True)),
        ("Revoke", wire.RevokeRequest(user="ana")),
        ("Revoke", wire.RevokeRequest(session_id=ana.credential_id)),
        ("RevokeApiKey", wire.RevokeApiKeyRequest(key_id=key.key.key_id)),
    ):
        error = await refused(replica.call(f"AuthService/{method}", request, boss))
        assert error.code() is grpc.StatusCode.NOT_FOUND, method
    users = await replica.call("AuthService/ListUsers", wire.ListUsersRequest(), boss)
    assert [user.user for user in users.users] == ["boss"]
    assert not (await replica.call("AuthService/ListApiKeys", wire.ListApiKeysRequest(), boss)).keys
    assert await known(replica, key.secret)


async def test_a_users_own_key_does_no_more_than_the_user(replica: Replica) -> None:
    await make_user(replica, "ana", Role.ADMIN)
    token = (await signed_in(replica, "ana", "")).access_token
    request = wire.CreateApiKeyRequest(name="mine", scopes=["users:manage", "search"], as_caller=True)
    own = (await replica.call("AuthService/CreateApiKey", request, token)).secret
    told = await replica.call("AuthService/WhoAmI", wire.WhoAmIRequest(), own)
    assert (told.user, sorted(told.permissions)) == ("ana", ["search", "users:manage"])
    less = wire.UpdateUserRequest(user="ana", role=wire.ROLE_VIEWER)
    await replica.call("AuthService/UpdateUser", less, replica.admin)
    told = await replica.call("AuthService/WhoAmI", wire.WhoAmIRequest(), own)
    assert list(told.permissions) == ["search"]
    await replica.call("AuthService/UpdateUser", wire.UpdateUserRequest(user="ana", disabled=True), replica.admin)
    assert not await known(replica, own)


async def test_a_users_own_key_is_in_no_group_that_the_user_has_left(replica: Replica) -> None:
    made = wire.CreateUserRequest(user="ana", password=PASSWORD, role=wire.ROLE_ADMIN, groups=["board", "sales"])
    await replica.call("AuthService/CreateUser", made, replica.admin)
    token = (await signed_in(replica, "ana", "")).access_token
    request = wire.CreateApiKeyRequest(name="mine", scopes=["search"], as_caller=True)
    own = (await replica.call("AuthService/CreateApiKey", request, token)).secret
    assert list((await replica.call("AuthService/WhoAmI", wire.WhoAmIRequest(), own)).groups) == ["board", "sales"]
    left = wire.UpdateUserRequest(user="ana", groups=wire.GroupList(groups=["sales"]))
    await replica.call("AuthService/UpdateUser", left, replica.admin)
    assert list((await replica.call("AuthService/WhoAmI", wire.WhoAmIRequest(), own)).groups) == ["sales"]


async def test_a_password_is_changed_by_who_knows_it(replica: Replica) -> None:
    await make_user(replica, "ana", Role.USER)
    mine, other = await signed_in(replica, "ana", ""), await signed_in(replica, "ana", "")
    wrong = wire.ChangePasswordRequest(old_password="not the password", new_password="another password")
    await refused(replica.call("AuthService/ChangePassword", wrong, mine.access_token))
    right = wire.ChangePasswordRequest(old_password=PASSWORD, new_password="another password")
    await replica.call("AuthService/ChangePassword", right, mine.access_token)
    assert await known(replica, mine.access_token) and not await known(replica, other.access_token)
    before = wire.LoginRequest(user="ana", password=PASSWORD)
    assert "LOGIN_REFUSED" in reason(await refused(replica.call("AuthService/Login", before)))
    await replica.call("AuthService/Login", wire.LoginRequest(user="ana", password="another password"))


async def test_the_first_key_is_made_once_and_for_this_user_alone(begin: Begin) -> None:
    replicas = await asyncio.gather(begin(), begin())
    files = [replica.data / "admin.key" for replica in replicas]
    (file,) = [file for file in files if file.exists()]
    assert file.stat().st_mode & 0o777 == 0o600
    assert all((replica.data / "identity").stat().st_mode & 0o077 == 0 for replica in replicas)
    assert {path.name for path in file.parent.iterdir()} == {"admin.key", "identity"}
    secret = file.read_text().strip()
    told = await replicas[0].call("AuthService/WhoAmI", wire.WhoAmIRequest(), secret)
    assert set(told.permissions) == set(Permission)


async def test_a_first_key_that_was_lost_is_made_anew_as_the_readme_says(begin: Begin, migrated_dsn: str) -> None:
    """In a role, since row security holds the owner of the tables, too."""
    lost = (await begin()).admin
    [said] = re.findall(r"If the first key is lost: `([^`]+)`", README.read_text(encoding="utf-8"))
    async with await psycopg.AsyncConnection.connect(migrated_dsn, autocommit=True) as connection:
        for statement in said.split("; "):
            await connection.execute(statement.encode())
    replica: Replica = await begin()
    assert await known(replica, replica.admin) and not await known(replica, lost)


async def test_the_last_use_of_a_key_is_recorded_also_when_the_server_ends(begin: Begin, pool: PostgresPool) -> None:
    replica: Replica = await begin(callers=IdentifyOptions(last_use_every_s=0.05))
    used, unused = await make_key(replica, {Permission.SEARCH}), await make_key(replica, {Permission.SEARCH})
    assert await known(replica, used.secret)

    async def recorded() -> dict[str, bool]:
        listed = await replica.call("AuthService/ListApiKeys", wire.ListApiKeysRequest(), replica.admin)
        return {key.key_id: key.HasField("last_use_time") for key in listed.keys}

    async with asyncio.timeout(60):
        while not (await recorded())[used.key.key_id]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert not (await recorded())[unused.key.key_id]
    # One that records nothing until it ends.
    patient = IdentifyCallers(
        PostgresApiKeys(pool),
        PostgresSessions(pool),
        PostgresRefusedTokens(pool),
        IdentityStates(PostgresIdentityChanges(""), StateOptions()),
        NoTokens(),
        Argon2Hashes(CHEAP),
        IdentifyOptions(last_use_every_s=3_600),
    )
    running = asyncio.create_task(patient.run())
    await patient.identify(Credentials(unused.secret))
    running.cancel()
    await asyncio.wait((running,))
    assert (await recorded())[unused.key.key_id]


async def test_no_secret_is_logged(begin: Begin) -> None:
    with structlog.testing.capture_logs() as logged:
        replica: Replica = await begin()
        await make_user(replica, "ana", Role.USER)
        tokens = await signed_in(replica, "ana", "")
        key = await make_key(replica, {Permission.SEARCH})
        await refused(replica.call("AuthService/Login", wire.LoginRequest(user="ana", password="wrong password")))
        refreshed = await replica.call("AuthService/Refresh", wire.RefreshRequest(refresh_token=tokens.refresh_token))
        for bearer in (
            tokens.access_token,
            key.secret,
            key.secret[:-1],
            tokens.access_token[:-1],
            tokens.refresh_token,
        ):
            await known(replica, bearer)
    text = str(logged)
    assert "AuthService/Login" in text
    secrets = (PASSWORD, "wrong password", tokens.access_token, tokens.refresh_token, refreshed.tokens.refresh_token)
    for secret in (*secrets, key.secret, replica.admin):
        assert secret not in text
        assert secret.rpartition(".")[2] not in text
