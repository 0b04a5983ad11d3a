"""Users and their sessions."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from server.adapters.postgres.page_tokens import resume_after_text, text_token
from server.adapters.postgres.pool import Connection, PostgresPool, among_all_tenants
from server.application.identity_ports import SessionTimes, UserPage
from server.domain.errors import LoginRefused, UserExists, UserNotFound
from server.domain.identities import Session, User, UserChange
from server.domain.permissions import Role

_USER = "u.user_id, u.tenant, u.name, u.role, u.groups, u.disabled, u.create_time, u.update_time"
_SESSION = f"s.session_id, s.expire_time AS session_expire_time, s.revoke_time, {_USER}"
_REVOKE_ALL = """
    UPDATE sessions SET revoke_time = now()
    WHERE user_id = %(user_id)s AND revoke_time IS NULL AND session_id::text <> %(except_session)s
"""
_WAIT_S = """
    (CASE WHEN a.failures < %(free)s THEN 0 ELSE least(%(longest)s, power(2, least(a.failures - %(free)s, 30)))
          - extract(epoch FROM clock_timestamp() - a.last_time) END)::float8
"""
# Sessions are kept for a while after their end, so that a token that was stolen from one is known for what it is.
_EXTEND = """
    UPDATE sessions SET expire_time = least(
        now() + make_interval(secs => %(refresh_s)s), create_time + make_interval(secs => %(longest_s)s)
    )
    WHERE session_id = %(session_id)s RETURNING expire_time AS session_expire_time
"""
_FORGET_USED = """
    DELETE FROM refresh_tokens
    WHERE session_id = %(session_id)s AND use_time < now() - make_interval(secs => %(refresh_s)s)
