"""What callers did is on record, and the record holds, on the whole stack."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from pinakes import AsyncClient
from pinakes.audit import AuditClass, AuditReport
from pinakes.audit_exports import verify_export
from pinakes.errors import PinakesError
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(600)]

QUESTION = "Where do the unrecorded words of this question stand?"


async def test_what_callers_did_is_on_record(stack: WholeStack) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        upload = await client.documents.upload(b"A text about audits.", name="audited.txt")
        document_id = upload.document.document_id
        await client.documents.get(document_id)
        await client.search(QUESTION)
        await client.documents.delete(document_id)
        done = {(entry.action, entry.result) async for entry in client.audit.query(object_id=document_id)}
        assert done >= {
            ("DocumentService/UploadDocument", "OK"),
            ("DocumentService/DeleteDocument", "BEGUN"),
            ("DocumentService/DeleteDocument", "OK"),
        }
        async with asyncio.timeout(60):
            shown: list[str] = []
            while not {"DocumentService/GetDocument", "SearchService/Search"} <= set(shown):
                shown = [entry.action async for entry in client.audit.query(audit_class=AuditClass.ACCESS)]
        began = datetime.now(UTC)
        async with AsyncClient(stack.endpoints.server, api_key="no-key-of-ours") as stranger:
            with pytest.raises(PinakesError):
                await stranger.documents.get(document_id)
        async with asyncio.timeout(60):
            refused: list[str] = []
            while "DocumentService/GetDocument" not in refused:
                entries = client.audit.query(result="UNAUTHENTICATED", not_before=began)
                refused = [entry.action async for entry in entries]
        reports = [event async for event in client.audit.verify() if isinstance(event, AuditReport)]
        assert [(report.audit_class, report.broken) for report in reports] == [
            (AuditClass.AUDIT, None),
            (AuditClass.ACCESS, None),
            (AuditClass.APPLICATION, None),
        ]
        lines = [line async for line in client.audit.export(AuditClass.ACCESS)]
    verified = verify_export(lines)
    assert (verified.audit_class, verified.last_sequence) == ("access", len(lines) - 2)
    assert not any("unrecorded words" in line for line in lines)
