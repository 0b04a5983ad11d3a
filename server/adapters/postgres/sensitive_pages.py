"""Where personal data stands on pages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import PostgresPool
from server.domain.documents import Box, Document, SensitivePart
from server.domain.privacy import PiiKind

_SELECT = """
    SELECT sensitive FROM pages
    WHERE document_id = %(document_id)s AND revision = %(revision)s AND number = %(page)s
"""


class PostgresSensitivePages:
    """The `SensitivePages` port."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def parts(self, document: Document, page: int) -> tuple[SensitivePart, ...] | None:
        parameters = {"document_id": parsed_id(document.document_id), "revision": document.revision, "page": page}
        async with self._pool.transaction(document.tenant) as connection:
            row = await (await connection.execute(_SELECT, parameters)).fetchone()
        if row is None or row["sensitive"] is None:
            return None
        return tuple(SensitivePart(PiiKind(kind), Box(*corners)) for kind, *corners in row["sensitive"])


def encode_parts(parts: Sequence[SensitivePart]) -> str:
    """`[kind, x0, y0, x1, y1]` of each, in hundredths of the page's unit."""
    return json.dumps(
        [
            [part.kind.value, *(round(edge, 2) for edge in (part.box.x0, part.box.y0, part.box.x1, part.box.y1))]
            for part in parts
        ],
        separators=(",", ":"),
    )
