"""Who may read a document, as its owner, or an administrator, says."""

from __future__ import annotations

from typing import Any

import psycopg

from server.adapters.postgres import change_log
from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import DOCUMENT_COLUMNS, document_of
from server.application.document_ports import WantedAccess
from server.domain.documents import Document
from server.domain.errors import AccessChanged, DocumentNotFound, InvalidField
from server.domain.principals import AccessList, Principal

_LOCK = """
    SELECT owner, groups, users, tenant_wide, access_version FROM documents
    WHERE document_id = %(document_id)s AND tenant = %(tenant)s AND delete_time IS NULL FOR UPDATE
"""
_SET = """
    UPDATE documents
    SET owner = %(owner)s, groups = %(groups)s, users = %(users)s, tenant_wide = %(tenant_wide)s,
        access_version = access_version + 1, update_time = now()
    WHERE document_id = %(document_id)s
"""
# A revision that is on its way would bring the access of its upload along.
_SET_REPLACEMENT = """
    UPDATE replacements SET groups = %(groups)s, users = %(users)s, tenant_wide = %(tenant_wide)s
    WHERE document_id = %(document_id)s
"""
# Where an index is behind, it reads the older chunks, of which the log has nothing more to say.
_SEARCHABLE_CHUNKS = """
    SELECT chunk_id FROM chunks JOIN documents USING (document_id, revision)
    WHERE document_id = %(document_id)s ORDER BY ordinal
"""
_GET = f"""
    SELECT {DOCUMENT_COLUMNS} FROM documents d
    JOIN jobs j ON (j.document_id, j.revision) = (d.document_id, d.newest_revision)
    WHERE d.document_id = %(document_id)s
"""


class PostgresDocumentSharing:
    """What searches find is asked of the documents' rows in the end, so whoever loses access loses it with the commit.
    The change log has the index follow: each chunk comes again with its new access, and the embedding that it had."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def share(
        self, principal: Principal, document_id: str, wanted: WantedAccess, version: int | None
    ) -> tuple[Document, int]:
        parameters: dict[str, Any] = {"tenant": principal.tenant, "document_id": parsed_id(document_id)}
        async with self._pool.transaction(principal.tenant) as connection:
            row = await (await connection.execute(_LOCK, parameters)).fetchone()
            if row is None:
                raise DocumentNotFound(document_id)
            held = AccessList(row["owner"], tuple(row["groups"]), row["tenant_wide"], tuple(row["users"]))
            if not held.changeable_by(principal):
                raise DocumentNotFound(document_id)
            if version is not None and version != row["access_version"]:
                raise AccessChanged(document_id)
            access = AccessList(wanted.owner or held.owner, wanted.groups, wanted.tenant_wide, wanted.users)
            if access != held:
                await _set(connection, parameters, access)
                cursor = await connection.execute(_SEARCHABLE_CHUNKS, parameters)
                chunk_ids = [chunk["chunk_id"] for chunk in await cursor.fetchall()]
            else:
                chunk_ids = []
            changed = await (await connection.execute(_GET, parameters)).fetchone()
            assert changed is not None, "locked above"
            position = await change_log.append(connection, chunk_ids, [])
        return document_of(changed), position


async def _set(connection: Connection, parameters: dict[str, Any], access: AccessList) -> None:
    values = parameters | {
        "owner": access.owner,
        "groups": list(access.groups),
        "users": list(access.users),
        "tenant_wide": access.tenant_wide,
    }
    try:
        await connection.execute(_SET, values)
    except psycopg.errors.UniqueViolation as exc:
        # An owner has the same bytes only once; that this one has them already is not told.
        raise InvalidField("acl.owner", "cannot be given this document") from exc
    await connection.execute(_SET_REPLACEMENT, values)
