"""The tenants' data keys: wrapped in PostgreSQL, in the clear only in memory."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.adapters.postgres.page_tokens import place_after, token_of_place
from server.adapters.postgres.pool import Connection, PostgresPool
from server.application.encryption_ports import DataKey, KeyPage, KeyState, KnownKey, MasterKeys, WrappedKey
from server.domain.errors import InvalidPageToken, KeyUnusable

_KEY_BYTES = 32
_KNOWN = "key_id, tenant, state, master_key_id, create_time"
_PLACE = "YYYYMMDDHH24MISSUS"


@dataclass(frozen=True, slots=True)
class DataKeyOptions:
    """Keys that were unwrapped are kept for `kept_s`: for so long, another process may still read a deleted tenant's
    files."""

    kept_s: float = 60.0


class PostgresDataKeys:
    """The ports `DataKeys` and `KeyCare`."""

    def __init__(self, pool: PostgresPool, masters: MasterKeys, options: DataKeyOptions | None = None) -> None:
        self._pool = pool
        self._masters = masters
        self._kept_s = (options or DataKeyOptions()).kept_s
        self._kept: dict[tuple[str, str], tuple[DataKey, float]] = {}

    async def any_wrapped(self) -> bool:
        """Whether there are keys that need a master key."""
        async with self._pool.spanning() as connection:
            cursor = await connection.execute("SELECT 1 FROM data_keys WHERE wrapped IS NOT NULL LIMIT 1")
            return await cursor.fetchone() is not None

    async def check(self) -> None:
        """Unwraps one key of each master key that is in use. Raises KeyUnusable when one of these is missing or another
        one, DependencyUnavailable."""
        async with self._pool.spanning() as connection:
            cursor = await connection.execute("SELECT DISTINCT tenant FROM data_keys WHERE wrapped IS NOT NULL")
            tenants = [row["tenant"] for row in await cursor.fetchall()]
            # An older copy of the database may still have keys of tenants that were deleted since.
            gone = await self._masters.forgotten(tenants)
            cursor = await connection.execute(
                """SELECT DISTINCT ON (master_key_id) tenant, key_id, master_key_id, wrapped FROM data_keys
                   WHERE wrapped IS NOT NULL AND tenant <> ALL(%s) ORDER BY master_key_id, create_time DESC""",
                (gone,),
            )
            rows = await cursor.fetchall()
        for row in rows:
            await self._masters.unwrap(_wrapped(row))

    async def current(self, tenant: str) -> DataKey:
        kept = self._of_memory(tenant, "")
        if kept is not None:
            return kept
        async with self._pool.transaction(tenant) as connection:
            wrapped = await _current(connection, tenant)
            if wrapped is None:
                await _alone(connection, tenant)
                wrapped = await _current(connection, tenant) or await self._added(connection, tenant)
        return self._remember(tenant, "", await self._masters.unwrap(wrapped))

    async def named(self, tenant: str, key_id: str) -> DataKey:
        kept = self._of_memory(tenant, key_id)
        if kept is not None:
            return kept
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                "SELECT tenant, key_id, master_key_id, wrapped FROM data_keys WHERE tenant = %s AND key_id = %s",
                (tenant, uuid.UUID(key_id)),
            )
            row = await cursor.fetchone()
        if row is None:
            raise KeyUnusable(f"the data key {key_id} of the tenant {tenant} is not in the database")
        if row["wrapped"] is None:
            raise KeyUnusable(f"the data key {key_id} of the tenant {tenant} was destroyed with it")
        return self._remember(tenant, key_id, await self._masters.unwrap(_wrapped(row)))

    async def page(self, tenant: str, size: int, token: str) -> KeyPage:
        listed = ["data keys", tenant]
        last_time, last_id = _place(token, listed) if token else (None, None)
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(
                f"""SELECT {_KNOWN}, to_char(create_time, '{_PLACE}') AS place FROM data_keys
                    WHERE (%(tenant)s = '' OR tenant = %(tenant)s)
                      AND (%(time)s::text IS NULL
                           OR (to_char(create_time, '{_PLACE}'), key_id) < (%(time)s, %(key_id)s::uuid))
                    ORDER BY to_char(create_time, '{_PLACE}') DESC, key_id DESC LIMIT %(limit)s""",
                {"tenant": tenant, "time": last_time, "key_id": last_id, "limit": size + 1},
            )
            rows = await cursor.fetchall()
        following = ""
        if len(rows) > size:
            last = rows[size - 1]
            following = token_of_place(last["key_id"].bytes + last["place"].encode(), listed)
        return KeyPage(tuple(_known(row) for row in rows[:size]), following)

    async def rotate(self, tenant: str) -> KnownKey:
        async with self._pool.transaction(tenant) as connection:
            await _alone(connection, tenant)
            await connection.execute(
                "UPDATE data_keys SET state = 'retired' WHERE tenant = %s AND state = 'current'", (tenant,)
            )
            added = await self._added(connection, tenant)
            cursor = await connection.execute(
                f"SELECT {_KNOWN} FROM data_keys WHERE key_id = %s", (uuid.UUID(added.key_id),)
            )
            row = await cursor.fetchone()
        self._kept.pop((tenant, ""), None)
        assert row is not None
        return _known(row)

    async def rewrap(self) -> tuple[str, int]:
        """Whatever fails, what was wrapped before stays usable: the former master keys stay."""
        async with self._pool.spanning() as connection:
            # What is being wrapped with the former master key is waited for: an operator may take that away afterwards.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('pinakes.master_keys', 0))")
            cursor = await connection.execute(
                """SELECT tenant, key_id, master_key_id, wrapped FROM data_keys WHERE wrapped IS NOT NULL
                   ORDER BY key_id FOR UPDATE"""
            )
            rows = await cursor.fetchall()
            gone = set(await self._masters.forgotten([row["tenant"] for row in rows]))
            rows = [row for row in rows if row["tenant"] not in gone]
            keys = [(row["tenant"], await self._masters.unwrap(_wrapped(row))) for row in rows]
            master_id = await self._masters.renew()
            for tenant, key in keys:
                again = await self._masters.wrap(tenant, key)
                await connection.execute(
                    "UPDATE data_keys SET master_key_id = %s, wrapped = %s WHERE key_id = %s",
                    (again.master_key_id, again.wrapped, uuid.UUID(key.key_id)),
                )
        return master_id, len(keys)

    async def destroy(self, tenant: str) -> None:
        async with self._pool.transaction(tenant) as connection:
            await _alone(connection, tenant)
            await connection.execute(
                "UPDATE data_keys SET state = 'destroyed', wrapped = NULL, master_key_id = NULL WHERE tenant = %s",
                (tenant,),
            )
            # Also for a tenant that never had one: it is to get none.
            await connection.execute(
                """INSERT INTO data_keys (key_id, tenant, state) SELECT %s, %s, 'destroyed'
                   WHERE NOT EXISTS (SELECT FROM data_keys WHERE tenant = %s)""",
                (uuid.uuid4(), tenant, tenant),
            )
        for name in [name for name in self._kept if name[0] == tenant]:
            del self._kept[name]
        await self._masters.forget(tenant)

    async def destroyed(self, tenants: Sequence[str]) -> list[str]:
        return await self._masters.forgotten(tenants)

    async def _added(self, connection: Connection, tenant: str) -> WrappedKey:
        """Raises KeyUnusable for a tenant whose keys were destroyed."""
        cursor = await connection.execute(
            "SELECT 1 FROM data_keys WHERE tenant = %s AND state = 'destroyed' LIMIT 1", (tenant,)
        )
        if await cursor.fetchone() is not None:
            raise KeyUnusable(f"the keys of the tenant {tenant} were destroyed when it was deleted")
        key = DataKey(str(uuid.uuid4()), secrets.token_bytes(_KEY_BYTES))
        wrapped = await self._masters.wrap(tenant, key)
        await connection.execute(
            """INSERT INTO data_keys (key_id, tenant, state, master_key_id, wrapped)
               VALUES (%s, %s, 'current', %s, %s)""",
            (uuid.UUID(key.key_id), tenant, wrapped.master_key_id, wrapped.wrapped),
        )
        return wrapped

    def _of_memory(self, tenant: str, key_id: str) -> DataKey | None:
        found = self._kept.get((tenant, key_id))
        return found[0] if found is not None and found[1] > time.monotonic() else None

    def _remember(self, tenant: str, key_id: str, key: DataKey) -> DataKey:
        """Whatever has become too old is forgotten then."""
        now = time.monotonic()
        for name in [name for name, (_, until) in self._kept.items() if until <= now]:
            del self._kept[name]
        self._kept[tenant, key_id] = (key, now + self._kept_s)
        return key


class PostgresSealingRecord:
    """The port `SealingRecord`."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._known = False

    async def all_sealed(self) -> bool:
        if not self._known:
            async with self._pool.transaction() as connection:
                cursor = await connection.execute("SELECT 1 FROM blob_sealing")
                self._known = await cursor.fetchone() is not None
        return self._known

    async def record(self) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute("INSERT INTO blob_sealing DEFAULT VALUES ON CONFLICT DO NOTHING")
        self._known = True


