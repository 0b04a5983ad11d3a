"""Chunks as search results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from psycopg.rows import DictRow

from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.line_spans import decode_line_spans, decode_masked
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.rows import VISIBLE, seeing
from server.domain.documents import PageSize
from server.domain.passages import Passage
from server.domain.principals import Principal

# MATERIALIZED and OFFSET 0 keep the order: chunks by their ids, then each one's document by its id. In a young database
# without statistics the planner would rather look through all documents of the tenant, once for each chunk.
_CHUNKS = "WITH c AS MATERIALIZED (SELECT {columns} FROM chunks WHERE chunk_id = ANY(%(chunk_ids)s))"
_THEIR_DOCUMENTS = """
    JOIN LATERAL (SELECT * FROM documents WHERE document_id = c.document_id OFFSET 0) d
        ON c.revision = CASE WHEN d.log_position <= %(position)s THEN d.revision ELSE d.previous_revision END
"""
_READABLE = f"""
    WHERE d.delete_time IS NULL AND c.tenant = %(tenant)s AND {VISIBLE}
      AND (c.revision = d.revision OR d.owner = %(user)s OR d.previous_tenant_wide
           OR %(user)s = ANY(d.previous_users) OR d.previous_groups && %(groups)s::text[])
"""
_SELECT = f"""
    {_CHUNKS.format(columns="*")}
    SELECT c.chunk_id, c.document_id, d.name, c.revision, c.ordinal, c.text, c.heading_path, c.language, c.line_spans,
           c.masked, p.sizes
    FROM c
    {_THEIR_DOCUMENTS}
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_array(number, width, height) ORDER BY number) AS sizes
        FROM pages
        WHERE document_id = c.document_id AND revision = c.revision AND number BETWEEN c.first_page AND c.last_page
    ) p ON true
    {_READABLE}
"""
_SELECT_IDS = f"""
    {_CHUNKS.format(columns="chunk_id, document_id, revision, tenant")}
    SELECT c.chunk_id
    FROM c
    {_THEIR_DOCUMENTS}
    {_READABLE}
"""
_BESIDE = """
    SELECT DISTINCT n.document_id, n.revision, n.ordinal, n.chunk_id
    FROM unnest(%(chunk_ids)s::uuid[]) AS given (chunk_id)
    JOIN chunks c USING (chunk_id)
    JOIN chunks n ON n.document_id = c.document_id AND n.revision = c.revision
        AND n.ordinal BETWEEN c.ordinal - %(reach)s AND c.ordinal + %(reach)s
    ORDER BY n.document_id, n.revision, n.ordinal
"""


class PostgresPassageStore:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def passages(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        rows = await self._rows(_SELECT, principal, chunk_ids, position)
        return {str(row["chunk_id"]): _passage_of(row) for row in rows}

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        return {str(row["chunk_id"]) for row in await self._rows(_SELECT_IDS, principal, chunk_ids, position)}

    async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
        parameters = {"chunk_ids": [parsed_id(chunk_id) for chunk_id in chunk_ids], "reach": reach}
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(_BESIDE, parameters)
            return [str(row["chunk_id"]) for row in await cursor.fetchall()]

    async def _rows(
        self, select: LiteralString, principal: Principal, chunk_ids: Sequence[str], position: int
    ) -> list[DictRow]:
        parsed = [parsed for chunk_id in chunk_ids if (parsed := parsed_id(chunk_id)) is not None]
        if not parsed:
            return []
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(select, seeing(principal) | {"chunk_ids": parsed, "position": position})
            return await cursor.fetchall()


def _passage_of(row: Mapping[str, Any]) -> Passage:
    return Passage(
        chunk_id=str(row["chunk_id"]),
        document_id=str(row["document_id"]),
        document_name=row["name"],
        revision=row["revision"],
        text=row["text"],
        heading_path=tuple(row["heading_path"]),
        language=row["language"],
        line_spans=decode_line_spans(row["line_spans"]),
        pages=tuple(PageSize(number, width, height) for number, width, height in row["sizes"] or ()),
        masked=decode_masked(row["masked"]),
        ordinal=row["ordinal"],
    )
