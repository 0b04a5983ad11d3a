"""Shows callers their documents."""

from __future__ import annotations

from server.application.document_ports import DocumentCatalog, DocumentPage
from server.domain.documents import Document, DocumentState
from server.domain.errors import InvalidField
from server.domain.principals import Principal

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
MAX_TAGS = 32


class ListDocuments:
    def __init__(self, catalog: DocumentCatalog) -> None:
        self._catalog = catalog

    async def get(self, principal: Principal, document_id: str) -> Document:
        """Raises DocumentNotFound."""
        return await self._catalog.get(principal, document_id)

    async def page(
        self,
        principal: Principal,
        size: int,
        token: str,
        state: DocumentState | None = None,
        tags: tuple[str, ...] = (),
    ) -> DocumentPage:
        """Newest first. 0 asks for the default size, a size over the limit for the limit. Raises InvalidField,
        InvalidPageToken."""
        if size < 0:
            raise InvalidField("page_size", "must not be negative")
        if len(tags) > MAX_TAGS or any(not tag or "\0" in tag for tag in tags):
            raise InvalidField("tags", f"must hold at most {MAX_TAGS} tags, none of them empty")
        return await self._catalog.page(principal, min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), token, state, tags)