class PostgresBlobOwners:
    """The port `BlobOwners`."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def tenants(self, keys: Sequence[str]) -> dict[str, str]:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(
                """SELECT blob_key, tenant FROM documents WHERE blob_key = ANY(%(keys)s) AND delete_time IS NULL
                   UNION SELECT blob_key, tenant FROM replacements WHERE blob_key = ANY(%(keys)s)""",
                {"keys": list(keys)},
            )
            return {row["blob_key"]: row["tenant"] for row in await cursor.fetchall()}


async def _alone(connection: Connection, tenant: str) -> None:
    """Until the end of the transaction nobody else makes, retires or destroys keys of the tenant, nor wraps all keys
    anew."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('pinakes.master_keys', 0))")
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('pinakes.data_keys', hashtextextended(%s, 0)))", (tenant,)
    )


async def _current(connection: Connection, tenant: str) -> WrappedKey | None:
    cursor = await connection.execute(
        "SELECT tenant, key_id, master_key_id, wrapped FROM data_keys WHERE tenant = %s AND state = 'current'",
        (tenant,),
    )
    row = await cursor.fetchone()
    return None if row is None else _wrapped(row)


def _place(token: str, listed: Sequence[str]) -> tuple[str, uuid.UUID]:
    place = place_after(token, listed)
    if len(place) != 36 or not place[16:].isdigit():
        raise InvalidPageToken
    return place[16:].decode(), uuid.UUID(bytes=place[:16])


def _wrapped(row: dict[str, Any]) -> WrappedKey:
    return WrappedKey(row["tenant"], str(row["key_id"]), row["master_key_id"], row["wrapped"])


def _known(row: dict[str, Any]) -> KnownKey:
    return KnownKey(
        str(row["key_id"]), row["tenant"], KeyState(row["state"]), row["master_key_id"] or "", row["create_time"]
    )
