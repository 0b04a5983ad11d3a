"""Keys of services, and tokens of identity providers that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from server.adapters.postgres.page_tokens import resume_after_text, text_token
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.users import user_of
from server.application.identity_ports import KeyPage
from server.domain.errors import ApiKeyNotFound
from server.domain.identities import ApiKey, KeptApiKey

_KEY = """
    k.key_id, k.tenant AS key_tenant, k.name AS key_name, k.user_name, k.groups AS key_groups, k.scopes, k.creator,
    k.create_time AS key_create_time, k.expire_time, k.revoke_time, k.last_use_time
"""
_OWNER = "u.user_id, u.tenant, u.name, u.role, u.groups, u.disabled, u.create_time, u.update_time"
_INSERT = """
    INSERT INTO api_keys (key_id, tenant, name, user_name, groups, scopes, creator, secret_check, secret_hash,
                          create_time, expire_time)
    VALUES (%(key_id)s, %(tenant)s, %(name)s, %(user)s, %(groups)s, %(scopes)s, %(creator)s, %(check)s, %(hash)s,
            %(create_time)s, %(expire_time)s)
"""


class PostgresApiKeys:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def create(self, kept: KeptApiKey) -> None:
        async with self._pool.transaction(kept.key.tenant) as connection:
            await connection.execute(_INSERT.encode(), _values(kept))

    async def first_exists(self) -> bool:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute("SELECT 1 FROM api_keys WHERE scopes = '{*}'")
            return await cursor.fetchone() is not None

    async def create_first(self, kept: KeptApiKey) -> bool:
        async with self._pool.transaction(kept.key.tenant) as connection:
            cursor = await connection.execute(f"{_INSERT} ON CONFLICT DO NOTHING".encode(), _values(kept))
            return cursor.rowcount == 1

    async def find(self, key_id: str) -> KeptApiKey | None:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(
                f"""SELECT {_KEY}, k.secret_check, k.secret_hash, {_OWNER}
                    FROM api_keys k LEFT JOIN users u ON (u.tenant, u.name) = (k.tenant, k.user_name)
                    WHERE k.key_id = %s""".encode(),
                (key_id,),
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        owner = None if row["user_id"] is None else user_of(row)
        return KeptApiKey(_key_of(row), bytes(row["secret_check"]), row["secret_hash"], owner)

    async def page(self, tenant: str, size: int, token: str) -> KeyPage:
        listed = ["keys", tenant]
        last = resume_after_text(token, listed) if token else None
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                f"""SELECT {_KEY} FROM api_keys k
                    WHERE tenant = %(tenant)s
                      AND (%(last)s::text IS NULL OR (create_time, key_id) <
                           (SELECT create_time, key_id FROM api_keys WHERE key_id = %(last)s AND tenant = %(tenant)s))
                    ORDER BY create_time DESC, key_id DESC LIMIT %(limit)s""".encode(),
                {"tenant": tenant, "last": last, "limit": size + 1},
            )
            rows = await cursor.fetchall()
        following = text_token(rows[size - 1]["key_id"], listed) if len(rows) > size else ""
        return KeyPage(tuple(map(_key_of, rows[:size])), following)

    async def revoke(self, tenant: str, key_id: str) -> ApiKey:
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                f"""UPDATE api_keys AS k SET revoke_time = coalesce(revoke_time, now())
                    WHERE tenant = %s AND key_id = %s RETURNING {_KEY}""".encode(),
                (tenant, key_id),
            )
            row = await cursor.fetchone()
        if row is None:
            raise ApiKeyNotFound(key_id)
        return _key_of(row)

    async def used(self, times: Mapping[str, datetime]) -> None:
        async with self._pool.spanning(flushed=False) as connection:
            await connection.execute(
                """UPDATE api_keys k SET last_use_time = greatest(last_use_time, used.at)
                   FROM unnest(%s::text[], %s::timestamptz[]) AS used (key_id, at) WHERE k.key_id = used.key_id""",
                (list(times), list(times.values())),
            )


class PostgresRefusedTokens:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def refuse(self, tenant: str, name: str, expire_time: datetime) -> None:
        async with self._pool.transaction(tenant) as connection:
            # What has expired is refused anyway; a little later, for clocks that are behind.
            await connection.execute("DELETE FROM refused_tokens WHERE expire_time < now() - interval '1 hour'")
            await connection.execute(
                """INSERT INTO refused_tokens AS r (tenant, name, expire_time) VALUES (%s, %s, %s)
                   ON CONFLICT (name) DO UPDATE SET expire_time = greatest(r.expire_time, EXCLUDED.expire_time)""",
                (tenant, name, expire_time),
            )

    async def refused(self, tenant: str, name: str) -> bool:
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute("SELECT 1 FROM refused_tokens WHERE name = %s", (name,))
            return await cursor.fetchone() is not None


def _values(kept: KeptApiKey) -> dict[str, Any]:
    key = kept.key
    return {
        "key_id": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "user": key.user,
        "groups": list(key.groups),
        "scopes": list(key.scopes),
        "creator": key.creator,
        "check": kept.check,
        "hash": kept.secret_hash,
        "create_time": key.create_time,
        "expire_time": key.expire_time,
    }


def _key_of(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        key_id=row["key_id"],
        tenant=row["key_tenant"],
        name=row["key_name"],
        user=row["user_name"],
        groups=tuple(row["key_groups"]),
        scopes=tuple(row["scopes"]),
        creator=row["creator"],
        create_time=row["key_create_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
        last_use_time=row["last_use_time"],
    )
