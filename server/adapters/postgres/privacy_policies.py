"""What tenants want done with personal data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from server.adapters.postgres.pool import PostgresPool
from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy

_COLUMNS = "version, actions, update_time, updated_by"
# What is off is left out.
_CHANGE = f"""
    INSERT INTO privacy_policies AS p (tenant, version, actions, updated_by)
    VALUES (%(tenant)s, 1, jsonb_strip_nulls(%(actions)s), %(user)s)
    ON CONFLICT (tenant) DO UPDATE
    SET version = p.version + 1, actions = jsonb_strip_nulls(p.actions || %(actions)s), update_time = now(),
        updated_by = %(user)s
    RETURNING {_COLUMNS}
"""


class PostgresPrivacyPolicies:
    """The `PolicyStore` port."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def get(self, tenant: str) -> PrivacyPolicy:
        async with self._pool.transaction(tenant) as connection:
            cursor = await connection.execute(
                f"SELECT {_COLUMNS} FROM privacy_policies WHERE tenant = %(tenant)s", {"tenant": tenant}
            )
            row = await cursor.fetchone()
        return PrivacyPolicy() if row is None else _policy_of(row)

    async def change(self, tenant: str, actions: Mapping[PiiKind, PrivacyAction], user: str) -> PrivacyPolicy:
        told = {kind.value: None if action is PrivacyAction.OFF else action.name for kind, action in actions.items()}
        parameters = {"tenant": tenant, "actions": Jsonb(told), "user": user}
        async with self._pool.transaction(tenant) as connection:
            row = await (await connection.execute(_CHANGE, parameters)).fetchone()
        assert row is not None, "it returns what it wrote"
        return _policy_of(row)


def _policy_of(row: Mapping[str, Any]) -> PrivacyPolicy:
    """Raises KeyError, ValueError for what this version does not know: another one has written it, and less would be
    masked than is wanted."""
    return PrivacyPolicy(
        version=row["version"],
        actions={PiiKind(kind): PrivacyAction[action] for kind, action in row["actions"].items()},
        update_time=row["update_time"],
        updated_by=row["updated_by"],
    )
