"""Documents by what they are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.rows import VISIBLE, seeing
from server.domain.principals import Principal

_SELECT = f"""
    WITH asked AS (
        SELECT name, title_of(name) AS title FROM unnest(%(names)s::text[]) AS given (name) WHERE title_of(name) <> ''
    )
    SELECT asked.name, found.document_id
    FROM asked
    JOIN LATERAL (
        SELECT d.document_id FROM documents d
        WHERE d.title = asked.title AND d.delete_time IS NULL AND {VISIBLE}
        ORDER BY d.create_time DESC
        LIMIT %(most)s
    ) found ON true
"""


class PostgresDocumentNames:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def named(self, principal: Principal, names: Sequence[str], most: int) -> dict[str, tuple[str, ...]]:
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(_SELECT, seeing(principal) | {"names": list(names), "most": most})
            rows = await cursor.fetchall()
        found: defaultdict[str, list[str]] = defaultdict(list)
        for row in rows:
            found[row["name"]].append(str(row["document_id"]))
        return {name: tuple(ids) for name, ids in found.items()}
