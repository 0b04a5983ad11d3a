"""Makes a document disappear, from the catalogue at once and from the disk right after."""

from __future__ import annotations

import structlog

from server.application.document_ports import BlobStore, DocumentCatalog
from server.application.job_ports import Bell
from server.domain.errors import DependencyUnavailable
from server.domain.principals import Principal

_log = structlog.get_logger()


class DeleteDocument:
    def __init__(self, catalog: DocumentCatalog, blobs: BlobStore, log_bell: Bell) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._log_bell = log_bell

    async def run(self, principal: Principal, document_id: str) -> int:
        """The position of the change log after the removals. A repeat returns the same. Raises DocumentNotFound."""
        deletion = await self._catalog.delete(principal, document_id)
        await self._log_bell.ring()
        for key in deletion.blob_keys:
            try:
                await self._blobs.delete(key)
            except DependencyUnavailable as error:
                # The sweep will find it.
                _log.warning("blob_not_deleted", document_id=document_id, problem=str(error))
        return deletion.position
