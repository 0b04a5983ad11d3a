"""Says anew who may read a document."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from server.application.document_ports import DocumentSharing, WantedAccess
from server.application.job_ports import Bell
from server.application.search_ports import PassageIndex
from server.application.upload_document import checked_access
from server.domain.deadline import Deadline
from server.domain.documents import Document
from server.domain.errors import IndexBehind, InvalidField
from server.domain.principals import Principal

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ShareOptions:
    settle_s: float = 10.0
    """For so long at most a change waits until this server's index has it. It is valid before: only who may read the
    document since then may not find it yet."""


class ShareDocument:
    def __init__(self, sharing: DocumentSharing, index: PassageIndex, log_bell: Bell, options: ShareOptions) -> None:
        self._sharing = sharing
        self._index = index
        self._log_bell = log_bell
        self._options = options

    async def run(
        self, principal: Principal, document_id: str, wanted: WantedAccess, deadline: Deadline
    ) -> tuple[Document, int]:
        """The document with its new access, and the position of the change log after which searches find it for
        those who may read it now. Raises InvalidField, DocumentNotFound, AccessChanged."""
        wanted = checked_access("acl", wanted)
        document, position = await self._sharing.share(principal, document_id, wanted, version_of(wanted.etag))
        await self._log_bell.ring()
        try:
            await self._index.wait_for(position, deadline.capped(self._options.settle_s))
        except IndexBehind:
            # Nobody sees too much: what the index finds is looked at again. Searches with the token go on to wait.
            _log.warning("access_not_indexed", document_id=document_id, position=position)
        return document, position


def etag_of(version: int) -> str:
    return f"access-{version}"


def version_of(etag: str) -> int | None:
    """None for the empty one. Raises InvalidField for anything that `etag_of` did not make."""
    if not etag:
        return None
    digits = etag.removeprefix("access-")
    if digits == etag or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise InvalidField("acl.etag", "must be one from an earlier response")
    return int(digits)