"""
_PRUNE = "DELETE FROM sessions WHERE expire_time < now() - interval '1 day'"


class PostgresUsers:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def create(self, user: User, password_hash: str) -> User:
        try:
            async with self._pool.transaction(user.tenant) as connection:
                row = await _one(
                    connection,
                    f"""INSERT INTO users AS u (user_id, tenant, name, role, groups, password_hash)
                        VALUES (%(user_id)s, %(tenant)s, %(name)s, %(role)s, %(groups)s, %(password_hash)s)
                        RETURNING {_USER}""",
                    {
                        "user_id": user.user_id,
                        "tenant": user.tenant,
                        "name": user.name,
                        "role": user.role.value,
                        "groups": list(user.groups),
                        "password_hash": password_hash,
                    },
                )
        except psycopg.errors.UniqueViolation as exc:
            raise UserExists(user.name) from exc
        assert row is not None, "an insertion returns its row"
        return user_of(row)

    async def find(self, tenant: str, name: str) -> tuple[User, str] | None:
        async with self._pool.transaction(tenant) as connection:
            row = await _one(
                connection,
                f"SELECT {_USER}, u.password_hash FROM users u WHERE tenant = %(tenant)s AND name = %(name)s",
                {"tenant": tenant, "name": name},
            )
        return None if row is None else (user_of(row), row["password_hash"])

    async def page(self, tenant: str, size: int, token: str) -> UserPage:
        listed = ["users", tenant]
        last = resume_after_text(token, listed) if token else ""
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                f"""SELECT {_USER} FROM users u WHERE tenant = %(tenant)s AND name COLLATE "C" > %(last)s
                    ORDER BY name COLLATE "C" LIMIT %(limit)s""".encode(),
                {"tenant": tenant, "last": last, "limit": size + 1},
            )
            rows = await cursor.fetchall()
        following = text_token(rows[size - 1]["name"], listed) if len(rows) > size else ""
        return UserPage(tuple(map(user_of, rows[:size])), following)

    async def change(
        self, tenant: str, name: str, change: UserChange, *, expected_role: Role | None = None, except_session: str = ""
    ) -> User:
        values = {
            "tenant": tenant,
            "name": name,
            "role": None if change.role is None else change.role.value,
            "groups": None if change.groups is None else list(change.groups),
            "disabled": change.disabled,
            "password_hash": change.password_hash,
            "expected": None if expected_role is None else expected_role.value,
        }
        async with self._pool.transaction(tenant) as connection:
            row = await _one(
                connection,
                f"""UPDATE users AS u
                    SET role = coalesce(%(role)s, role), groups = coalesce(%(groups)s::text[], groups),
                        disabled = coalesce(%(disabled)s, disabled),
                        password_hash = coalesce(%(password_hash)s, password_hash), update_time = now()
                    WHERE tenant = %(tenant)s AND name = %(name)s AND role = coalesce(%(expected)s, role)
                    RETURNING {_USER}""",
                values,
            )
            if row is None:
                raise UserNotFound(name)
            if change.disabled or change.password_hash is not None:
                ended = {"user_id": row["user_id"], "except_session": except_session}
                await connection.execute(_REVOKE_ALL.encode(), ended)
        return user_of(row)

    async def rehash(self, user: User, before: str, password_hash: str) -> None:
        async with self._pool.transaction(user.tenant) as connection:
            await connection.execute(
                "UPDATE users SET password_hash = %s WHERE user_id = %s AND password_hash = %s",
                (password_hash, user.user_id, before),
            )


class PostgresSessions:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def begin(self, user: User, token_id: str, digest: bytes, expire_time: datetime) -> str:
        session_id = str(uuid.uuid4())
        async with self._pool.transaction(user.tenant) as connection:
            # Locked, so that whoever disables the user, or changes the password, meanwhile also ends this session.
            found = await _one(
                connection,
                """SELECT 1 FROM users
                   WHERE user_id = %(user_id)s AND NOT disabled AND update_time = %(update_time)s FOR SHARE""",
                {"user_id": user.user_id, "update_time": user.update_time},
            )
            if found is None:
                raise LoginRefused
            await connection.execute(_PRUNE)
            await connection.execute(
                "INSERT INTO sessions (session_id, tenant, user_id, expire_time) VALUES (%s, %s, %s, %s)",
                (session_id, user.tenant, user.user_id, expire_time),
            )
            await _keep_token(connection, user.tenant, token_id, session_id, digest)
        return session_id

    async def rotate(
        self, token_id: str, digest: bytes, following: tuple[str, bytes], times: SessionTimes
    ) -> Session | None:
        async with self._pool.spanning() as connection:
            row = await _one(
                connection,
                f"""SELECT t.digest, t.use_time, {_SESSION}
                    FROM refresh_tokens t JOIN sessions s USING (session_id) JOIN users u USING (user_id)
                    WHERE t.token_id::text = %(token_id)s AND s.expire_time > now() AND s.revoke_time IS NULL
                      AND s.create_time > now() - make_interval(secs => %(longest_s)s) AND NOT u.disabled
                    FOR UPDATE OF t, s""",
                {"token_id": token_id, "longest_s": times.longest_s},
            )
            # Who has the id alone ends nobody's session.
            if row is None or not hmac.compare_digest(bytes(row["digest"]), digest):
                return None
            if row["use_time"] is not None:
                await _revoke(connection, row["session_id"])
                return replace(session_of(row), revoked=True)
            await connection.execute("UPDATE refresh_tokens SET use_time = now() WHERE token_id = %s", (token_id,))
            values = {"session_id": row["session_id"], "refresh_s": times.refresh_s, "longest_s": times.longest_s}
            await connection.execute(_FORGET_USED.encode(), values)
            extended = await _one(connection, _EXTEND, values)
            assert extended is not None, "it is locked"
            await _keep_token(connection, row["tenant"], following[0], row["session_id"], following[1])
            return session_of({**row, **extended})

    async def find(self, session_id: str) -> Session | None:
        async with self._pool.spanning() as connection:
            row = await _one(
                connection,
                f"SELECT {_SESSION} FROM sessions s JOIN users u USING (user_id) WHERE s.session_id = %(session_id)s",
                {"session_id": _parsed(session_id)},
            )
        return None if row is None else session_of(row)

    async def revoke(self, session_id: str) -> None:
        async with self._pool.spanning() as connection:
            await _revoke(connection, _parsed(session_id))

    async def revoke_all(self, user: User) -> None:
        async with self._pool.transaction(user.tenant) as connection:
            await connection.execute(_REVOKE_ALL.encode(), {"user_id": user.user_id, "except_session": ""})


class PostgresLoginCounter:
    """The first `free` failures cost nothing; from then on each doubles how long the next attempt has to wait, up to
    `longest_s`. An attempt counts as failed until it has succeeded, so that many at once are no more than one after
    another."""

    def __init__(self, pool: PostgresPool, free: int = 5, longest_s: float = 900.0) -> None:
        self._pool = pool
        self._free = free
        self._longest_s = longest_s

    async def attempt(self, tenant: str, name: str) -> float:
        values = {"tenant": tenant, "name": name, "free": self._free, "longest": self._longest_s}
        async with self._pool.transaction(tenant) as connection:
            # Of all tenants: strangers name some that nobody has, and never come back to.
            async with among_all_tenants(connection):
                await connection.execute("DELETE FROM login_attempts WHERE last_time < now() - interval '1 hour'")
            # The row is locked from here on, and read as the one before has left it: `clock_timestamp`, not `now`.
            counted = await _one(
                connection,
                f"""INSERT INTO login_attempts AS a (tenant, name, failures, last_time)
                    VALUES (%(tenant)s, %(name)s, 1, clock_timestamp())
                    ON CONFLICT (tenant, name)
                    DO UPDATE SET failures = a.failures + 1, last_time = clock_timestamp() WHERE {_WAIT_S} <= 0
                    RETURNING failures""",
                values,
            )
            if counted is not None:
                return 0.0
            row = await _one(
                connection,
                f"SELECT {_WAIT_S} AS wait_s FROM login_attempts a WHERE tenant = %(tenant)s AND name = %(name)s",
                values,
            )
        return 0.001 if row is None else max(0.001, float(row["wait_s"]))

    async def succeeded(self, tenant: str, name: str) -> None:
        async with self._pool.transaction(tenant) as connection:
            await connection.execute("DELETE FROM login_attempts WHERE tenant = %s AND name = %s", (tenant, name))


def user_of(row: Mapping[str, Any]) -> User:
    return User(
        user_id=str(row["user_id"]),
        tenant=row["tenant"],
        name=row["name"],
        role=Role(row["role"]),
        groups=tuple(row["groups"]),
        disabled=row["disabled"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )


def session_of(row: Mapping[str, Any]) -> Session:
    return Session(str(row["session_id"]), user_of(row), row["session_expire_time"], row["revoke_time"] is not None)


async def _keep_token(connection: Connection, tenant: str, token_id: str, session_id: str, digest: bytes) -> None:
    await connection.execute(
        "INSERT INTO refresh_tokens (tenant, token_id, session_id, digest) VALUES (%s, %s, %s, %s)",
        (tenant, token_id, session_id, digest),
    )


async def _revoke(connection: Connection, session_id: uuid.UUID | None) -> None:
    await connection.execute(
        "UPDATE sessions SET revoke_time = now() WHERE session_id = %s AND revoke_time IS NULL", (session_id,)
    )


async def _one(connection: Connection, statement: str, values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return await (await connection.execute(statement.encode(), values)).fetchone()


def _parsed(session_id: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(session_id)
    except ValueError:
        return None
