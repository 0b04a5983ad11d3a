"""Where the bytes of documents are."""

from __future__ import annotations

from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.rows import DOCUMENT_COLUMNS, VISIBLE, document_of, seeing
from server.domain.documents import Document
from server.domain.errors import DocumentNotFound
from server.domain.principals import Principal


class PostgresDocumentOriginals:
    """The `DocumentOriginals` port: of the revision that is searchable, or the newest where none was."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def locate(self, principal: Principal, document_id: str) -> tuple[Document, str]:
        parameters = seeing(principal) | {"document_id": parsed_id(document_id)}
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(
                f"""SELECT {DOCUMENT_COLUMNS}, d.blob_key
                    FROM documents d JOIN jobs j ON (j.document_id, j.revision) = (d.document_id, d.newest_revision)
                    WHERE d.document_id = %(document_id)s AND d.delete_time IS NULL AND {VISIBLE}""",
                parameters,
            )
            row = await cursor.fetchone()
        if row is None:
            raise DocumentNotFound(document_id)
        return document_of(row), row["blob_key"]
