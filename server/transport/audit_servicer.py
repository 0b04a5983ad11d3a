# ruff: noqa: N802 - methods are named by the contract
"""AuditService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import audit_service_pb2 as wire
from pinakes.v1 import audit_service_pb2_grpc
from server.application.query_audit import QueryAudit
from server.transport.audit_mapping import (
    audit_class,
    entries_response,
    microseconds,
    verify_response,
    wanted_entries,
)
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity

LONGEST_WALK_S = 3_600.0

Context = ServicerContext[Any, Any]


class AuditServicer(audit_service_pb2_grpc.AuditServiceServicer):
    def __init__(self, identity: Identity, audit: QueryAudit) -> None:
        self._identity = identity
        self._audit = audit

    async def QueryAuditLog(self, request: wire.QueryAuditLogRequest, context: Context) -> wire.QueryAuditLogResponse:
        principal = self._identity.principal(context)
        page = await self._audit.page(principal, wanted_entries(request), request.page_size, request.page_token)
        return entries_response(page)

    async def VerifyAuditLog(
        self, request: wire.VerifyAuditLogRequest, context: Context
    ) -> AsyncIterator[wire.VerifyAuditLogResponse]:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_WALK_S)
        found = self._audit.verify(principal, audit_class(request.audit_class), request.first_sequence, deadline)
        async with aclosing(found):
            async for event in found:
                yield verify_response(event)

    async def ExportAuditLog(
        self, request: wire.ExportAuditLogRequest, context: Context
    ) -> AsyncIterator[wire.ExportAuditLogResponse]:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_WALK_S)
        parts = self._audit.export(
            principal,
            audit_class(request.audit_class),
            microseconds(request.not_before, given=request.HasField("not_before")),
            microseconds(request.before, given=request.HasField("before")),
            deadline,
        )
        async with aclosing(parts):
            async for lines in parts:
                yield wire.ExportAuditLogResponse(lines=lines)
